"""The page's styles as one text, weighted so that they win over those of Gradio's components."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SPLIT = re.compile(r",(?![^()]*\))")  # commas between selectors, not those in `:is(a, b)`
_WEIGHT = ".gradio-container.gradio-container .contain"


def outrank(css: str) -> str:
    """The rules, and each again for what lies in Gradio's container, with the weight of three classes more.

    Gradio does the same with the styles that it is given by the configuration: a rule in `@media` holds in
    the container alone. Rules may stand in `@media`, and nest no deeper.
    """
    found = []
    for head, body in _blocks(css):
        if head.startswith("@media"):
            inner = "\n".join(f"{_inside(one)} {{{rules}}}" for one, rules in _blocks(body))
            found.append(f"{head} {{\n{inner}\n}}")
        else:
            found.append(f"{head} {{{body}}}")
            if not head.startswith("@"):
                found.append(f"{_inside(head)} {{{body}}}")
    return "\n".join(found)


def scoped(css: str, name: str) -> str:
    """The rules for what lies in an element of the class `name` alone, with the weight of an id more."""
    return f".{name}:not(#_) {{\n{css}\n}}"


def _inside(selectors: str) -> str:
    """The selectors for what lies in Gradio's container. The class of the dark theme lies outside of it."""
    parts = (one.strip() for one in _SPLIT.split(selectors))
    return ", ".join(
        f"{'.dark ' if '.dark' in one else ''}{_WEIGHT} {one.replace('.dark', '', 1).strip()}"
        for one in parts
    )


def _blocks(css: str) -> list[tuple[str, str]]:
    """[(what stands before the braces, what stands in them), ...] of the outermost braces."""
    text = _COMMENT.sub("", css)
    found, depth, begin, head = [], 0, 0, ""
    for place, letter in enumerate(text):
        if letter == "{":
            if depth == 0:
                head, begin = text[begin:place].strip(), place + 1
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                found.append((head, text[begin:place]))
                begin = place + 1
    if depth:
        raise ValueError(f"A brace is open in the styles after {head!r}.")
    return found
