"""The section of the Generate tab about pictures to edit, films, and runs that are continued."""

from __future__ import annotations

import json
from abc import ABCMeta
from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import gradio as gr
from gradio.components import Component
from gradio.data_classes import ImageData

from ..errors import OptionError, StudioError
from ..imaging.arrays import to_pil
from ..imaging.fitting import FITS
from ..imaging.picture import Picture
from ..options import fields_of, idle_names, name_of
from ..runs.applicability import idle_options, unusable
from ..runs.branch import Branch
from ..runs.edits import EDITS, ONE_SEED, Edit, FromPicture, Inpaint, Travel, pictures_of
from ..runs.recipe import ANY, NO_EDIT, Recipe
from ..studio import ModelCard, Studio
from .guidance import hide_idle
from .handlers import LABELLED, warn
from .label_and_prompt import short
from .page_script import call_action
from .painter import mask_in, painter, sheet

_LABELS = {
    "picture": "Picture",
    "other": "Picture at the end",
    "mask": "Or a mask as a file: white is drawn anew",
    "strength": "Strength",
    "source_label": "What the picture shows",
    "source_prompt": "What the picture shows, in words",
    "film": "Pictures of the film",
    "loop": "Back to the beginning",
    "stops": "Prompts or labels on the way",
}
LABELLED.update({f"edit.{name}": label for name, label in _LABELS.items()})
LABELLED["edit.mask"] = "Mask"


ON_STAGE: dict[str, type[Edit]] = {"inpaint": Inpaint, "picture": FromPicture}  # edited in the player's place


