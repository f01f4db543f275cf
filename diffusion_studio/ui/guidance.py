"""The section of the Generate tab about guidance in detail: what the chosen model can use, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ..imaging.palettes import OWN, PALETTES
from ..options import fields_of
from ..runs.applicability import self_guidance_kinds
from ..runs.guidance_options import GROUPS, flags_of
from ..runs.recipe import ANY, Recipe
from ..studio import ModelCard, Studio
from .handlers import LABELLED

# The recipe's own options that are shown here and not among the others.
FIELDS = ("guidance_shape", "guidance_scales", "guidance_rescale", "negative_label", "negative", "weaker")
LABELS = {
    "guidance_shape": "Guidance over the run",
    "guidance_scales": "Guidance as a list",
    "guidance_rescale": "Restore contrast",
    "negative": "Negative prompt",
    "weaker": "Weaker model",
    "interval_low": "Least noise",
    "interval_high": "Most noise",
    "projection_parallel": "Projection",
    "projection_radius": "Longest step",
    "classifier": "Classifier",
    "classifier_label": "Classifier's label",
    "change_step": "Change at step",
    "change_label": "New label",
    "change_prompt": "New prompt",
    "change_guidance": "New guidance",
    "palette": "Palette",
    "palette_below": "Palette from noise",
    "cfg_zero_star": "CFG-Zero*",
    "cfg_zero_silent": "Silent above noise",
    "self_guidance": "Self-guidance",
    "self_guidance_scale": "Its strength",
    "self_guidance_layers": "Attentions or blocks",
    "self_guidance_blur": "Blur of the queries",
}
LABELLED.update(
    {
        f"{group}.{inside}": LABELS[one.name]
        for group in GROUPS
        for inside, one in flags_of(group).items()
        if one.name in LABELS
    }
)
LABELLED.update({name: LABELS[name] for name in FIELDS if name in LABELS})
PALETTE = "palette"  # the group that has a section of its own
NONE = ("none", "")
# What says nothing while the first is empty.
DEPEND = {
    "classifier": ("classifier_scale", "classifier_form", "classifier_label"),
    "palette": ("palette_below",),
    "cfg_zero_star": ("cfg_zero_silent",),
    "self_guidance": ("self_guidance_scale", "self_guidance_layers", "self_guidance_blur"),
}
# Of these, what says something only beside some values of the first.
ONLY_WITH = {"self_guidance_blur": ("smoothed_energy",)}
TYPED = ("palette",)  # of the menus, those in which something else may be typed


class GuidanceControls:
    """Renders into the surrounding Blocks. `make` makes the control of an option."""

    def __init__(self, studio: Studio, start: Recipe, make: Any) -> None:
        self.studio = studio
        self.controls: dict[str, gr.components.Component] = {}
        self._options = {one.name: one for one in fields_of(Recipe) if one.name in FIELDS}
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
        for name, depending in DEPEND.items():  # what goes with an empty choice is not shown
            others = [self.controls[one] for one in depending]
            self.controls[name].change(
                lambda value, named=dict(zip(depending, others)): {
                    control: gr.update(visible=_counts(one, value)) for one, control in named.items()
                },
                self.controls[name],
                others,
                queue=False,
                show_progress="hidden",
                api_visibility="private",
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

    def inputs(self) -> set[gr.components.Component]:
        return set(self.controls.values())

    def read(self, values: Mapping[Any, Any], card: ModelCard, plain: Any) -> dict[str, Any]:
        """The settings as a recipe's JSON has them. `plain` reads the value of an optional number's text
        box.
        """
        usable = self._usable(card)
        found: dict[str, Any] = {}
        for name, control in self.controls.items():
            given, value = (
                self._options[name],
                values[control] if name in usable else self._options[name].default,
            )
            if given.optional:
                value = (value or None) if given.kind is str else plain(value)
            found[name] = value
        groups = {
            group: {inside: found.pop(one.name) for inside, one in flags_of(group).items()}
            for group in GROUPS
        }
        for named in ("classifier", "palette", "self_guidance"):  # beside an empty choice nothing is said
            if groups[named]["name"] is None:
                groups[named] = {}
        if not _counts("self_guidance_blur", groups["self_guidance"].get("name")):
            groups["self_guidance"].pop("blur", None)
        alone = groups["self_guidance"].get("name") is None and "guidance" in self.studio.unusable(card)
        if alone:  # an interval of no guidance says nothing
            groups["interval"] = {}
        if not groups["cfg_zero"]["star"]:
            groups["cfg_zero"] = {}
        if groups["change"]["step"] is None:
            groups["change"] = {}
        return found | groups

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

    def _usable(self, card: ModelCard) -> set[str]:
        """The names of the options that a model can use."""
        reasons = self.studio.unusable(card)
        fields = {name: (name,) for name in FIELDS} | {
            one.name: (group, f"{group}.{inside}")
            for group in GROUPS
            for inside, one in flags_of(group).items()
        }
        return {name for name, own in fields.items() if reasons.keys().isdisjoint(own)}

    def _shown(self, card: ModelCard, values: Mapping[str, Any]) -> set[str]:
        """Of those that it can use, the ones that say something beside what is chosen."""
        found = self._usable(card)
        for name, depending in DEPEND.items():
            found -= {one for one in depending if not _counts(one, values[name])}
        return found

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
                *((name.replace("_", " "), name) for name in self_guidance_kinds(card.spec)),
            ],
        }
        for name, value in _values(recipe).items():
            if name in menus and value and value not in dict(menus[name]).values():
                menus[name].append((value, value))
        return menus


def _counts(name: str, parent: Any) -> bool:
    """Whether an option says something beside the value of the one that it depends on."""
    return parent in ONLY_WITH[name] if name in ONLY_WITH else bool(parent)


def _named(names: Any) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _own(card: ModelCard) -> list[tuple[str, str]]:
    """The choice of the model's own palette, where it has one."""
    count = len(card.spec.palette)
    return [(f"the model's own {count:,} colours", OWN)] if count else []


def _values(recipe: Recipe) -> dict[str, Any]:
    """The recipe's settings by the names that they have here."""
    found = {name: getattr(recipe, name) for name in FIELDS}
    return found | {
        one.name: getattr(getattr(recipe, group), inside)
        for group in GROUPS
        for inside, one in flags_of(group).items()
    }
