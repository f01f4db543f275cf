"""A recipe as a value: compared, saved, read back, and as a command."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from diffusion_studio.diffusion.noise import MAX_SEED
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS
from diffusion_studio.diffusion.spacing import (
    SPACINGS,
    Exponential,
    Follow,
    Karras,
    Leading,
    Sections,
    Timesteps,
    Trailing,
)
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.options import fields_of
from diffusion_studio.runs.branch import Branch
from diffusion_studio.runs.edits import FromPicture
from diffusion_studio.runs.guidance_options import (
    GROUPS,
    ByClassifier,
    CfgZero,
    Change,
    Interval,
    Palette,
    Projection,
    SelfGuidance,
    flags_of,
)
from diffusion_studio.runs.recipe import MAX_PICTURES, Recipe

PIXEL = Picture(np.zeros((1, 1), np.uint8))
RECIPES = [
    Recipe(),
    Recipe(model="fashion-mnist", label="Ankle boot", seeds=(0, 1, 2, 3), steps=20, guidance=2.5),
    Recipe(
        model="a b'c",
        label="T-shirt",
        seeds=(MAX_SEED, 0, 5),
        sampler=DDIM(eta=0.1),
        spacing="leading",
        clip=False,
    ),
    Recipe(model="x", sampler=DDPM(variance="large"), seeds=tuple(range(7, 7 + MAX_PICTURES)), guidance=-3.0),
    Recipe(model="emoji", label="google", prompt='cat\'s "astronaut"', negative="-blue", guidance=5.0),
    Recipe(model="m", sampler=DDIM(keep_eps=True)),
    Recipe(prompt="--steps 3"),
    Recipe(model="ünï", label='"quoted" \\ $HOME', guidance=0.0),
    *(Recipe(model="m", sampler=cls()) for cls in SAMPLERS.values()),
    *(Recipe(model="m", spacing=name) for name in SPACINGS),
    Recipe(
        model="m",
        label="Bag",
        negative_label="-Shirt",
        guidance=6.0,
        guidance_shape="cosine",
        guidance_rescale=0.7,
        threshold=0.995,
    ),
    Recipe(
        model="m",
        weaker="a worse one",
        guidance=1.6,
        interval=Interval(0.25, 3.5),
        projection=Projection(0.1, 5),
    ),
    Recipe(
        model="m",
        guidance_scales="-1,5.5,1",
        classifier=ByClassifier("c d", -2.0, "mean", "-x"),
        change=Change(7, "any", "a dog", 1.5),
    ),
    Recipe(model="m", interval=Interval(low=0.5), change=Change(1, guidance=-2)),
    Recipe(model="m", palette=Palette("own")),
    Recipe(model="m", palette=Palette("#000, #F80,fff", 2.5)),
    Recipe(model="m", steps=3, spacing=Timesteps(timesteps="-1.5,-2,-3")),
    Recipe(model="m", spacing=Sections(sections="ddim50")),
    Recipe(model="m", spacing=Karras(rho=3.25)),
    Recipe(model="m", spacing=Follow(follow="flow")),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_json_round_trip(recipe):
    text = recipe.to_json()
    assert "\n" not in text
    assert Recipe.from_json(text) == recipe and hash(Recipe.from_json(text)) == hash(recipe)


def test_every_field_is_in_the_json_and_tells_recipes_apart():
    base = Recipe(model="m", label="a")
    changes = {
        "model": "n",
        "label": None,
        "seeds": (1,),
        "steps": 51,
        "sampler": DDIM(eta=0.5),
        "spacing": "leading",
        "guidance": 1.5,
        "clip": False,
        "stretch": True,
        "prompt": "a cat",
        "negative": "dog",
        "negative_label": "b",
        "guidance_shape": "linear",
        "guidance_rescale": 0.5,
        "threshold": 0.9,
        "threshold_most": 2.0,
        "clip_range": 0.5,
        "reuse": 3,
        "guidance_scales": "1,5",
        "weaker": "w",
        "interval": Interval(0.2, 3),
        "projection": Projection(0),
        "classifier": ByClassifier("c", 2.0),
        "change": Change(3, guidance=2),
        "palette": Palette("game-boy"),
        "cfg_zero": CfgZero(True),
        "self_guidance": SelfGuidance("smoothed_energy", 2.0, "middle.1", 1.5),
        "low_res": PIXEL,
        "edit": FromPicture(PIXEL),
        "branch": Branch(Recipe(model="m", label="a"), 3),
        "points": 500,
        "spell": "ab",
        "labels": ("a", "b"),
        "prompts": ("a", "b"),
    }
    beside = {  # what two of them need besides: a picture for each
        "labels": {"label": None, "seeds": (0, 1)},
        "prompts": {"seeds": (0, 1)},
        "spell": {"label": None, "seeds": (0, 1)},
    }
    assert changes.keys() == Recipe.__dataclass_fields__.keys()
    texts = {base.to_json()}
    for name, value in changes.items():
        other = Recipe(**{"model": "m", "label": "a", **beside.get(name, {}), name: value})
        assert other != base and Recipe.from_json(other.to_json()) != base
        texts.add(other.to_json())
    assert len(texts) == len(changes) + 1


def test_a_stored_recipe_is_still_read():
    """As the first version wrote it; files out there carry this text."""
    text = (
        '{"diffusion-studio": 1, "model": "fashion-mnist", "label": "Sneaker", "seeds": [0, 1], "steps": 50, '
        '"sampler": {"name": "ddim", "eta": 0.0}, "spacing": "trailing", "guidance": 2.0, "clip": true}'
    )
    assert Recipe.from_json(text) == Recipe(
        model="fashion-mnist", label="Sneaker", seeds=(0, 1), guidance=2.0
    )
    written = json.loads(Recipe.from_json(text).to_json())
    assert written.items() >= {**json.loads(text), "sampler": written["sampler"]}.items()
    assert written["sampler"].items() >= {"name": "ddim", "eta": 0.0}.items()


def test_a_spacing_without_options_is_written_as_its_name():
    """As the first version wrote all of them; one with options is an object like a sampler."""
    assert json.loads(Recipe(spacing="leading").to_json())["spacing"] == "leading"
    assert json.loads(Recipe(spacing=Karras(rho=5)).to_json())["spacing"] == {"name": "karras", "rho": 5.0}


@pytest.mark.parametrize(
    "name, spellings",
    [
        ("spacing", ["karras", {"name": "karras"}, {"name": "karras", "rho": 7}, Karras()]),
        ("sampler", ["ddpm", {"name": "ddpm"}, {"name": "ddpm", "variance": "small"}, DDPM()]),
    ],
)
def test_a_recipe_itself_takes_names_and_objects(name, spellings):
    for given in spellings:
        assert getattr(Recipe(**{name: given}), name) == spellings[-1]
        assert Recipe.from_settings({name: given}) == Recipe(**{name: spellings[-1]})


def test_a_spacing_with_steps_of_its_own_brings_them():
    given = {"spacing": {"name": "sections", "sections": "3,4"}}
    assert Recipe.from_settings(given).steps == 7
    assert Recipe.from_settings(given, {"steps": 50}).steps == 7
    assert Recipe.from_settings({"model": "m"}, {"steps": 50, **given}).steps == 7
    assert (
        Recipe.from_settings({**given, "steps": 50}).steps == 50
    )  # said aloud: `path` explains what is wrong
    assert Recipe.from_settings({"spacing": "karras"}, {"steps": 20}).steps == 20
    assert Recipe.from_settings({"steps": 5}, {"model": "m", "steps": 9}) == Recipe(model="m", steps=5)


@pytest.mark.parametrize(
    "sampler", ["ddpm", {"name": "ddpm"}, {"name": "ddpm", "variance": "small"}, DDPM()], ids=str
)
def test_settings_name_a_sampler_in_several_ways(sampler):
    given = {"model": "m", "sampler": sampler, "seeds": [4, 5], "steps": 3.0, "guidance": 2}
    recipe = Recipe.from_settings(given)
    assert recipe == Recipe(model="m", sampler=DDPM(), seeds=(4, 5), steps=3, guidance=2.0)
    assert given["sampler"] is sampler and given["seeds"] == [4, 5]
    assert type(recipe.steps) is int and type(recipe.guidance) is float


@pytest.mark.parametrize(
    "given, kept", [("", None), (" \n ", None), ("  red\n square ", "red square"), (None, None)]
)
def test_a_prompt_has_one_form(given, kept):
    """An empty box and no prompt are the same run."""
    assert Recipe(prompt=given, negative=given) == Recipe(prompt=kept, negative=kept)
    assert Recipe(prompt=given).prompt == kept


def test_defaults():
    assert (
        Recipe.from_settings({}) == Recipe() == Recipe("", None, (0,), 50, DDIM(0.0), "trailing", 1.0, True)
    )
    assert Recipe(seeds=[1, 2]).seeds == (1, 2)
    assert Recipe().spacing == Trailing() and Recipe(spacing="leading").spacing == Leading()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"modle": "m"}, "There is no field of a recipe 'modle'.*Did you mean 'model'"),
        ({"sampler": "dimm"}, "There is no sampler 'dimm'. Choose one of: ddim, ddpm.*Did you mean 'ddim'"),
        (
            {"sampler": {"name": "ddim", "variance": "small"}},
            "There is no option of the sampler 'ddim' 'variance'",
        ),
        ({"sampler": {"name": "ddim", "eta": 2}}, "sampler.eta must be a finite number from 0 to 1, got 2"),
        ({"sampler": {"eta": 2}}, "A sampler is a name or an object with a 'name'"),
        (
            {"sampler": 3},
            "sampler must be a name, or an object with a name and its options, got 3. Choose one of: ddim",
        ),
        ({"sampler": None}, "sampler must be a name, .* got None"),
        ({"seeds": ()}, "A run makes from 1 to 64 pictures, got 0 seeds"),
        ({"seeds": range(65)}, "A run makes from 1 to 64 pictures, got 65 seeds. Make more in several runs"),
        ({"seeds": (-1,)}, f"A seed is a whole number from 0 to {MAX_SEED}, got -1"),
        ({"seeds": (MAX_SEED + 1,)}, f"A seed is a whole number from 0 to {MAX_SEED}, got {MAX_SEED + 1}"),
        ({"seeds": (1.0,)}, r"A seed is a whole number .* got 1\.0"),
        ({"seeds": (True,)}, "A seed is a whole number .* got True"),
        ({"seeds": "12"}, "seeds must be a list of whole numbers, one for each picture, got '12'"),
        ({"seeds": 5}, "seeds must be a list of whole numbers, one for each picture, got 5"),
        ({"steps": 0}, "steps must be a whole number, at least 1, got 0"),
        ({"steps": 2.5}, r"steps must be a whole number, at least 1, got 2\.5"),
        ({"steps": "many"}, "steps must be"),
        (
            {"spacing": "karas"},
            "There is no spacing 'karas'. Choose one of: trailing, leading, linspace.*Did you mean 'karras'",
        ),
        ({"spacing": {"name": "karras", "eta": 1}}, "There is no option of the spacing 'karras' 'eta'"),
        (
            {"spacing": {"name": "karras", "rho": 0}},
            "spacing.rho must be a finite number from 1 to 20, got 0",
        ),
        ({"spacing": 3}, "spacing must be a name, .* got 3. Choose one of: trailing, leading"),
        ({"spacing": DDIM()}, r"spacing must be a name, .* got DDIM\(.*\). Choose one of: trailing"),
        ({"guidance": float("nan")}, "guidance must be a finite number from -20 to 50, got nan"),
        ({"guidance": 51}, "from -20 to 50, got 51"),
        ({"clip": "no"}, "clip must be true or false, got 'no'"),
        ({"prompt": 3}, "prompt must be a text, got 3"),
        ({"negative": ["a"]}, "negative must be a text"),
        ({"prompt": "x" * 2001}, "The prompt has 2,001 letters; the most is 2,000. Make it shorter"),
        (
            {"guidance_scales": "1,x"},
            "guidance_scales must be numbers from -20 to 50 with commas .* got '1,x'",
        ),
        ({"guidance_scales": "60"}, "got '60'"),
        ({"guidance_scales": "1,,2"}, "got '1,,2'"),
        ({"interval": {"low": 3, "high": 1}}, "from a low to a high noise, got 3 to 1"),
        ({"interval": {"high": "x"}}, "interval.high must be a finite number, at least 0, got 'x'"),
        ({"interval": {"up": 1}}, "There is no option of interval 'up'"),
        ({"interval": 3}, r"interval must be an object of its options \(low, high\), got 3"),
        ({"projection": {"parallel": 2}}, "projection.parallel must be a finite number from 0 to 1"),
        (
            {"classifier": {"name": "c", "form": "both"}},
            "There is no classifier.form 'both'. Choose one of: score, mean",
        ),
        ({"change": {"step": 0, "label": "a"}}, "change.step must be a whole number, at least 1, got 0"),
        (
            {"change": {"step": 3}},
            "Nothing changes at step 3. Give another label, prompt or guidance, or no step",
        ),
        ({"change": {"label": "a"}}, "The label changes at a step, and none is given. Say at which"),
        (
            {"palette": "sepia"},
            "Not a colour: 'sepia'. A palette is own, black-white, .* or colours with commas",
        ),
        ({"palette": "#12345"}, "Not a colour: '#12345'"),
        ({"palette": "#000,,#000"}, "has 2 to 256 colours, got 1"),
        ({"palette": ",".join(f"#{k:06x}" for k in range(257))}, "has 2 to 256 colours, got 257"),
        (
            {"palette": {"name": "own", "below": -1}},
            "palette.below must be a finite number from 0 to 1000, got -1",
        ),
        ({"label": 3}, "label must be a text, got 3"),
        ({"model": None}, "model must be a text, got None"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(OptionError, match=message):
        Recipe.from_settings(settings)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "Not a recipe: "),
        ("hello", "Not a recipe: "),
        ("{", "Not a recipe: "),
        (None, "Not a recipe: "),
        ("[" * 100_000, "Not a recipe: "),
        ("1" * 5000, "Not a recipe: "),
        ("[]", "JSON, but without the key 'diffusion-studio'"),
        ("{}", "JSON, but without the key 'diffusion-studio'"),
        ('"text"', "JSON, but without the key"),
        ("3", "JSON, but without the key"),
        ('{"diffusion-studio": 2}', "The recipe has version 2; this program reads version 1"),
        ('{"diffusion-studio": null}', "The recipe has version None"),
        ('{"diffusion-studio": 1, "colour": "red"}', "There is no field of a recipe 'colour'"),
        ('{"diffusion-studio": 1, "steps": 0}', "steps must be"),
        ('{"diffusion-studio": 1, "steps": NaN}', "steps must be .* got nan"),
        ('{"diffusion-studio": 1, "sampler": {"name": ["ddim"]}}', "There is no sampler"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_texts_that_are_no_recipe(text, message):
    with pytest.raises(OptionError, match=message):
        Recipe.from_json(text)


# --- the command line that makes the run


def settings_of(command: str) -> dict:
    """Read a command back by hand: flags with one value each, --no-clip and --keep-eps."""
    words = shlex.split(command)
    assert words[:2] == ["diffusion-studio", "generate"]
    found, rest = {"model": words[2]}, words[3:]
    while rest:
        flag, joined, value = rest.pop(0).partition("=")
        assert flag.startswith("--")
        name = flag[2:].replace("-", "_")
        found[name] = (
            value if joined else False if name == "no_clip" else True if name == "keep_eps" else rest.pop(0)
        )
    return found


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_command_says_the_whole_recipe(recipe):
    said = settings_of(recipe.to_command())
    seeds = (
        tuple(map(int, said.pop("seeds").split(",")))
        if "seeds" in said
        else tuple(range(first := int(said.pop("seed")), first + int(said.pop("count"))))
    )
    chosen = {}
    for kind, registry in (("sampler", SAMPLERS), ("spacing", SPACINGS)):
        cls = registry[said.pop(kind)]
        chosen[kind] = cls(
            **{
                name: type(getattr(cls(), name))(said.pop(name))
                for name in list(said)
                if name in {one.name for one in fields_of(cls)}
            }
        )
    for group, cls in GROUPS.items():
        own = {one.name: one for one in fields_of(cls)}
        given = {name: said.pop(flag.name) for name, flag in flags_of(group).items() if flag.name in said}
        chosen[group] = cls(**{name: own[name].kind(value) for name, value in given.items()})
    chosen |= {name: said.pop(name) for name in ("guidance_scales", "weaker") if name in said}
    label = said.pop("label")
    back = Recipe(
        model=said.pop("model"),
        label=None if label == "any" else label,
        seeds=seeds,
        steps=int(said.pop("steps")),
        guidance=float(said.pop("guidance", 1.0)),
        clip=said.pop("no_clip", True),
        prompt=said.pop("prompt", None),
        negative=said.pop("negative", None),
        negative_label=said.pop("negative_label", None),
        guidance_shape=said.pop("guidance_shape", "constant"),
        guidance_rescale=float(said.pop("guidance_rescale", 0)),
        threshold=float(said.pop("threshold", 1)),
        **chosen,
    )
    assert said == {} and back == recipe


@pytest.mark.parametrize(
    "group, spellings",
    [
        ("classifier", ["c", {"name": "c"}, {"name": "c", "scale": 1}, ByClassifier("c")]),
        ("interval", [{"high": 3}, {"low": 0, "high": 3.0}, Interval(high=3)]),
        ("change", [None, {}, Change()]),
        ("palette", ["pico-8", {"name": "pico-8", "below": 1}, Palette("pico-8")]),
        ("palette", [None, " ", Palette()]),
    ],
)
def test_groups_are_given_in_several_ways(group, spellings):
    for given in spellings:
        assert getattr(Recipe(**{group: given}), group) == spellings[-1]
        assert Recipe.from_settings({"model": "m", group: given}) == Recipe("m", **{group: spellings[-1]})


def test_a_group_at_rest_is_not_written():
    """So that files of before it and after are equal."""
    written = json.loads(Recipe(model="m", interval=Interval(), classifier=ByClassifier()).to_json())
    assert not written.keys() & {*GROUPS, "guidance_scales", "weaker"}


def test_no_flag_serves_two():
    from diffusion_studio.runs.recipe import REGISTRIES

    flags = [one.name for one in fields_of(Recipe)] + [
        one.name for group in GROUPS for one in flags_of(group).values()
    ]
    assert len(flags) == len(set(flags))
    assert not set(flags) & {
        one.name for kind in REGISTRIES.values() for cls in kind.values() for one in fields_of(cls)
    }


def test_what_counts_after_a_change():
    before = Recipe(
        model="m", label="a", guidance=3.0, guidance_scales="1,3", change=Change(4, label="any", guidance=2.0)
    )
    assert before.changed() == Recipe(model="m", guidance=2.0)
    assert Recipe(model="m", label="a", change=Change(4, "b")).changed() == Recipe(model="m", label="b")
    assert Recipe(model="m").changed() == Recipe(model="m")


def test_the_shapes_of_guidance_are_those_that_there_are():
    from diffusion_studio.diffusion.guidance import SHAPES
    from diffusion_studio.runs.recipe import GUIDANCE_SHAPES

    assert GUIDANCE_SHAPES == tuple(SHAPES)


def test_a_command_to_read():
    recipe = Recipe(model="fashion-mnist", label="Ankle boot", seeds=(3, 4), guidance=2.0)
    assert recipe.to_command() == (
        "diffusion-studio generate fashion-mnist --label 'Ankle boot' --seed 3 --count 2 --steps 50 "
        "--sampler ddim --spacing trailing --guidance 2.0"
    )


def test_a_command_says_an_option_at_its_default_where_the_model_has_it_otherwise():
    """A folder of diffusers keeps eps by default; a run that does not has to say so."""
    assert Recipe(label="any") == Recipe()
    mine, theirs = Recipe(model="m", label="a"), Recipe(model="m", sampler=DDIM(keep_eps=True))
    assert "keep-eps" not in mine.to_command()
    assert "--no-keep-eps" in mine.to_command(theirs) and " --keep-eps" in theirs.to_command(theirs)


def test_a_command_with_options_of_the_spacing():
    recipe = Recipe(model="m", label="a", steps=9, spacing=Exponential(power=2))
    assert recipe.to_command() == (
        "diffusion-studio generate m --label a --seed 0 --count 1 --steps 9 --sampler ddim "
        "--spacing exponential --power 2.0 --guidance 1.0"
    )