class EditControls:
    """Renders into the surrounding Blocks, what belongs to the player into `below`, and the picture that is
    edited into `stage`. `make` makes an option's control.
    """

    def __init__(
        self, studio: Studio, start: Recipe, make: Any, below: Any = None, stage: Any = None
    ) -> None:
        self.studio = studio
        card = studio.card(start.model)
        self.options: dict[str, Any] = {}
        self.pictures: dict[str, gr.Image] = {}
        with gr.Accordion("Edit a picture", open=False, elem_id="edit") as self.section:
            self.kind = gr.Dropdown(
                _kinds(card),
                value=NO_EDIT,
                label="What to do",
                elem_id="edit-kind",
            )
            for name in ("picture", "other"):
                self.pictures[name] = _picture(name, ["upload", "clipboard"], 200)
            self.note = gr.HTML("", elem_id="edit-note", min_height=0)
            self.fit = gr.Radio(
                list(FITS),
                value="crop",
                visible=False,
                label="Where its size is not the model's",
                info="; ".join(f"{name}: {how}" for name, how in FITS.items()) + ".",
                elem_id="edit-fit",
            )
            self.pictures["mask"] = _picture("mask", ["upload"], 150)
            for cls in EDITS.values():
                for one in fields_of(cls):
                    if one.name not in self.options:
                        look = {
                            "label": _LABELS.get(one.name, one.name.replace("_", " ").capitalize()),
                            "visible": False,
                            "elem_id": "edit-" + one.name.replace("_", "-"),
                        }
                        self.options[one.name] = (
                            make(one, **look)
                            if one.name != "source_label"
                            else gr.Dropdown(_labels(card), value="", info=one.help, **look)
                        )
        with stage or gr.Column():
            self.canvas = painter(visible=False, elem_id="edit-canvas")
        self.branch = gr.State("")
        self.taken = gr.State({})  # of a run: `Picture.name` and which one it is
        with below or gr.Column(), gr.Row(elem_id="go-on"):  # what is continued, and the ways there and back
            self.here = gr.Button(
                "Branch from this step", size="sm", elem_id="branch-here", min_width=150, scale=0
            )
            self.use = gr.Button(
                "Edit this picture", size="sm", elem_id="use-picture", min_width=130, scale=0
            )
            self.notice = gr.HTML("", visible=False, elem_id="branch-notice", min_height=0)
            self.back = gr.Button(
                "Back to the whole run",
                size="sm",
                visible=False,
                elem_id="branch-back",
                min_width=150,
                scale=0,
            )

    def inputs(self) -> set[Component]:
        return {
            self.kind,
            self.fit,
            self.branch,
            self.canvas,
            *self.pictures.values(),
            *self.options.values(),
        }

    def outputs(self) -> list[Any]:
        """Everything that `show` sets."""
        return [*self.inputs(), self.section, self.notice, self.back]

    def connect(self, model: Any, prompt: Component, label: Component) -> None:
        self.model = model
        private = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.kind.input(self.kind_chosen, [self.kind, model, prompt, label], self.kind_outputs(), **private)
        for image in self.pictures.values():
            image.upload(_readable, image, image, **{**private, "queue": True})
        gr.on(
            [
                *(image.change for image in self.pictures.values()),
                self.fit.input,
                self.kind.input,
                model.change,
            ],
            self._picture_remarks,
            {self.kind, self.fit, model, *self.pictures.values()},
            self.note,
            **private,
        )
        for cls in EDITS.values():
            hide_idle(fields_of(cls), self.options, "input")
        strength, mask = self.options["strength"], self.pictures["mask"]
        picture = self.pictures["picture"]
        given = [self.kind, picture, mask, self.fit, model, strength, self.taken, self.branch]
        queued = {**private, "queue": True, "trigger_mode": "always_last"}
        chosen = [
            self.pictures["picture"].upload,
            mask.upload,
            mask.clear,
            self.fit.input,
            self.kind.input,
        ]
        gr.on(chosen, self._to_edit_now, given, self.canvas, **queued)
        gr.on([self.pictures["picture"].change, model.change], self._to_paint, given, self.canvas, **queued)
        self.canvas.input(None, None, mask, js="() => null", **private)  # what is painted is the mask now
        self.canvas.select(None, self.canvas, self.kind, js="v => v.what", **private).then(
            self.kind_chosen, [self.kind, model, prompt, label], self.kind_outputs(), **private
        )
        self.canvas.release(None, self.canvas, strength, js="v => v.strength", **private)
        strength.change(
            None,
            [strength, self.canvas],
            self.canvas,
            js=call_action("withStrength"),
            **private,
        )
        self.canvas.clear(self._no_edit_updates, model, [self.kind, *self.kind_outputs()], **private)

    def kind_chosen(
        self, kind: str, model: str, prompt: str | None = None, label: str | None = None
    ) -> dict[Any, Any]:
        """Updates for a kind that the visitor chose. A film's stops are what is drawn now and the next of
        the model's own.
        """
        card = self.studio.card(model)
        found = self._shown(kind, card, fresh=True)
        own = [*(card.spec.prompts if card.spec.takes_text else card.conditions)]
        if EDITS.get(kind) is Travel and own:
            now = (prompt or own[0]) if card.spec.takes_text else label if label in own else own[0]
            after = own[(own.index(now) + 1) % len(own)] if now in own else own[0]
            found[self.options["stops"]]["value"] = f"{now} | {after}"
        return found

    def _no_edit_updates(self, model: str) -> dict[Any, Any]:
        """Updates that end editing: runs start from noise again."""
        return {self.kind: NO_EDIT, **self._shown(NO_EDIT, self.studio.card(model))}

    def kind_outputs(self) -> list[Any]:
        """What `kind_chosen` sets."""
        return [*self.pictures.values(), *self.options.values(), self.fit, self.canvas]

    def read(
        self, values: Mapping[Any, Any], card: ModelCard, plain: Any
    ) -> tuple[Edit | None, dict[str, Any] | None]:
        """The edit and the branch that the controls stand at. `plain` reads the value of an optional
        number's text box.
        """
        branch = json.loads(values[self.branch]) if values[self.branch] else None
        kind = values[self.kind]
        if kind == NO_EDIT:
            return None, branch
        if kind not in EDITS:
            raise OptionError("edit", f"There is no edit {kind!r:.40}. Choose one of the menu.")
        cls = EDITS[kind]
        found: dict[str, Any] = {one.name: values[self.options[one.name]] for one in fields_of(cls)}
        size, channels = card.spec.image_size, card.spec.channels
        painted = mask_in(values[self.canvas]) if cls is Inpaint else None
        for name in pictures_of(cls):
            if name == "mask" and painted is not None:
                if painted.size != (size, size):
                    raise OptionError(
                        "edit.mask",
                        f"What was painted has {painted.size[0]}x{painted.size[1]} pixels, and {card.name} "
                        f"draws {size}x{size}. Paint again.",
                    )
                found[name] = painted
                continue
            path = values[self.pictures[name]]
            if path is None:
                raise OptionError(
                    f"edit.{name}",
                    f"{cls.title}: the {name} is missing. "
                    + (
                        "Paint over what is to be drawn anew, or give a mask."
                        if name == "mask"
                        else (
                            "Put one into the section 'Edit a picture', or press 'Edit this picture' under "
                            "a run."
                        )
                    ),
                )
            behind = "black" if name == "mask" else card.spec.background
            opened = Picture.open(path, behind)
            if name == "mask" and opened.size != (size, size):
                picture = Picture.open(values[self.pictures["picture"]])
                if opened.size != picture.size:
                    raise OptionError(
                        "edit.mask",
                        f"The mask is {opened} and the picture {picture}. Give a mask of the picture's size, "
                        f"or of {size}x{size}.",
                    )
            found[name] = opened.fitted(size, 1 if name == "mask" else channels, values[self.fit], behind)
        return cls(**found), branch

    @staticmethod
    def seeds(edit: Edit | None, given: tuple[int, ...]) -> tuple[int, ...]:
        """The seeds that count: one where the edit takes one."""
        return given[:1] if isinstance(edit, ONE_SEED) else given

    def show(self, recipe: Recipe, card: ModelCard) -> dict[Any, Any]:
        """Updates that put the section where the recipe says."""
        edit, branch = recipe.edit, recipe.branch
        kind = NO_EDIT if edit is None else name_of(EDITS, edit)
        found = self._shown(kind, card)
        for name, image in self.pictures.items():
            given = {} if edit is None else edit.pictures
            found[image] = gr.update(
                value=to_pil(given[name].pixels) if name in given else None,
                visible=edit is not None and name in given,
            )
        found[self.canvas]["value"] = (
            sheet(
                edit.picture,
                getattr(edit, "mask", None),
                what=kind,
                strength=edit.strength,
                filed=isinstance(edit, Inpaint),
                branch=branch is not None
                and isinstance(branch.recipe.edit, Inpaint)
                and branch.recipe.edit.picture == edit.picture,
            )
            if isinstance(edit, (Inpaint, FromPicture))
            else None
        )
        for name, control in self.options.items():
            if edit is not None and hasattr(edit, name):
                value = getattr(edit, name)
                more: dict[str, Any] = {"choices": _labels(card)} if name == "source_label" else {}
                found[control] = gr.update(
                    value=value or "" if name.startswith("source") else value,
                    visible=self._usable(name, card) and name not in idle_options(edit),
                    **more,
                )
        text = (
            ""
            if branch is None
            else json.dumps({"recipe": json.loads(branch.recipe.to_json()), "at": branch.at})
        )
        return {
            **found,
            self.kind: gr.update(choices=_kinds(card, kind), value=kind),
            self.section: gr.update(open=edit is not None),
            self.branch: text,
            self.notice: gr.update(value=_notice(branch), visible=branch is not None),
            self.back: gr.update(visible=branch is not None),
        }

    def no_branch(self) -> dict[Any, Any]:
        """Updates that end the branch, where a run begins otherwise: from a picture."""
        return {
            self.branch: "",
            self.notice: gr.update(value="", visible=False),
            self.back: gr.update(visible=False),
        }

    def branch_ran(self, recipe: Recipe) -> Any:
        """An update of the branch's line, as its run begins: what the next press of Generate does."""
        return gr.skip() if recipe.branch is None else gr.update(value=_notice(recipe.branch, ran=True))

    def whole(self, branch: str) -> Recipe:
        """The recipe that is continued, for the way back."""
        return Recipe.from_json(json.dumps(json.loads(branch)["recipe"]))

    def _shown(self, kind: str, card: ModelCard, fresh: bool = False) -> dict[Any, Any]:
        """Updates that leave only what matters to a kind; `fresh` puts its defaults there too."""
        cls = EDITS.get(kind)
        own = {} if cls is None else {one.name: one for one in fields_of(cls)}
        idle = idle_names(own.values(), {name: one.default for name, one in own.items()})
        images = {} if cls is None else pictures_of(cls)
        found: dict[Any, Any] = {
            self.fit: gr.update(visible=bool(images)),
            self.canvas: gr.update(visible=kind in ON_STAGE),
        }
        for name, image in self.pictures.items():
            found[image] = gr.update(visible=name in images)
        for name, control in self.options.items():
            more: dict[str, Any] = {"choices": _labels(card)} if name == "source_label" else {}
            value: dict[str, Any] = (
                {"value": own[name].default if own[name].default is not None else ""}
                if fresh and name in own
                else {}
            )
            found[control] = gr.update(
                visible=name in own and name not in idle and self._usable(name, card), **value, **more
            )
        return found

    @staticmethod
    def _usable(name: str, card: ModelCard) -> bool:
        return f"edit.{name}" not in unusable(card.spec)

    def _picture_remarks(self, values: Mapping[Any, Any]) -> str:
        """How the given pictures are changed to fit the model: one line for each picture that is changed."""
        cls, card = EDITS.get(values[self.kind]), self.studio.card(values[self.model])
        remarks = []
        for name in pictures_of(cls) if cls else ():
            path = values[self.pictures[name]]
            try:
                remarks += (
                    []
                    if path is None
                    else [
                        f"{_LABELS[name].split(':')[0]}: {one}."
                        for one in _changes_to(name, path, card, values[self.fit])
                    ]
                )
            except StudioError as error:
                remarks.append(str(error))
        return "".join(f"<p>{escape(one)}</p>" for one in remarks)

    def _to_edit_now(self, *given: Any) -> Any:
        """The same for a picture or an edit that the visitor has just chosen: it is shown at once."""
        found = self._to_paint(*given)
        return {**found, "open": True} if isinstance(found, dict) and found.get("picture") else found

    def _to_paint(
        self,
        kind: str,
        path: str | None,
        mask: str | None,
        fit: str,
        model: str,
        strength: Any,
        taken: Mapping[str, Any],
        branch: str,
    ) -> Any:
        """The picture as the model takes it, to edit on the stage."""
        if kind not in ON_STAGE:
            return gr.skip()
        if path is None:
            return None
        try:
            spec = self.studio.card(model).spec
            size = spec.image_size
            opened = Picture.open(path, spec.background)
            picture = opened.fitted(size, spec.channels, fit, spec.background)
            painted = Picture.open(mask, "black").fitted(size, 1, fit, "black") if mask else None
            of_run = dict(taken) if opened.name == taken.get("name") else {}
            more = {"strength": strength, "of": of_run.get("title", "your own picture")}
            more |= {"filed": mask is not None, **{name: of_run.get(name) for name in _PLACE}}
            return sheet(picture, painted, what=kind, branch=_branched_edit(branch) == picture, **more)
        except StudioError as error:
            warn(str(error))
            return None


