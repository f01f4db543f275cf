"""The page's own scripts and styles, put together from their files. No build step.

The page loads one module and one stylesheet for all components. The configuration that each visitor loads
holds only calls by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .style_sheet import outrank, scoped

HERE = Path(__file__).parent
_EXPORT = re.compile(r"^export (?=const |function )", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:const|function) (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Files:
    """The files of one kind of component, below `ui/`: its scripts in their order, its style, its markup."""

    scripts: tuple[str, ...]
    style: str | None = None
    markup: str | None = None


# name -> files. A component asks for its own by `own_component(name)` in component.py.
COMPONENTS = {
    "axes": Files(("axes/axis_text.mjs", "axes/axes.js"), "axes/axes.css", "axes/axes.html"),
    "builder": Files(("builder/builder.js",), "builder/builder.css", "builder/builder.html"),
    "classroom": Files(
        ("classroom/follow.mjs", "classroom/classroom.js"),
        "classroom/classroom.css",
        "classroom/classroom.html",
    ),
    "compare": Files(
        ("player/keys.mjs", "compare_view/view.js"), "compare_view/view.css", "compare_view/view.html"
    ),
    "history": Files(
        ("history/entries.mjs", "history/history.js"), "history/history.css", "history/history.html"
    ),
    "inside": Files(("inside_panel.js",)),
    "lanes": Files(("lanes/lane_text.mjs", "lanes/lanes.js"), "lanes/lanes.css", "lanes/lanes.html"),
    "lazy": Files(("lazy.js",), None, "lazy.html"),
    "pad": Files(("pad/pad.js",), "pad/pad.css", "pad/pad.html"),
    "painter": Files(
        ("painter/brush.mjs", "painter/painter.js"), "painter/painter.css", "painter/painter.html"
    ),
    "picker": Files(("picker/picker.js",), "picker/picker.css", "picker/picker.html"),
    # the last script of the player uses the others
    "player": Files(
        (
            "player/keys.mjs",
            "player/logic.mjs",
            "player/settle.js",
            "player/points.js",
            "player/film.js",
            "player/player.js",
        ),
        "player/player.css",
        "player/player.html",
    ),
    "saved": Files(("saved/saved.js",), "saved/saved.css", "saved/saved.html"),
    "sheets": Files(("sheets/sheets.js",), "sheets/sheets.css", "sheets/sheets.html"),
}
STYLES = ("look.css", "shell.css", "tabs.css", "inside_panel.css", "compare_tab.css")  # of the whole page
ACTIONS = ("page.mjs", "actions.mjs")  # modules whose functions events call by name
HEAD = ("server_link.mjs", "server_link.js")  # run before the page is there
PAGE = (
    "player/keys.mjs",
    "page.mjs",
    "page.js",
)  # what the page runs when it is there; the last one is a function


def page_script(folder: Path, names: tuple[str, ...]) -> str:
    """The files in their order, as one text: the body of a function.

    `export` is a syntax error there. A `.mjs` file is a module without imports that node can test; here the
    keyword `export` at the start of its lines goes. A plain `.js` file is taken as it is. All share one
    scope, so a name may be declared once.
    """
    texts = ((name, (folder / name).read_text("utf-8")) for name in names)
    return "".join(_EXPORT.sub("", text) if name.endswith(".mjs") else text for name, text in texts)


def call_action(name: str, *first: Any) -> str:
    """The `js=` of an event that calls an exported function of `ACTIONS`: with `first`, then with the event's
    inputs.
    """
    if name not in action_names():
        raise ValueError(f"No function {name!r} is exported by {', '.join(ACTIONS)}.")
    given = "".join(f"{json.dumps(one)}, " for one in first)
    return f"(...v) => studio.then((s) => s.run('{name}', {given}...v))"


def call_mount(name: str) -> str:
    """The `js_on_load` of a component of `COMPONENTS`."""
    if name not in COMPONENTS:
        raise ValueError(f"No component {name!r}. There are {', '.join(COMPONENTS)}.")
    return f"studio.then((s) => s.mount('{name}', ...arguments));"


@lru_cache(maxsize=1)
def action_names() -> tuple[str, ...]:
    """The functions that an event can call."""
    texts = ((HERE / name).read_text("utf-8") for name in ACTIONS)
    return tuple(name for text in texts for name in _EXPORTED.findall(text))


@lru_cache(maxsize=1)
def studio_module() -> str:
    """The ES module that the page imports: `mount`, `run` and `page`."""
    mounts = "\n".join(
        f"{name}(element, props, server, watch, trigger) {{\n{page_script(HERE, files.scripts)}\n}},"
        for name, files in COMPONENTS.items()
    )
    markups = {
        name: (HERE / files.markup).read_text("utf-8") for name, files in COMPONENTS.items() if files.markup
    }
    actions = f"{page_script(HERE, ACTIONS)}\nreturn {{ {', '.join(action_names())} }};"
    page = f"{page_script(HERE, PAGE[:-1])}\nreturn ({page_script(HERE, PAGE[-1:])});"
    return "\n".join(
        [
            f"const mounts = {{\n{mounts}\n}};",
            f"const markups = {json.dumps(markups, ensure_ascii=False)};",
            f"const actions = (() => {{\n{actions}\n}})();",
            # in the order in which Gradio gives them to `js_on_load`
            "export const mount = (name, element, trigger, props, server, upload, watch) => {",
            "  if (markups[name]) element.innerHTML = markups[name];",
            "  mounts[name](element, props, server, watch, trigger);",
            "};",
            "export const run = (name, ...given) => actions[name](...given);",
            f"export const page = (() => {{\n{page}\n}})();",
            "",
        ]
    )


@lru_cache(maxsize=1)
def studio_styles() -> str:
    """The styles of the page and of its components, which Gradio's theme brings before it shows anything."""
    own = (
        scoped((HERE / files.style).read_text("utf-8"), f"ds-{name}")
        for name, files in COMPONENTS.items()
        if files.style
    )
    return "\n".join([*(outrank((HERE / name).read_text("utf-8")) for name in STYLES), *own])
