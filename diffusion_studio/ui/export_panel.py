"""The export panel under the player: a format, the options that matter to it, the file."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..errors import ExportError
from ..export import FORMATS, OF_POINTS, ExportOptions
from ..files import write_bytes
from ..options import build
from ..runs.recipe import Recipe, file_name
from ..runs.trajectory import Trajectory
from .controls import OptionControls, field_of
from .handlers import LABELLED, show_errors
from .scratch import served_file, served_folder
from .store import RunStore

_START = "gif"


class ExportPanel:
    """Renders into the surrounding Blocks and exports the run that the player shows; `prefix` goes before
    its elements' ids.
    """

    def __init__(self, store: RunStore, player: gr.HTML, prefix: str = "") -> None:
        self.store = store
        self.player = player
        with gr.Accordion(
            "Export: GIF, MP4, WebP, film strip, pictures", open=False, elem_id=prefix + "export"
        ) as panel:
            self.format = gr.Radio(
                [(one.label, name) for name, one in FORMATS.items()],
                value=_START,
                label="Format",
                info=FORMATS[_START].help,
                elem_id=prefix + "format",
            )
            with gr.Row(elem_id=prefix + "export-options"):
                self.options = OptionControls.render(
                    ExportOptions,
                    **{
                        name: {"visible": name in _shown(_START, ExportOptions().frames), **changes}
                        for name, changes in _LABELS.items()
                    },
                )
            self.button = gr.Button("Make the file", variant="primary", elem_id=prefix + "make-file")
            self.file = gr.File(
                label="Your file" if prefix else "Your file: it carries the settings of its run",
                interactive=False,
                height=80,
                elem_id=prefix + "file",
            )
        controls = self.options.controls
        private: dict[str, Any] = {"api_visibility": "private"}
        shown = [self.format, controls["frames"], player]
        gr.on(
            [self.format.change, controls["frames"].change],
            self._show,
            shown,
            [self.format, *controls.values()],
            queue=False,
            show_progress="hidden",
            **private,
        )
        panel.expand(
            self._as_shown,
            shown,
            [self.format, *controls.values()],
            js=_LOOK.replace("PLAYER", prefix + "player"),
            queue=False,
            show_progress="hidden",
            **private,
        )
        # a file that was made with other options is not what they say now
        gr.on(
            [one.change for one in (self.format, *controls.values())],
            None,
            None,
            self.file,
            js="() => null",
            queue=False,
            **private,
        )
        self.button.click(
            self._export,
            {player, self.format, *controls.values()},
            self.file,
            concurrency_id="export",
            concurrency_limit=2,
            show_progress_on=self.button,
            **private,
        )

    def _show(self, format: str, frames: str, run: Any) -> list[Any]:
        """Updates that leave only the options that matter to this format and to what the player shows."""
        shown = _shown(format, frames) | (
            {*OF_POINTS} if isinstance(run, dict) and run.get("points") else set()
        )
        return [
            gr.update(info=FORMATS[format].help),
            *(gr.update(visible=name in shown) for name in self.options.controls),
        ]

    def _as_shown(self, format: str, frames: str, run: Any) -> list[Any]:
        """The same for a panel that opens, with the player's own view, picture and speed; of a film its
        pictures.
        """
        look = run.get("look") if isinstance(run, dict) else None
        if not isinstance(look, dict):
            return self._show(format, frames, run)
        film, plays = (
            run.get("film") is True,
            look.get("film") is True,
        )  # meant so, and shown so: picture after picture
        frames = "pictures" if film or plays else "all" if frames == "pictures" else frames
        first, *rest = self._show(format, frames, run)
        updates = dict(zip(self.options.controls, rest))
        zoom, fps = look.get("zoom"), look.get("fps")
        updates["frames"]["value"] = frames
        updates["picture"]["value"] = str(zoom + 1) if type(zoom) is int and not plays else ""
        if look.get("view") in field_of(ExportOptions, "view").choices:
            updates["view"]["value"] = look["view"]
        if (plays or not film) and type(fps) in (int, float):
            updates["fps"]["value"] = fps
        return [first, *updates.values()]

    @show_errors
    def _export(self, values: dict[Any, Any]) -> str:
        value = values[self.player]
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise ExportError(
                "There is no run to export yet. Press Generate first."
                if not value
                else "This run is no longer kept on the server. Press Generate to make it again."
            )
        read = self.options.read(values)
        if type(read["picture"]) is float:  # counted from 1, as under the player
            count = len(run.frames[0].x)
            if read["picture"] not in range(1, count + 1):
                raise ExportError(
                    f"This run has the pictures 1 to {count}, got picture {read['picture']:g}. Leave 'One "
                    "picture' empty for all."
                )
            read["picture"] = int(read["picture"]) - 1
        chosen = build(ExportOptions, read, "export option")
        return export_file(run.trajectory, values[self.format], chosen)


# The player's value, with how the page shows it.
_LOOK = """(format, frames, v) => { const root = document.querySelector('#PLAYER .player');
  const d = root.dataset, find = (what) => root.querySelector(what);
  const look = {view: find('.screens').dataset.view, zoom: d.zoom ? Number(d.zoom) : null,
    fps: Number(find('.speed').value), film: find('.film').ariaPressed === 'true'};
  return [format, frames, v && v.run ? {...v, look} : v]; }"""
_LABELS: dict[str, dict[str, Any]] = {
    "view": {},
    "fps": {"label": "Speed"},
    "scale": {"placeholder": "automatic"},
    "hold": {"label": "Pause at the end"},
    "frames": {
        "label": "Which states",
        "choices": [
            ("all", "all"),
            ("every k-th", "every"),
            ("some, evenly by noise", "log_snr"),
            ("the finished pictures, one by one", "pictures"),
        ],
    },
    "every": {"label": "k"},
    "states": {"label": "Number of states"},
    "caption": {},
    "picture": {
        "label": "One picture",
        "placeholder": "all",
        "info": "Its number in the grid, from 1. Left out: all.",
    },
    "delay": {"label": "Letters one by one"},
    "ground": {
        "label": "Ground",
        "choices": [("as it is drawn", "kept"), ("transparent, for sprites", "transparent")],
    },
    "bounce": {"label": "There and back"},
    "theme": {},
    "trails": {},
    "arrows": {},
    "axes": {},
}
LABELLED.update({f"export.{name}": look["label"] for name, look in _LABELS.items() if "label" in look})


def _shown(format: str, frames: str) -> set[str]:
    """The options that matter to a format under a choice of states."""
    shown = set(FORMATS[format].takes)
    if frames != "every":
        shown.discard("every")
    shown -= {"picture"} if frames == "pictures" and "frames" in shown else {"bounce"}
    if frames in ("every", "pictures") or (frames == "all" and format != "strip"):
        shown.discard("states")
    return shown


def kept_files(recipe: Recipe) -> list[str]:
    """The files that a recipe's command line names, in a folder that Gradio serves from."""
    files = recipe.files()
    if not files:
        return []
    folder = served_folder()
    for name, data in files.items():
        write_bytes(folder / name, data)
    return [str(folder / name) for name in files]


def export_file(trajectory: Trajectory, format: str, options: ExportOptions) -> str:
    """Write an export into a folder that Gradio serves from; returns its path. A failure leaves no folder."""
    suffix = FORMATS[format].suffix
    alike = [name for name, one in FORMATS.items() if one.suffix == suffix]
    ending = (
        suffix if alike == [format] else f"-{format}{suffix}"
    )  # or a strip would go by the name of the picture
    return served_file(
        file_name(trajectory.recipe, ending),
        lambda path: trajectory.save(path, format, **vars(options)),
    )
