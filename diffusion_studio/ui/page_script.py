"""The script of a `gr.HTML` component, put together from its files. No build step."""

from __future__ import annotations

import re
from pathlib import Path

_EXPORT = re.compile(r"^export (?=const |function )", re.MULTILINE)


def page_script(folder: Path, names: tuple[str, ...]) -> str:
    """The files in their order, as one text for `js_on_load`.

    Gradio runs the text as the body of a function, where `export` is a syntax error. A `.mjs` file is a
    module without imports that node can test; here the keyword `export` at the start of its lines goes.
    A plain `.js` file is taken as it is. All share one scope, so a name may be declared once.
    """
    texts = ((name, (folder / name).read_text("utf-8")) for name in names)
    return "".join(_EXPORT.sub("", text) if name.endswith(".mjs") else text for name, text in texts)
