"""The part of Markdown that lessons are written in, as HTML: paragraphs, lists, tables, headings, **bold**,
*italic*, `code`, links, and indices of symbols such as x_t and ᾱ_{t-1}. All else is text.

[[Edit > A part]] names controls of the page, tabs and buttons too; a test compares them with the page.
A line "??? Title" folds up what follows it, to the next such line or the end.
"""

from __future__ import annotations

import re
from html import escape

CONTROL = re.compile(r"\[\[([^\[\]]+)\]\]")
_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])"), r"<em>\1</em>"),
    (
        re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)"),
        r'<a href="\2" target="_blank" rel="noopener">\1</a>',
    ),
)

_FOLD = re.compile(r"^\?\?\? +(.+)$", re.MULTILINE)

_INDEX = re.compile(r"([xεβμΣᾱLmC]|θ)_(?:\{([^}]+)\}|([0-9tsθ₁₂](?![A-Za-z])))")


def html_of(text: str) -> str:
    """The text as HTML. HTML in the text is escaped."""
    open_part, *folded = _FOLD.split(text)
    made = _blocks(open_part)
    for title, inner in zip(folded[::2], folded[1::2]):
        made += (
            f'\n<details class="more"><summary>{inline(title.strip())}</summary>{_blocks(inner)}</details>'
        )
    return made.strip()


def _blocks(text: str) -> str:
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n".join(_block(one.strip().splitlines()) for one in blocks if one.strip())


def _block(lines: list[str]) -> str:
    if lines[0].startswith("#"):
        rest = _block(lines[1:]) if lines[1:] else ""
        return f"<h3>{inline(lines[0].lstrip('#').strip())}</h3>{rest}"
    if all(re.match(r"[-*] |\s", line) for line in lines) and lines[0][:2] in ("- ", "* "):
        return f"<ul>{_items(lines, r'[-*] ')}</ul>"
    if re.match(r"\d+\. ", lines[0]):
        return f"<ol>{_items(lines, r'[0-9]+[.] ')}</ol>"
    if all(line.startswith("|") for line in lines) and len(lines) > 2:
        return _table(lines)
    return f"<p>{inline(' '.join(line.strip() for line in lines))}</p>"


def _items(lines: list[str], mark: str) -> str:
    found: list[str] = []
    for line in lines:
        if re.match(mark, line):
            found.append(re.sub(mark, "", line, count=1))
        else:
            found[-1] += f" {line.strip()}"
    return "".join(f"<li>{inline(one)}</li>" for one in found)


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{inline(one)}</th>" for one in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{inline(one)}</td>" for one in row) + "</tr>" for row in rows[2:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def controls(text: str) -> list[str]:
    """The names of controls in a text, those of a path one by one."""
    return [one.strip() for path in CONTROL.findall(text) for one in path.split(" > ")]


def inline(text: str) -> str:
    """A line's marks as HTML."""
    made = CONTROL.sub(
        lambda found: f'<b class="control">{found[1].replace(" &gt; ", " › ")}</b>', escape(text, quote=False)
    )
    for pattern, tags in _INLINE:
        made = pattern.sub(tags, made)
    return _INDEX.sub(lambda found: f"{found[1]}<sub>{found[2] or found[3]}</sub>", made)
