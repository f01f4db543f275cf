"""One press that saves the shown run: a file for a chat, a slide or a paper, with its size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import ExportError, OptionError
from ..export import ExportOptions
from ..imaging.layout import Layout
from ..runs.trajectory import Trajectory
from .export_panel import card_of, export_file
from .handlers import show_errors
from .page_script import call_action
from .saved import saved
from .store import Recording, RunStore


@dataclass(frozen=True)
class Preset:
    """A format with its options. `most` is the size in bytes that a file may have, `side` the largest width
    or height in pixels.
    """

    format: str
    purpose: str
    side: int
    most: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "chat": Preset("gif", "at most 2 MB, for a chat", 640, 2_000_000, {"hold": 1.5}),
    "slide": Preset(
        "gif", "large, for a slide; it rests on the finished picture", 1200, 24_000_000, {"hold": 3.0}
    ),
    "paper": Preset("strip", "a film strip, for a paper", 4000, None, {"states": 6}),
}
_GAP = 2  # pixels between the halves of a state, before they are enlarged
_CLOUD = 64  # pixels that a cloud of points is wide at scale 1
_FEWER = (40, 20, 10)  # states, where even the smallest pictures make too large a file


class QuickSave:
    """Renders into the surrounding Blocks: a button that the player presses, and what was saved; `prefix`
    goes before its elements' ids, and `press` says how a run is made.
    """

    def __init__(
        self, store: RunStore, player: gr.HTML, prefix: str = "", press: str = "Press Generate"
    ) -> None:
        self.store, self.press = store, press
        self.preset = gr.Textbox("chat", visible=False)
        self.button = gr.Button("Save GIF", elem_id=prefix + "save-gif", elem_classes="save-gif")
        self.card = saved(elem_id=prefix + "saved", elem_classes="saved-card")
        self.button.click(
            self._save,
            [self.preset, player],
            self.card,
            js=call_action("beginSaving", prefix),
            concurrency_id="export",
            concurrency_limit=2,
            show_progress="hidden",
            api_visibility="private",
        ).then(None, js=call_action("endSaving", prefix), queue=False, api_visibility="private")

    @show_errors
    def _save(self, preset: str, value: Any) -> dict[str, Any]:
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise ExportError(
                f"There is no run to save yet. {self.press} first."
                if not value
                else f"This run is no longer kept on the server. {self.press} to make it again."
            )
        if preset not in PRESETS:
            raise OptionError(
                "format", f"There is no use {preset!r:.40} to save for. Choose one of: {', '.join(PRESETS)}."
            )
        look = _shown(value.get("look"), len(run.frames[0].x))
        path, options = save_for(PRESETS[preset], run.recorded, look)
        # what "More" begins with: these options, with the view that the player shows
        used = {"format": PRESETS[preset].format, **vars(options), "view": look["view"]}
        return {**card_of(path, PRESETS[preset].purpose), "preset": preset, "used": used}


def _shown(look: object, count: int) -> dict[str, Any]:
    """The export options for the player's current look: its view, its speed, and the picture that it shows
    alone.
    """
    if not isinstance(look, dict):
        return {"view": "both"}
    found: dict[str, Any] = {"view": look.get("view") if look.get("view") in ("x", "x0", "both") else "both"}
    zoom, fps = look.get("zoom"), look.get("fps")
    if look.get("film") is True:
        found["frames"] = "pictures"
    elif type(zoom) is int and 0 <= zoom < count:
        found["picture"] = zoom
    if isinstance(fps, (int, float)) and not isinstance(fps, bool) and 0.5 <= fps <= 50:
        found["fps"] = float(fps)
    return found


def save_for(
    preset: Preset, trajectory: Trajectory | Recording, look: dict[str, Any]
) -> tuple[str, ExportOptions]:
    """The path of the file and its options: as large as the preset allows, in pixels and in bytes.

    Pictures become smaller first, then states fewer; the finished picture stays in every file.
    """
    given = {**preset.options, **look}
    if _spells(trajectory) and preset.format == "gif" and "picture" not in given:
        given |= {"view": "x" if given["view"] == "both" else given["view"], "delay": 2}  # letter by letter
        given["fps"] = min(given.get("fps", 20.0), 12.0)
    options = ExportOptions(**given, scale=_scale(preset, trajectory, given))
    path = export_file(trajectory, preset.format, options)
    while preset.most and Path(path).stat().st_size > preset.most and (scale := options.scale or 1) > 1:
        share = preset.most / Path(path).stat().st_size
        options = replace(options, scale=max(1, min(scale - 1, int(scale * share**0.5))))
        path = export_file(trajectory, preset.format, options)
    for states in _FEWER if given.get("frames", "all") == "all" else ():
        if not preset.most or Path(path).stat().st_size <= preset.most:
            break
        if states < len(trajectory.frames):
            options = replace(options, frames="log_snr", states=states)
            path = export_file(trajectory, preset.format, options)
    return path, options


def _spells(trajectory: Trajectory | Recording) -> bool:
    """Whether the pictures are the letters of a text."""
    return isinstance(trajectory, Trajectory) and bool(trajectory.recipe.spell)


def _scale(preset: Preset, trajectory: Trajectory | Recording, given: dict[str, Any]) -> int:
    frame = trajectory.frames[0]
    height, width = (_CLOUD, _CLOUD) if frame.of_points else frame.x.shape[1:3]
    alone = "picture" in given or given.get("frames") == "pictures"
    layout = Layout.square(1) if alone else frame.layout or Layout.square(len(frame.x))
    rows, columns = layout.rows, layout.columns
    beside = (2 if given["view"] == "both" else 1) * (given["states"] if preset.format == "strip" else 1)
    wide = columns * width * beside + _GAP * (beside - 1)
    side = max(preset.side, 1000) if _spells(trajectory) else preset.side
    return max(1, min(64, side // max(rows * height, wide)))
