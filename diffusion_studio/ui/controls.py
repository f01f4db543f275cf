"""Controls made from the registries and from the fields of option dataclasses, and the way from them to a
Recipe.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from ..errors import Given, OptionError, StudioError
from ..options import Option, fields_of, name_of
from ..runs import each_picture
from ..runs.applicability import idle_options
from ..runs.recipe import ANY, MAX_PICTURES, NO_EDIT, REGISTRIES, Recipe
from ..runs.setting_labels import LABELS
from ..runs.unknown_words import unknown_letters
from ..runs.unknown_words import unknown_words as unknown_to
from ..studio import ModelCard, Studio
from .builder import builder
from .editing import EditControls
from .guidance import FIELDS, GuidanceControls, hide_idle
from .handlers import LABELLED, label_of, warn
from .label_and_prompt import condition_settings, label_menu, prompt_text
from .model_cards import label_chips, model_items, parts, tries
from .page_script import call_action
from .picker import picker
from .player import opening_recipe

LABELLED.update(
    {
        "count": "Pictures",
        "seeds": "Seed",
        "spell": "The name or word",
        "spacing": "Spacing (schedule path)",
        "clip": "Clip the predicted x0",
        "stretch": "Stretch the shades",
        "points": "Points of each cloud",
    }
)
DICE_SIDES = 1_000_000
QUALITY = {"Fast": 0.4, "Normal": 1.0, "Best": 4.0}  # times the steps that suit the model
TIMED = "In seconds"  # seconds in place of a quality, see time_budget.py
RECOMMENDED = {  # samplers in the order of the menu, with a line each; all others come after them
    "ddim": "standard, no fresh noise",
    "dpmpp_2m": "good with few steps",
    "unipc": "good with very few steps",
    "heun": "exact, two calls a step",
    "ddpm": "the first one, fresh noise",
    "euler_ancestral": "lively, fresh noise",
}
OTHERS = {
    "euler": "the simplest step",
    "dpmpp_3m": "third order, for many steps",
    "dpmpp_2s": "one step, two calls",
    "dpmpp_2m_sde": "2M with fresh noise",
    "dpmpp_sde": "fresh noise, two calls",
    "dpmpp_singlestep": "as diffusers' singlestep",
    "dpm_2": "the midpoint method, two calls",
    "plms": "multistep of 2022",
    "pndm": "multistep with a careful start",
    "lms": "multistep, integrated exactly",
    "deis": "multistep in log-noise",
    "adaptive": "chooses its steps",
    "predictor_corrector": "Langevin correction",
    "consistency": "for consistency models",
}
_SLIDER_RANGE = 100  # whole-number options with a wider range get a number field


def control_for(given: Option, **kwargs: Any) -> Component:
    """The control that suits an option's kind and limits, with its help."""
    kwargs = {
        "label": label_of(given.name),
        "info": given.help,
        "value": given.default,
        **kwargs,
    }
    if given.choices:
        return gr.Dropdown(**{"choices": list(given.choices), **kwargs})
    if given.kind is bool:
        return gr.Checkbox(**kwargs)
    if given.kind is str or given.optional:  # an empty Number is 0 in the page, an empty Textbox is left out
        return gr.Textbox(**{"placeholder": "left out", **kwargs} if given.optional else kwargs)
    whole = given.kind is int
    low, high = given.low, given.high
    if low is not None and high is not None and high - low <= _SLIDER_RANGE:
        width = high - low
        step = 1 if whole else 0.005 if width < 1 else 0.05 if width == 1 else 0.5
        return gr.Slider(low, high, step=step, **kwargs)
    return gr.Number(minimum=given.low, maximum=given.high, precision=0 if whole else None, **kwargs)


def field_of(cls: type, name: str) -> Option:
    """One option of a dataclass by name."""
    return next(one for one in fields_of(cls) if one.name == name)


