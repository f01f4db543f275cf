"""The export panel under the player: a format, the options that matter to it, the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import ExportError, OptionError
from ..export import FORMATS, OF_POINTS, ExportOptions
from ..files import safe_name, write_bytes
from ..options import build, fields_of, idle_names
from ..runs.recipe import Recipe, file_name
from ..runs.trajectory import Trajectory
from .controls import OptionControls, field_of
from .handlers import LABELLED, show_errors
from .page_script import call_action
from .saved import saved
from .scratch import served_file, served_folder
from .store import Recording, RunStore

_START = "gif"
MEGABYTE = 1_000_000


class ExportPanel:
    """Renders into the surrounding Blocks and exports the run that the player shows; `prefix` goes before
    its elements' ids, and `press` says how a run is made.
    """

    def __init__(
        self, store: RunStore, player: gr.HTML, prefix: str = "", press: str = "Press Generate"
    ) -> None:
        self.store, self.press, self.prefix = store, press, prefix
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
                        name: {
                            "visible": name in _shown(_START, ExportOptions().frames),
                            "elem_id": f"{prefix}export-{name}",
                            **changes,
                        }
                        for name, changes in _LABELS.items()
                    },
                )
            self.button = gr.Button("Make the file", variant="primary", elem_id=prefix + "make-file")
            self.file = saved(elem_id=prefix + "file", elem_classes="made-card")
            again = gr.Button("As it was saved", elem_id=prefix + "export-again", elem_classes="save-gif")
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
        gr.on(
            [panel.expand, again.click],
            self._updates_of_player,
            shown,
            [self.format, *controls.values()],
            js=call_action("openExport", prefix),
            queue=False,
            show_progress="hidden",
            **private,
        )
        making = self.button.click(
            self._export,
            {player, self.format, *controls.values()},
            self.file,
            concurrency_id="export",
            concurrency_limit=2,
            show_progress_on=self.button,
            **private,
        )
        # a file that was made with other options is not what they say now, nor is one that is being made
        gr.on(
            [one.change for one in (self.format, *controls.values())],
            None,
            None,
            self.file,
            js="() => null",
            cancels=making,
            queue=False,
            **private,
        )

    def _show(self, format: str, frames: str, run: Any) -> list[Any]:
        """Updates that leave only the options that matter to this format and to what the player shows."""
        shown = _shown(format, frames) | (
            {*OF_POINTS} if isinstance(run, dict) and run.get("points") else set()
        )
        updates = {name: gr.update(visible=name in shown) for name in self.options.controls}
        updates["frames"]["choices"] = _choices(format)
        return [gr.update(info=FORMATS[format].help), *updates.values()]

    def _updates_of_saved(self, used: dict[str, Any], run: Any) -> list[Any]:
        """Updates to the format and options with which a file was saved."""
        format = used["format"] if used.get("format") in FORMATS else _START
        given = {name: value for name, value in used.items() if name != "format"}
        chosen = build(ExportOptions, given, "export option")
        first, *rest = self._show(format, chosen.frames, run)
        for name, update in zip(self.options.controls, rest):
            value = getattr(chosen, name)
            if name == "picture" and value is not None:
                value += 1  # counted from 1, as under the player
            optional = field_of(ExportOptions, name).optional
            update["value"] = ("" if value is None else str(value)) if optional else value
        return [{**first, "value": format}, *rest]

    def _updates_of_player(self, format: str, frames: str, run: Any) -> list[Any]:
        """The same for a panel that opens, with the player's own view, picture and speed; of a film its
        pictures. Opened from a file that was just saved, it begins with that file's options.
        """
        if isinstance(run, dict) and isinstance(run.get("used"), dict):
            return self._updates_of_saved(run["used"], run)
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
    def _export(self, values: dict[Any, Any]) -> dict[str, Any]:
        value = values[self.player]
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise ExportError(
                f"There is no run to export yet. {self.press} first."
                if not value
                else f"This run is no longer kept on the server. {self.press} to make it again."
            )
        read = self.options.read(values)
        if type(read["picture"]) is float:  # counted from 1, as under the player
            count = len(run.frames[0].x)
            if read["picture"] not in range(1, count + 1):
                raise OptionError(
                    "export.picture",
                    f"This run has the pictures 1 to {count}, got picture {read['picture']:g}. Leave 'One "
                    "picture' empty for all.",
                )
            read["picture"] = int(read["picture"]) - 1
        chosen = build(ExportOptions, read, "export option")
        path = export_file(run.recorded, values[self.format], chosen)
        return card_of(path, "" if self.prefix else "it carries the settings of its run")


def _choices(format: str) -> list[tuple[str, str]]:
    """What is read of each choice of states. A film strip of all states holds the wanted number of them,
    where something happens.
    """
    return [
        ("some, where something happens" if format == "strip" else "all", "all"),
        ("every k-th", "every"),
        ("some, evenly by noise", "log_snr"),
        ("the finished pictures, one by one", "pictures"),
    ]


_LABELS: dict[str, dict[str, Any]] = {
    "view": {},
    "fps": {"label": "Speed"},
    "scale": {"placeholder": "automatic"},
    "hold": {"label": "Pause at the end"},
    "frames": {
        "label": "Which states",
        "choices": _choices(_START),
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
    """The options that have an effect for a format with this choice of states."""
    shown = set(FORMATS[format].takes)
    shown -= idle_names(fields_of(ExportOptions), {"frames": frames if "frames" in shown else "all"})
    if frames == "pictures" and "frames" in shown:
        shown.discard("picture")
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


def card_of(path: str, said: str) -> dict[str, Any]:
    """A file as the card shows it: `said` stands after its size."""
    size = f"{Path(path).stat().st_size / MEGABYTE:.1f}"
    size = "less than 0.1" if size == "0.0" else size
    return {"path": path, "name": Path(path).name, "size": size, "said": said, "preset": ""}


def export_file(made: Trajectory | Recording, format: str, options: ExportOptions) -> str:
    """Write an export into a folder that Gradio serves from; returns its path. A failure leaves no folder."""
    suffix = FORMATS[format].suffix
    alike = [name for name, one in FORMATS.items() if one.suffix == suffix]
    ending = (
        suffix if alike == [format] else f"-{format}{suffix}"
    )  # or a strip would go by the name of the picture
    return served_file(
        file_name(made.recipe, ending)
        if isinstance(made, Trajectory)
        else safe_name(made.title, suffix=ending),
        lambda path: made.save(path, format, **vars(options)),
    )
