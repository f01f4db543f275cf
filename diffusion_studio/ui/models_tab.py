"""The Models tab: what there is, with each model's card."""

from __future__ import annotations

import re

import gradio as gr

from ..studio import Studio

_RELATIVE = re.compile(r"\]\((?!\w+:|/|#)")          # the start of a link to a file beside the card


class ModelsTab:
    """A table of the models, and the card of the chosen one."""

    def __init__(self, studio: Studio) -> None:
        cards = studio.models()
        rows = "\n".join(f"| **{c.name}** | {c.spec.form} | "
                         f"{', '.join(c.conditions) or 'none'} | {c.path.stat().st_size / 1e6:.1f} MB |" for c in cards)
        problems = "".join(f"\n- **{name}** cannot be used: {why}" for name, why in studio.problems().items())
        gr.Markdown(f"| model | pictures | labels | size |\n|---|---|---|---|\n{rows}\n{problems}")
        for card in cards:
            if card.text:
                with gr.Accordion(f"The card of {card.name}", open=len(cards) == 1):
                    gr.Markdown(_RELATIVE.sub(rf"](gradio_api/file={card.path.parent.resolve()}/", card.text))