@dataclass
class OptionControls:
    """The controls of one option dataclass, by field name."""

    cls: type
    controls: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def render(cls, options: type, skip: Iterable[str] = (), **changes: dict[str, Any]) -> OptionControls:
        """Make a control for every field but those to skip; `changes` override arguments by field name."""
        controls = {
            one.name: control_for(one, **changes.get(one.name, {}))
            for one in fields_of(options)
            if one.name not in skip
        }
        return cls(options, controls)

    def read(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        optional = {one.name: one.kind for one in fields_of(self.cls) if one.optional}
        left_out = {str: lambda text: text or None}  # by kind: what an empty text box holds stands for None
        return {
            name: left_out.get(optional[name], _number_or_none)(values[control])
            if name in optional
            else values[control]
            for name, control in self.controls.items()
        }

    def show(self, given: Any) -> dict[Any, Any]:
        return {control: getattr(given, name) for name, control in self.controls.items()}


class ChoiceControls:
    """A menu of a registry's names, and the options of the one that is chosen.

    What `reasons` speak against (see `runs.applicability`) is not offered, nor is an option that counts for
    nothing as the others stand.
    """

    def __init__(self, kind: str, start: Any, reasons: Mapping[str, str] = {}, **kwargs: Any) -> None:
        self.kind, self.registry = kind, REGISTRIES[kind]
        chosen = name_of(self.registry, start)
        self.menu = gr.Dropdown(self._offered(chosen, reasons), value=chosen, elem_id=kind, **kwargs)
        self.options: dict[str, OptionControls] = {}
        self.groups: dict[str, gr.Group] = {}
        for name, cls in self.registry.items():
            with gr.Group(visible=type(start) is cls) as group:
                at = start if type(start) is cls else cls()
                self.options[name] = OptionControls.render(cls, **self._control_properties(at, reasons))
            self.groups[name] = group

    def inputs(self) -> set[Component]:
        found: set[Component] = {self.menu}
        return found.union(*(one.controls.values() for one in self.options.values()))

    def read(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The choice as a recipe's JSON has it."""
        name = values[self.menu]
        return {"name": name, **(self.options[name].read(values) if name in self.options else {})}

    def show(self, given: Any, reasons: Mapping[str, str] = {}) -> dict[Any, Any]:
        name = name_of(self.registry, given)
        return {
            self.menu: gr.update(value=name, choices=self._offered(name, reasons)),
            **{
                self.options[name].controls[option]: gr.update(**look)
                for option, look in self._control_properties(given, reasons).items()
            },
            **self._shown(name),
        }

    def _control_properties(self, given: Any, reasons: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Value, visibility and choices of the controls of an instance's options, by their names."""
        idle = idle_options(given)
        found: dict[str, dict[str, Any]] = {}
        for one in fields_of(type(given)):
            value = getattr(given, one.name)
            look = found[one.name] = {"value": value, "visible": one.name not in idle}
            if one.choices:
                look["choices"] = _offered(one.choices, f"{self.kind}.{one.name}", value, reasons)
        return found

    def connect(self) -> None:
        for options in self.options.values():
            hide_idle(fields_of(options.cls), options.controls)
        self.menu.change(
            self._shown, self.menu, list(self.groups.values()), queue=False, api_visibility="private"
        )

    def _offered(self, chosen: str, reasons: Mapping[str, str]) -> list[tuple[str, str]]:
        """The entries of the menu, (what is read, name): those that nothing speaks against, and the chosen
        one.
        """
        titles = sampler_choices() if self.kind == "sampler" else [(name, name) for name in self.registry]
        names = _offered([name for _, name in titles], self.kind, chosen, reasons)
        return [(title, name) for title, name in titles if name in names]

    def _shown(self, name: str) -> dict[Any, Any]:
        return {group: gr.update(visible=name == one) for one, group in self.groups.items()}


def _offered(names: Iterable[str], field: str, chosen: str, reasons: Mapping[str, str]) -> list[str]:
    """The names of a menu that nothing speaks against, and the chosen one."""
    return [name for name in names if f"{field}={name}" not in reasons or name == chosen]


class RecipeControls:
    """All settings of a run. Its methods render the models, the examples, label and prompt, the numbers, and
    the rest, each at its place on the page.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.start = self._first_recipe()
        self.present = gr.State(self.start.model)
        self.before = gr.State({})  # what a visitor left the other models at, as JSON by name

    def render_models(self) -> None:
        """The cards of the models."""
        self.model = picker(
            model_items(self.studio.models()),
            self.start.model,
            label="Model",
            look="cards",
            elem_id="model",
        )

    def render_tries(self) -> None:
        """Render the examples, each of which sets label or prompt with one click."""
        self.examples = picker(
            tries(self.studio.card(self.start.model)), label="Examples", look="chips", elem_id="examples"
        )

    def render_asked(self) -> None:
        """Render label, prompt and the text to spell."""
        card, start = self.studio.card(self.start.model), self.start
        reasons = self.studio.unusable(card)
        self.remarks = gr.HTML(remarked(card), elem_id="remarks", visible=bool(card.remarks), min_height=0)
        with gr.Column(visible=each_picture.can_spell(card.conditions), min_width=0) as self.spelling:
            self.spell = gr.Textbox(
                start.spell or "",
                label="Write a name or a word",
                info="One picture a letter. While text stands here, Label and Pictures are not used.",
                elem_id="spell",
                lines=1,
                max_lines=3,
                max_length=200,
                placeholder="Your name",
            )
            self.left_out = gr.HTML(
                letters_left_out(card, start.spell), elem_id="letters-left-out", min_height=0
            )
            self.one_hand = gr.Checkbox(
                False, label="one seed for all letters (alike in style)", elem_id="one-hand", container=False
            )
        chips = label_chips([ANY, *card.conditions] if card.conditions else [])
        self.label = gr.Dropdown(
            [ANY, *card.conditions],
            value=start.label or ANY,
            label="Label",
            elem_id="label",
            interactive=not start.spell,
            visible="label" not in reasons and not chips,
        )
        self.chips = picker(
            chips,
            start.label or ANY,
            label="Label",
            look="labels",
            off=bool(start.spell),
            elem_id="label-chips",
        )
        with gr.Column(visible="prompt" not in reasons, min_width=0) as self.text:
            self.prompt = gr.Textbox(
                start.prompt or "",
                label="Prompt",
                elem_id="prompt",
                lines=2,
                max_lines=4,
                placeholder="any",
            )
            self.unknown = gr.HTML(unknown_words(card, start.prompt), elem_id="unknown-words", min_height=0)
            self.builder = builder(parts(card), elem_id="builder")

    def render_numbers(self) -> None:
        """How many pictures, from which noise, in how many steps, how close to what is asked."""
        card, start = self.studio.card(self.start.model), self.start
        reasons = self.studio.unusable(card)
        with gr.Row(equal_height=True, elem_id="seed-row"):
            self.count = gr.Number(
                len(start.seeds),
                precision=0,
                label="Pictures",
                elem_id="count",
                interactive=not start.spell,
                scale=2,
                min_width=60,
            )
            self.seed = gr.Textbox(
                _seed_text(start), label="Seed", elem_id="seed", scale=3, min_width=60, max_lines=1
            )
            self.dice = gr.Button("Random", size="sm", elem_id="dice", scale=0, min_width=40)
        with gr.Row(equal_height=True, elem_id="steps-row"):
            self.quality = gr.Radio(
                [*QUALITY, TIMED], value="Normal", label="Quality", elem_id="quality", scale=4, min_width=120
            )
            self.steps = gr.Number(
                start.steps,
                precision=0,
                label="Steps",
                elem_id="steps",
                scale=1,
                min_width=60,
            )
        self.guidance = gr.Slider(
            0,
            10,
            value=start.guidance,
            step=0.1,
            label="Guidance",
            elem_id="guidance",
            visible="guidance" not in {*reasons, *idle_options(start)},
        )

    def render_rest(self, below: Any = None, stage: Any = None) -> None:
        """`below` is the place under the player, `stage` the one in which a picture is edited."""
        card, start = self.studio.card(self.start.model), self.start
        reasons = self.studio.unusable(card)
        with gr.Accordion("Sampler", open=True, elem_id="sampler-section"):
            self.sampler = ChoiceControls(
                "sampler",
                start.sampler,
                reasons,
                label="Sampler",
                info="How each step goes from one noise level to the next. ★ is recommended.",
            )
        with gr.Accordion("Schedule", open=False, elem_id="schedule-section"):
            self.spacing = ChoiceControls(
                "spacing",
                start.spacing,
                label="Spacing (schedule path)",
                info="Which noise levels the steps visit.",
            )
        self.guiding = GuidanceControls(self.studio, start, control_for, self.guidance)
        with gr.Accordion("More", open=False, elem_id="more-section"):
            self.advanced = OptionControls.render(
                Recipe,
                skip=("model", "label", "prompt", "spell", "steps", "guidance", *FIELDS),
                clip={"label": LABELLED["clip"], "value": start.clip},
                stretch={"label": LABELLED["stretch"], "value": start.stretch},
                points={"label": LABELLED["points"], "value": start.points, "elem_id": "points"},
                reuse={"label": LABELS["reuse"], "value": start.reuse, "elem_id": "reuse"},
            )
            hidden = {*reasons, *idle_options(start)}
            for name, control in self.advanced.controls.items():
                control.visible = name not in hidden
        self.editing = EditControls(self.studio, start, control_for, below, stage)
        self._connect()

    def inputs(self) -> set[Component]:
        """Every control whose value `recipe` reads."""
        return {
            self.model,
            self.label,
            self.spell,
            self.one_hand,
            self.prompt,
            self.count,
            self.seed,
            self.steps,
            self.guidance,
            *self.sampler.inputs(),
            *self.spacing.inputs(),
            *self.advanced.controls.values(),
            *self.guiding.inputs(),
            *self.editing.inputs(),
        }

    def outputs(self) -> list[Any]:
        """Everything that `show` sets."""
        return list(
            dict.fromkeys(
                [
                    *self.inputs(),
                    self.present,
                    self.remarks,
                    self.text,
                    self.spelling,
                    self.left_out,
                    self.examples,
                    self.chips,
                    self.unknown,
                    self.builder,
                    self.quality,
                    self.guiding.section,
                    self.guiding.palette_section,
                    *self.sampler.groups.values(),
                    *self.spacing.groups.values(),
                    *self.editing.outputs(),
                ]
            )
        )

    def recipe(self, values: Mapping[Any, Any], tell: Callable[[str], None] = warn) -> Recipe:
        """The recipe that the controls stand at; an `OptionError` says what is wrong with them. What is left
        out of the settings goes to `tell`.
        """
        card = self.studio.card(values[self.model])
        reasons = self.studio.unusable(card)
        rest = self.advanced.read(values) | self.guiding.read(values, card, _number_or_none)
        rest |= {name: field_of(Recipe, name).default for name in self.advanced.controls if name in reasons}
        edit, branch = self.editing.read(values, card, _number_or_none)
        wanted = condition_settings(card, values[self.label], values[self.prompt], values[self.spell], tell)
        count = values[self.count]
        if wanted["spell"]:
            count = _letters(wanted["spell"])
        seeds = _seeds(values[self.seed], count)
        if wanted["spell"] and values[self.one_hand]:
            seeds = seeds[:1] * count
        seeds = self.editing.seeds(edit, seeds)
        return Recipe.from_settings(
            {
                "model": values[self.model],
                **wanted,
                "seeds": seeds,
                "edit": edit,
                "branch": branch,
                "sampler": self.sampler.read(values),
                "spacing": self.spacing.read(values),
                "guidance": values[self.guidance],
                **rest,
            },
            {"steps": values[self.steps]},
        )  # the slider yields to a spacing that brings its own number

    def problems(self, values: Mapping[Any, Any]) -> list[StudioError]:
        """All that is wrong with the numbers, and the first other error. After each, its number is taken as
        one that is right, so that the next can be found.
        """
        right = {
            "count": (self.count, 1),
            "seed": (self.seed, "0"),
            "seeds": (self.seed, "0"),
            "steps": (self.steps, self.start.steps),
            "guidance": (self.guidance, self.start.guidance),
        }
        values, found = dict(values), []
        while True:
            try:
                self.recipe(values, lambda text: None)
                return found
            except StudioError as error:
                found.append(error)
                control, value = right.pop(getattr(error, "field", ""), (None, None))
                if control is None:
                    return found
                values[control] = value

    def show(self, recipe: Recipe) -> dict[Any, Any]:
        """Updates that put the controls where the recipe says."""
        card = self.studio.card(recipe.model)
        reasons = self.studio.unusable(card)
        hidden = {*reasons, *idle_options(recipe)}
        labels, label = label_menu(card, recipe)
        chips = [] if recipe.labels and not recipe.spell else label_chips(labels if card.conditions else [])
        return {
            self.model: recipe.model,
            self.present: recipe.model,
            self.remarks: gr.update(value=remarked(card), visible=bool(card.remarks)),
            self.label: gr.update(
                choices=labels,
                value=label,
                visible="label" not in reasons and not chips,
                interactive=not recipe.spell,
            ),
            self.chips: gr.update(items=chips, value=label, off=bool(recipe.spell)),
            self.unknown: unknown_words(card, prompt_text(recipe)),
            self.builder: gr.update(parts=parts(card)),
            self.text: gr.update(visible="prompt" not in reasons),
            self.spelling: gr.update(visible=each_picture.can_spell(card.conditions)),
            self.spell: recipe.spell or "",
            self.left_out: letters_left_out(card, recipe.spell),
            self.one_hand: bool(recipe.spell) and len(set(recipe.seeds)) == 1,
            self.prompt: prompt_text(recipe),
            self.examples: gr.update(items=tries(card)),
            self.quality: self._quality(recipe.steps, recipe.model),
            self.count: gr.update(value=len(recipe.seeds), interactive=not recipe.spell),
            self.seed: _seed_text(recipe),
            self.steps: recipe.steps,
            self.guidance: gr.update(
                value=recipe.guidance,
                visible="guidance" not in hidden,
                minimum=min(0, recipe.guidance),
                maximum=max(10, recipe.guidance),
            ),
            **self.sampler.show(recipe.sampler, reasons),
            **self.spacing.show(recipe.spacing),
            **{
                control: gr.update(value=getattr(recipe, name), visible=name not in hidden)
                for name, control in self.advanced.controls.items()
            },
            **self.guiding.show(recipe),
            **self.editing.show(recipe, card),
        }

    def _first_recipe(self) -> Recipe:
        cards: list[ModelCard] = self.studio.models()
        if not cards:
            problems = "".join(f"\n  {name}: {why}" for name, why in self.studio.problems().items())
            raise OptionError(
                "model",
                f"No model was found in {self.studio.folder}. Put one there as NAME/model.safetensors, or "
                f"give another folder with --checkpoints.{problems}",
            )
        opening = Recipe.from_json(opening_recipe())
        known = next((card for card in cards if card.name == opening.model and card.spec.takes_text), None)
        return self.studio.recipe(cards[0].name) if known is None else opening

    def _connect(self) -> None:
        self.dice.click(
            lambda: str(random.randrange(DICE_SIDES)), None, self.seed, queue=False, api_visibility="private"
        )
        self.examples.input(
            None,
            [self.examples, self.label, self.prompt],
            [self.label, self.prompt, self.spell],
            js=call_action("tryExample"),
            queue=False,
        ).then(None, js=call_action("clickOn", "#generate"), queue=False)
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.quality.input(self._steps_of_quality, [self.quality, self.model], self.steps, **quick)
        self.steps.input(self._quality, [self.steps, self.model], self.quality, **quick)
        self.spell.change(
            None,
            self.spell,
            [self.label, self.count, self.chips],
            js=call_action("spellOnly"),
            queue=False,
            api_visibility="private",
        )
        alone = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.spell.change(
            lambda text, model: letters_left_out(self.studio.card(model), text),
            [self.spell, self.model],
            self.left_out,
            trigger_mode="always_last",
            **alone,
        )
        self.chips.input(None, self.chips, self.label, js="label => label", **alone)
        self.label.change(None, self.label, self.chips, js="label => label", **alone)
        self.builder.input(None, self.builder, self.prompt, js="prompt => prompt", **alone)
        self.prompt.change(
            lambda prompt, model: unknown_words(self.studio.card(model), prompt),
            [self.prompt, self.model],
            self.unknown,
            trigger_mode="always_last",
            **alone,
        )
        self.editing.connect(self.model, self.prompt, self.label)
        self.sampler.connect()
        self.spacing.connect()
        self.guiding.connect(self.model)
        hide_idle(
            [field_of(Recipe, name) for name in self.advanced.controls], self.advanced.controls, "input"
        )
        self.model.input(
            self._model_updates,
            {*self.inputs(), self.present, self.before},
            [*self.outputs(), self.before],
            **quick,
        )

    def _model_updates(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Updates for another model: the visitor's last settings of it, otherwise its defaults. The settings
        of the model before are remembered.
        """
        name, before = values[self.model], dict(values[self.before])
        try:
            left = self.recipe({**values, self.model: values[self.present]}, lambda text: None)
            before[values[self.present]] = left.to_json()
        except StudioError:  # no settings to come back to
            before.pop(values[self.present], None)
        recipe = Recipe.from_json(before[name]) if name in before else self.studio.recipe(name)
        found = self.show(recipe)
        # Meanwhile the person may have opened the section of edits, and chosen one: it is left alone.
        own = {self.editing.section}
        if recipe.edit is None and values[self.editing.kind] == NO_EDIT:
            own |= {*self.editing.inputs()} - {self.editing.branch}
        for control in own:
            found.pop(control, None)
        return {**_changes_only(found, values), self.before: before}

    def _steps_of_quality(self, quality: str, model: str) -> Any:
        """The number of steps of a quality. An unknown quality changes nothing."""
        if quality not in QUALITY:
            return gr.skip()
        most = self.studio.card(model).spec.schedule.timesteps
        return min(most, max(1, round(self.studio.recipe(model).steps * QUALITY[quality])))

    def _quality(self, steps: Any, model: str) -> str | None:
        """The quality with this number of steps, if there is one."""
        return next((name for name in QUALITY if self._steps_of_quality(name, model) == steps), None)


def remarked(card: ModelCard) -> str:
    """What was assumed of a model and what of it is not followed. The lines hold names from the file."""
    return "".join(f"<p>{escape(line[:1].upper() + line[1:])}</p>" for line in card.remarks)


def unknown_words(card: ModelCard, prompt: str | None) -> str:
    """A sentence about the words of a prompt that are not in the model's table, as HTML, if there are any."""
    sentence = unknown_to(card.name, card.spec, [prompt])
    return f"<p>{escape(sentence)}</p>" if sentence else ""


def letters_left_out(card: ModelCard, text: str | None) -> str:
    """A sentence about the letters of a text to spell that the model does not draw as they are, as HTML."""
    if not text or not each_picture.can_spell(card.conditions):
        return ""
    sentence = unknown_letters(card.name, text, card.conditions)
    return f"<p>{escape(sentence)}</p>" if sentence else ""


def sampler_choices() -> list[tuple[str, str]]:
    """The samplers for a menu: those that are recommended first, with a star; each with its line."""
    others = [name for name in REGISTRIES["sampler"] if name not in RECOMMENDED]
    return [
        *((f"★ {name}: {line}", name) for name, line in RECOMMENDED.items()),
        *((f"{name}: {OTHERS[name]}" if name in OTHERS else name, name) for name in others),
    ]


def _changes_only(updates: dict[Any, Any], values: Mapping[Any, Any]) -> dict[Any, Any]:
    """The updates that change a control: the page redraws less without the others."""
    return {
        control: update
        for control, update in updates.items()
        if isinstance(update, dict) or control not in values or values[control] != update
    }


def _number_or_none(text: object) -> Any:
    """What an optional number's text box holds; the option's own check says what is wrong with any other
    text.
    """
    text = str(text if text is not None else "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _seeds(text: str, count: Any) -> tuple[int, ...]:
    parts = [part for part in str(text or "").replace(",", " ").split() if part]
    if not parts or not all(part.isdecimal() for part in parts):
        raise OptionError(
            "seed",
            "must be a whole number of at least 0, or several with commas between them",
            Given(text, "; "),
        )
    given = tuple(int(part) for part in parts)
    if len(given) > 1:
        return given
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not 1 <= count <= MAX_PICTURES:
        raise OptionError("count", f"must be a whole number from 1 to {MAX_PICTURES}", Given(count))
    first = int(parts[0])
    return tuple(range(first, first + int(count)))


def _letters(text: str) -> int:
    """How many letters a text to spell has. An `OptionError` where a run cannot make as many pictures."""
    count = len(each_picture.spelled(text)[1])
    if count > MAX_PICTURES:
        raise OptionError(
            "spell",
            f"must have at most {MAX_PICTURES} letters, as many as a run makes pictures; got {count}.",
        )
    return count


def _seed_text(recipe: Recipe) -> str:
    first = recipe.seeds[0]
    if recipe.spell and len(set(recipe.seeds)) == 1:
        return str(first)
    if recipe.seeds == tuple(range(first, first + len(recipe.seeds))):
        return str(first)
    return ", ".join(map(str, recipe.seeds))
