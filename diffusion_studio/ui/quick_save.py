"""One press that saves the shown run: a file for a chat, a slide or a paper, with its size said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import ExportError, OptionError
from ..export import ExportOptions
from ..imaging.layout import Layout
from ..runs.trajectory import Trajectory
from .export_panel import export_file
from .handlers import show_errors
from .saved import saved
from .store import RunStore

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Preset:
    """A format with its options. `most` is the size in bytes that a file may have, `side` the largest width
    or height in pixels.
    """

    format: str
    said: str
    side: int
    most: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "chat": Preset("gif", "at most 2 MB, for a chat", 640, 2 * MEGABYTE, {"hold": 1.5}),
    "slide": Preset(
        "gif", "large, for a slide; it rests on the finished picture", 1200, 24 * MEGABYTE, {"hold": 3.0}
    ),
    "paper": Preset("strip", "a film strip, for a paper", 4000, None, {"states": 6}),
}
_GAP = 2  # pixels between the halves of a state, before they are enlarged
_CLOUD = 64  # pixels that a cloud of points is wide at scale 1
_FEWER = (40, 20, 10)  # states, where even the smallest pictures make too large a file


class QuickSave:
    """Renders into the surrounding Blocks: a button that the player presses, and what was saved; `prefix`
    goes before its elements' ids.
    """

    def __init__(self, store: RunStore, player: gr.HTML, prefix: str = "") -> None:
        self.store = store
        self.preset = gr.Textbox("chat", visible=False)
        self.button = gr.Button("Save GIF", elem_id=prefix + "save-gif", elem_classes="save-gif")
        self.card = saved(elem_id=prefix + "saved", elem_classes="saved-card")
        self.button.click(
            self._save,
            [self.preset, player],
            self.card,
            js=_LOOK.replace("PLAYER", prefix + "player"),
            concurrency_id="export",
            concurrency_limit=2,
            show_progress="hidden",
            api_visibility="private",
        ).then(None, js=_SAVED.replace("PLAYER", prefix + "player"), queue=False, api_visibility="private")

    @show_errors
    def _save(self, preset: str, value: Any) -> dict[str, Any]:
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise ExportError(
                "There is no run to save yet. Make one first."
                if not value
                else "This run is no longer kept on the server. Press Generate to make it again."
            )
        if preset not in PRESETS:
            raise OptionError(
                "format", f"There is no use {preset!r:.40} to save for. Choose one of: {', '.join(PRESETS)}."
            )
        path = save_for(PRESETS[preset], run.trajectory, _shown(value.get("look"), len(run.frames[0].x)))
        return {
            "path": path,
            "name": Path(path).name,
            "size": f"{Path(path).stat().st_size / MEGABYTE:.1f}".replace("0.0", "less than 0.1"),
            "said": PRESETS[preset].said,
            "preset": preset,
        }


def _shown(look: object, count: int) -> dict[str, Any]:
    """The options that the player's look stands for: its view, its speed, the picture that it shows alone."""
    if not isinstance(look, dict):
        return {"view": "both"}
    found: dict[str, Any] = {"view": look.get("view") if look.get("view") in ("x", "x0", "both") else "both"}
    zoom, fps = look.get("zoom"), look.get("fps")
    if look.get("film") is True:
        found["frames"] = "pictures"
    elif type(zoom) is int and 0 <= zoom < count:
        found["picture"] = zoom
    if type(fps) in (int, float) and 0.5 <= fps <= 50:
        found["fps"] = float(fps)
    return found


def save_for(preset: Preset, trajectory: Trajectory, look: dict[str, Any]) -> str:
    """The path of the file: as large as the preset allows, in pixels and in bytes.

    Pictures become smaller first, then states fewer; the finished picture stays in every file.
    """
    given = {**preset.options, **look}
    if trajectory.recipe.spell and preset.format == "gif" and "picture" not in given:
        given |= {"view": "x" if given["view"] == "both" else given["view"], "delay": 2}  # letter by letter
        given["fps"] = min(given.get("fps", 20.0), 12.0)
    scale = _scale(preset, trajectory, given)
    path = export_file(trajectory, preset.format, ExportOptions(**given, scale=scale))
    while preset.most and Path(path).stat().st_size > preset.most and scale > 1:
        share = preset.most / Path(path).stat().st_size
        scale = max(1, min(scale - 1, int(scale * share**0.5)))
        path = export_file(trajectory, preset.format, ExportOptions(**given, scale=scale))
    for states in _FEWER if given.get("frames", "all") == "all" else ():
        if not preset.most or Path(path).stat().st_size <= preset.most:
            break
        if states < len(trajectory.frames):
            fewer = ExportOptions(**{**given, "frames": "log_snr", "states": states}, scale=scale)
            path = export_file(trajectory, preset.format, fewer)
    return path


def _scale(preset: Preset, trajectory: Trajectory, given: dict[str, Any]) -> int:
    frame = trajectory.frames[0]
    height, width = (_CLOUD, _CLOUD) if frame.of_points else frame.x.shape[1:3]
    alone = "picture" in given or given.get("frames") == "pictures"
    layout = Layout.square(1) if alone else frame.layout or Layout.square(len(frame.x))
    rows, columns = layout.rows, layout.columns
    beside = (2 if given["view"] == "both" else 1) * (given["states"] if preset.format == "strip" else 1)
    wide = columns * width * beside + _GAP * (beside - 1)
    side = max(preset.side, 1000) if trajectory.recipe.spell else preset.side
    return max(1, min(64, side // max(rows * height, wide)))


# The preset that was pressed, and the player's value with how the page shows it.
_LOOK = """(preset, v) => { const root = document.querySelector('#PLAYER .player');
  const page = document.documentElement.dataset;
  const d = root.dataset, find = (what) => root.querySelector(what);
  preset = page.preset || 'chat'; delete page.preset;
  const look = {view: find('.screens').dataset.view, zoom: d.zoom ? Number(d.zoom) : null,
    fps: Number(find('.speed').value), film: find('.film').ariaPressed === 'true'};
  if (v && v.run) d.saving = 'true';
  return [preset, v && v.run ? {...v, look} : v]; }"""
_SAVED = "() => { document.querySelector('#PLAYER .player').dataset.saving = 'false'; }"
