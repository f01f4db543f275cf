"""The section of the Generate tab about guidance in detail: what the chosen model can use, and no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from ..imaging.palettes import OWN, PALETTES
from ..options import Option, fields_of, idle_names
from ..runs.applicability import self_guidance_kinds
from ..runs.guidance_options import GROUPS, flag_name, flags_of
from ..runs.recipe import ANY, Recipe
from ..runs.setting_labels import LABELS, value_text
from ..studio import ModelCard, Studio
from .handlers import LABELLED

# The recipe's own options that are shown here and not among the others.
FIELDS = ("guidance_shape", "guidance_scales", "guidance_rescale", "negative_label", "negative", "weaker")
LABELLED.update(
    {
        f"{group}.{inside}": LABELS[one.name]
        for group in GROUPS
        for inside, one in flags_of(group).items()
        if one.name in LABELS
    }
)
LABELLED.update({name: LABELS[name] for name in FIELDS if name in LABELS})
SCALE = "guidance"
PALETTE = "palette"  # the group that has a section of its own
NONE = ("none", "")
TYPED = ("palette", "self_guidance_layers")  # of the menus, those in which something else may be typed


def hide_idle(
    options: Iterable[Option],
    controls: Mapping[str, Any],
    event: str = "change",
    model: Component | None = None,
    unusable: Callable[[str], Collection[str]] = lambda model: (),
) -> None:
    """Show the control of an option only while the values of the others let it have an effect.

    `controls` are the controls by option name. `event` is the event of a control that is listened to: "input"
    reacts to the visitor only. The options that `unusable` names for the chosen model stay hidden.
    """
    dependent = [one for one in options if one.depends]
    deciding = {one.name: [name for each in one.depends for name in each.names] for one in dependent}
    for name in dict.fromkeys(name for names in deciding.values() for name in names):
        own = [one for one in dependent if name in deciding[one.name]]
        names = list(dict.fromkeys(other for one in own for other in deciding[one.name]))

        def look(*values: Any, own: list[Option] = own, names: list[str] = names) -> dict[Any, Any]:
            hidden = idle_names(own, dict(zip(names, values)))
            hidden |= set() if model is None else {*unusable(values[-1])}
            return {controls[one.name]: gr.update(visible=one.name not in hidden) for one in own}

        getattr(controls[name], event)(
            look,
            [controls[one] for one in names] + ([] if model is None else [model]),
            [controls[one.name] for one in own],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )


class GuidanceControls:
    """Renders into the surrounding Blocks. `make` makes the control of an option. `scale` is the control of
    the guidance scale, which stands elsewhere.
    """

    def __init__(self, studio: Studio, start: Recipe, make: Any, scale: Component) -> None:
        self.studio = studio
        self.scale = scale
        self.controls: dict[str, Any] = {}
        own = {
            one.name: replace(one, depends=tuple(condition.renamed(flag_name) for condition in one.depends))
            for one in fields_of(Recipe)
        }
        self._scale_option = own[SCALE]
        self._options = {name: one for name, one in own.items() if name in FIELDS}
        self._options |= {one.name: one for group in GROUPS for one in flags_of(group).values()}
        card = studio.card(start.model)
        choices, values = self._choices(card, start), _values(start)
        shown = self._shown(card, values)
        with gr.Accordion(
            "Guidance in detail",
            open=False,
            elem_id="guidance-more",
            visible=not shown <= {*self._of(PALETTE)},
        ) as self.section:
            for part in (FIELDS, *(self._of(group) for group in GROUPS if group != PALETTE)):
                self._render_part(part, shown, choices, values, make)
        with gr.Accordion(
            "Palette", open=False, elem_id="palette-section", visible=not shown.isdisjoint(self._of(PALETTE))
        ) as self.palette_section:
            self._render_part(self._of(PALETTE), shown, choices, values, make)

    def connect(self, model: Component) -> None:
        """Hide the options that another one switches off, as a visitor changes that one."""
        hide_idle(
            [self._scale_option, *self._options.values()],
            {SCALE: self.scale, **self.controls},
            model=model,
            unusable=lambda name: self._unusable(self.studio.card(name)),
        )

    def _render_part(self, part: Any, shown: set[str], choices: Any, values: Any, make: Any) -> None:
        with gr.Group():
            # a hidden one in between breaks the frame
            for name in sorted(part, key=lambda name: name not in shown):
                self._render(name, name in shown, choices.get(name), values[name], make)

    def _render(
        self, name: str, visible: bool, choices: list[tuple[str, str]] | None, value: Any, make: Any
    ) -> None:
        given = self._options[name]
        look = {
            "label": LABELS.get(name, name.replace("_", " ").capitalize()),
            "visible": visible,
            "elem_id": name.replace("_", "-"),
        }
        self.controls[name] = (
            make(given, value=value, **look)
            if choices is None
            else gr.Dropdown(
                choices, value=value or "", info=given.help, allow_custom_value=name in TYPED, **look
            )
        )

    def inputs(self) -> set[Component]:
        return set(self.controls.values())

    def read(self, values: Mapping[Any, Any], card: ModelCard, plain: Any) -> dict[str, Any]:
        """The settings as a recipe's JSON has them. `plain` reads the value of an optional number's text
        box.
        """
        usable = self._usable(card)
        found: dict[str, Any] = {SCALE: values[self.scale]}
        for name, control in self.controls.items():
            given, value = (
                self._options[name],
                values[control] if name in usable else self._options[name].default,
            )
            if given.optional:
                value = (value or None) if given.kind is str else plain(value)
            found[name] = value
        idle = idle_names(self._options.values(), found)
        found |= {name: self._options[name].default for name in idle}
        idle |= idle_names(self._options.values(), found)  # what an idle setting seemed to turn on
        groups = {
            group: {
                inside: found[one.name] for inside, one in flags_of(group).items() if one.name not in idle
            }
            for group in GROUPS
        }
        return {
            name: self._options[name].default if name in idle else found[name] for name in FIELDS
        } | groups

    def show(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates that put the section where the recipe says."""
        card = self.studio.card(recipe.model)
        choices, values = self._choices(card, recipe), _values(recipe)
        shown = self._shown(card, values)
        palette = {*self._of(PALETTE)}
        found: dict[Any, Any] = {
            self.section: gr.update(visible=bool(shown - palette)),
            self.palette_section: gr.update(visible=bool(shown & palette)),
        }
        for name, control in self.controls.items():
            more = (
                {"choices": choices[name], "value": values[name] or ""}
                if name in choices
                else {"value": values[name]}
            )
            found[control] = gr.update(visible=name in shown, **more)
        return found

    def _unusable(self, card: ModelCard) -> set[str]:
        """The names of the options that a model cannot use, the guidance scale among them."""
        reasons = self.studio.unusable(card)
        fields = {name: (name,) for name in (SCALE, *FIELDS)} | {
            one.name: (group, f"{group}.{inside}")
            for group in GROUPS
            for inside, one in flags_of(group).items()
        }
        return {name for name, own in fields.items() if not reasons.keys().isdisjoint(own)}

    def _usable(self, card: ModelCard) -> set[str]:
        """The names of the options here that a model can use."""
        return self._options.keys() - self._unusable(card)

    def _shown(self, card: ModelCard, values: Mapping[str, Any]) -> set[str]:
        """Of those that it can use, the ones that say something beside what is chosen."""
        return self._usable(card) - idle_names(self._options.values(), values)

    @staticmethod
    def _of(group: str) -> list[str]:
        return [one.name for one in flags_of(group).values()]

    def _choices(self, card: ModelCard, recipe: Recipe) -> dict[str, list[tuple[str, str]]]:
        """The menus that depend on the model. What a recipe from elsewhere names is among them, so that a
        run explains it.
        """
        classifiers, weaker = self.studio.helpers(card)
        known = self.studio.classifiers()
        judged = dict.fromkeys(label for name in classifiers for label in known[name].labels)
        menus = {
            "negative_label": [NONE, *_named(card.conditions)],
            "weaker": [NONE, *_named(weaker)],
            "classifier": [NONE, *_named(classifiers)],
            "classifier_label": [("as the run's", ""), *_named(judged)],
            "change_label": [("as before", ""), *_named((ANY, *card.conditions))],
            "palette": [("all colours", ""), *_own(card), *_named(PALETTES)],
            "self_guidance": [
                NONE,
                *((value_text("self_guidance", name), name) for name in self_guidance_kinds(card.spec)),
            ],
            "self_guidance_layers": [("those in the middle", ""), *_named(card.spec.network.middle_blocks)],
        }
        for name, value in _values(recipe).items():
            if name in menus and value and value not in dict(menus[name]).values():
                menus[name].append((value, value))
        return menus


def _named(names: Any) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _own(card: ModelCard) -> list[tuple[str, str]]:
    """The choice of the model's own palette, where it has one."""
    count = len(card.spec.palette)
    return [(f"the model's own {count:,} colours", OWN)] if count else []


def _values(recipe: Recipe) -> dict[str, Any]:
    """The recipe's settings by the names that they have here."""
    found = {name: getattr(recipe, name) for name in (SCALE, *FIELDS)}
    return found | {
        one.name: getattr(getattr(recipe, group), inside)
        for group in GROUPS
        for inside, one in flags_of(group).items()
    }