_PLACE = ("number", "count", "run")  # of a picture in a run


def _branched_edit(branch: str) -> Picture | None:
    """The picture that was in-painted by the run that a branch continues, if there is one."""
    if not branch:
        return None
    edit = Recipe.from_json(json.dumps(json.loads(branch)["recipe"])).edit
    return edit.picture if isinstance(edit, Inpaint) else None


class _NoStub(type(gr.Image)):
    """Makes a subclass of a component without Gradio's .pyi file beside the source."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        return ABCMeta.__new__(cls, name, bases, attributes)


class UnopenedImage(gr.Image, metaclass=_NoStub):
    """A `gr.Image` that hands on the path of what was uploaded, whatever it is.

    Gradio's own opens the file before any of our code does, and where that fails the run ends without a word.
    """

    is_template = True  # the page shows it as the class it is made from

    def preprocess(self, payload: ImageData | None) -> str | None:
        return None if payload is None else payload.path


def _picture(name: str, sources: list[Literal["upload", "webcam", "clipboard"]], height: int) -> gr.Image:
    """A place for a picture, which gives its path."""
    return UnopenedImage(
        label=_LABELS[name],
        type="filepath",
        image_mode=None,
        format="png",
        sources=sources,
        height=height,
        visible=False,
        elem_id=f"edit-{name}",
        elem_classes="pixels",
    )


def _readable(path: str | None) -> Any:
    """Takes out what was uploaded and cannot be read, and says why."""
    try:
        if path is not None:
            Picture.open(path)
    except StudioError as error:
        warn(str(error))
        return None
    return gr.skip()


def _changes_to(name: str, path: str, card: ModelCard, fit: str) -> list[str]:
    """The changes that make a picture fit the model, as sentences."""
    size = card.spec.image_size
    picture, laid = Picture.opened(path, "black" if name == "mask" else card.spec.background)
    remarks = [laid if name == "mask" else f"{laid}, the background of {card.name}"] if laid else []
    if picture.size != (size, size):
        remarks.append(
            f"it is {picture.size[0]}x{picture.size[1]}, brought to {size}x{size} by {fit}: {FITS[fit]}"
        )
    return remarks


def _kinds(card: ModelCard, chosen: str = NO_EDIT) -> list[tuple[str, str]]:
    """The edits that a model can use, and the one that a recipe names."""
    reasons = unusable(card.spec)
    usable = (name for name in EDITS if f"edit={name}" not in reasons or name == chosen)
    return [("Nothing: draw from noise", NO_EDIT), *((EDITS[name].title, name) for name in usable)]


def _labels(card: ModelCard) -> list[tuple[str, str]]:
    return [(ANY, ""), *((label, label) for label in card.conditions)]


def _notice(branch: Branch | None, ran: bool = False) -> str:
    """What Generate does with a branch, as HTML; `ran` says that the branch was run already."""
    if branch is None:
        return ""
    of = f"from step {branch.at}</b> of {_named(branch.recipe)}"
    if ran:
        return f"<b>Generate branches again {of}, with what you change."
    return f"<b>Continues {of}: what you change now counts from there on. Press Generate."


def _named(recipe: Recipe) -> str:
    """A run as a visitor knows it; letters from a stranger's recipe are shown as such."""
    return escape(
        f"the run of {short(recipe)[:60]}, seed "
        f"{', '.join(map(str, recipe.seeds[:3]))}{' …' if len(recipe.seeds) > 3 else ''}"[:120]
    )
