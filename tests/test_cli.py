"""Every verb of the command line, as a user runs it."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import flags, main
from diffusion_studio.cli.generate import recipe_of
from diffusion_studio.cli.parser import build_parser
from diffusion_studio.diffusion.spacing import Exponential, Follow, Karras, Leading, Quadratic, Sections, Timesteps
from diffusion_studio.errors import OptionError
from diffusion_studio.options import check, fields_of, option
from diffusion_studio.recipe import REGISTRIES

ROOT = Path(__file__).resolve().parents[1]


def cli(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh process, on this checkout's package whatever the working folder."""
    command = [sys.executable, "-m", "diffusion_studio", *map(str, words)]
    return subprocess.run(command, cwd=cwd or ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("verb", [[], ["generate"], ["models"], ["train"], ["serve"]])
def test_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*verb, "--help"])
    assert stop.value.code == 0
    assert "usage: diffusion-studio" in capsys.readouterr().out


def test_help_loads_neither_torch_nor_gradio():
    code = ("import sys\nfrom diffusion_studio.cli import main\n"
            "try: main(['generate', '--help'])\nexcept SystemExit: pass\n"
            "print(sorted({'torch', 'gradio', 'PIL', 'imageio'} & set(sys.modules)), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stderr.strip() == "[]"


def test_models_lists_the_bundled_one():
    done = cli("models")
    assert done.returncode == 0
    assert "fashion-mnist: 32x32 grey" in done.stdout
    listed = json.loads(cli("models", "--json").stdout)
    assert "Sneaker" in next(one for one in listed if one["path"].endswith("fashion-mnist/model.safetensors"))["labels"]


def test_generate_with_the_bundled_model_is_the_recipe_it_says(tmp_path):
    out = tmp_path / "bag.png"
    done = cli("generate", "fashion-mnist", "--label", "bag", "--steps", 4, "--sampler", "ddpm", "--variance", "large",
               "--seeds", "5,1", "--guidance", 1.5, "--spacing", "leading", "--no-clip", "--scale", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    recipe = ds.Recipe(model="fashion-mnist", label="bag", seeds=(5, 1), steps=4, sampler=ds.DDPM("large"),
                       spacing="leading", guidance=1.5, clip=False)
    assert ds.Recipe.from_file(out) == recipe
    images = ds.Studio(ROOT / "checkpoints").run(recipe).images
    with Image.open(out) as picture:
        shown = np.asarray(picture.convert("L"))
    assert shown.shape[0] >= 32 and shown.shape[1] >= 64
    # another process may split the work otherwise: equal up to rounding
    assert np.abs(shown[:32, :32].astype(int) - images[0, ..., 0]).max() <= 2


@pytest.mark.parametrize("name", ["run.gif", "run.mp4", "run.png"])
def test_a_recipe_file_is_replayed_with_changes(tiny_checkpoint, tmp_path, name):
    folder = tiny_checkpoint.parents[1]
    first, second = tmp_path / name, tmp_path / "again.gif"
    assert main(["generate", "tiny", "--checkpoints", str(folder), "--steps", "3", "--seed", "4", "--count", "2",
                 "--out", str(first)]) == 0
    assert main(["generate", "--recipe", str(first), "--checkpoints", str(folder), "--steps", "2", "--out",
                 str(second)]) == 0
    before, after = ds.Recipe.from_file(first), ds.Recipe.from_file(second)
    assert (before.steps, after.steps, after.seeds) == (3, 2, (4, 5))


def test_the_run_of_a_file_stands_below_another(tiny_checkpoint, tmp_path):
    folder, first, alone, both = tiny_checkpoint.parents[1], tmp_path / "first.gif", tmp_path / "1.png", tmp_path / "2.png"
    words = ["generate", "tiny", "--checkpoints", str(folder), "--count", "2", "--scale", "1"]
    assert main([*words, "--steps", "2", "--out", str(first)]) == 0
    assert main([*words, "--steps", "3", "--out", str(alone)]) == 0
    assert main([*words, "--steps", "3", "--beside", str(first), "--out", str(both)]) == 0
    one, two = (np.asarray(Image.open(path)) for path in (alone, both))
    assert len(two) > 2 * len(one) and (two[:len(one)] == one).all() and ds.Recipe.from_file(both) == ds.Recipe.from_file(alone)
    with Image.open(first) as file:
        file.seek(2)
        assert (two[-len(one):] == np.asarray(file.convert(Image.open(alone).mode))).all()
    assert main([*words, "--beside", str(tmp_path / "none.gif"), "--out", str(both)]) == 2


def test_the_command_of_a_recipe_makes_the_recipe(tiny_checkpoint, tmp_path):
    recipe = ds.Recipe(model="tiny", label=None, seeds=(9, 2), steps=2, sampler=ds.DDIM(eta=0.25), guidance=1.5, clip=False)
    out = tmp_path / "x.gif"
    words = shlex.split(recipe.to_command())[1:]
    assert main([*words, "--checkpoints", str(tiny_checkpoint.parents[1]), "--out", str(out)]) == 0
    assert ds.Recipe.from_file(out) == recipe


def test_the_command_of_a_recipe_says_any_where_the_model_has_a_default_label():
    studio = ds.Studio(ROOT / "checkpoints")
    for label in (None, "Bag"):
        recipe = studio.recipe("fashion-mnist", label=label, steps=3)
        args = build_parser().parse_args(shlex.split(recipe.to_command())[1:])
        assert recipe_of(args, studio) == recipe
    words = shlex.split(ds.Recipe(model="m", label="-odd label").to_command())[1:]
    assert build_parser().parse_args(words).label == "-odd label"


def recipe_said_by(words: list[str]) -> ds.Recipe:
    return recipe_of(build_parser().parse_args(["generate", "fashion-mnist", *words]), ds.Studio(ROOT / "checkpoints"))


@pytest.mark.parametrize("spacing", [*(cls() for cls in ds.SPACINGS.values()), Karras(rho=2.5), Quadratic(reach=0.8),
                                     Exponential(power=3), Follow(follow="sigmoid"), Timesteps(timesteps="900,10.5,0"),
                                     Sections(sections="ddim25")], ids=str)
def test_the_command_of_every_spacing_makes_it(spacing):
    recipe = ds.Studio(ROOT / "checkpoints").recipe("fashion-mnist", spacing=spacing)
    assert recipe.steps == (spacing.count or 25)                # the model's own
    assert recipe_said_by(shlex.split(recipe.to_command())[3:]) == recipe


def test_a_spacing_with_steps_of_its_own_brings_them():
    assert recipe_said_by(["--spacing", "timesteps", "--timesteps", "900,20"]).steps == 2
    assert recipe_said_by(["--spacing", "sections", "--sections", "ddim25"]).steps == 25
    assert recipe_said_by(["--spacing", "karras", "--rho", "3", "--steps", "7"]).spacing == Karras(rho=3.0)


def test_options_of_a_recipe_file_stay_unless_another_is_chosen(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(ds.Recipe(model="m", steps=9, sampler=ds.DDIM(eta=0.5), spacing=Karras(rho=3.0)).to_json(), "utf-8")

    def said(*words: str) -> ds.Recipe:
        return recipe_of(build_parser().parse_args(["generate", "--recipe", str(path), *words]), None)

    assert said().spacing == Karras(rho=3.0) and said("--rho", "4").spacing == Karras(rho=4.0)
    assert said("--spacing", "karras").spacing == Karras(rho=3.0) and said("--spacing", "leading").spacing == Leading()
    assert said("--spacing", "timesteps").steps == 4 and said("--spacing", "leading").steps == 9


@dataclass(frozen=True)
class First:
    """Shares `order` with Second; what is optional can be left out."""

    order: int = option(2, "Order.", low=1, high=3)
    end: float | None = option(None, "Where to end.", low=0)
    late: bool = option(True, "Whether late.")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Second:
    order: int = option(1, "Order.", low=1, high=2)
    way: str = option("a", "Way.", choices=("a", "b"))

    def __post_init__(self) -> None:
        check(self)


TWO = {"first": First, "second": Second}


def chosen_by(*words: str, before: object = First()) -> object:
    parser = argparse.ArgumentParser()
    flags.add_choice(parser, "thing", TWO)
    return flags.chosen(parser.parse_args(words), "thing", TWO, before)


def test_one_flag_serves_all_that_have_the_option():
    assert chosen_by("--order", "3") == First(order=3)
    assert chosen_by("--thing", "second", "--order", "2", "--way", "b") == Second(order=2, way="b")
    assert chosen_by("--thing", "second") == Second() and chosen_by(before=First(order=3)) == First(order=3)
    assert chosen_by("--end", "0.5", "--no-late") == First(end=0.5, late=False)
    assert chosen_by("--end", "none", before=First(end=2)) == First() and chosen_by(before=First(end=2)) == First(end=2)


@pytest.mark.parametrize("words, message", [
    (["--thing", "second", "--order", "3"], "order must be a whole number from 1 to 2, got 3"),
    (["--thing", "second", "--end", "1"], "--end is not an option of the thing second, which has: order, way"),
    (["--way", "b"], "--way is not an option of the thing first, which has: order, end, late"),
    (["--thing", "secnd"], "There is no thing 'secnd'. Choose one of: first, second. Did you mean 'second'"),
    (["--order", "none"], "order must be a whole number from 1 to 3, got 'none'"),
])
def test_a_flag_that_the_choice_lacks(words, message):
    with pytest.raises(OptionError, match=message):
        chosen_by(*words)


def test_help_of_a_shared_flag_names_its_owners(capsys):
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=200))
    flags.add_choice(parser, "thing", TWO)
    parser.print_help()
    said = capsys.readouterr().out
    assert "Order. Of first, second (2 in first, 1 in second)" in said and "Way. Of second (default a)" in said


def test_options_of_one_name_and_two_kinds_share_no_flag():
    @dataclass(frozen=True)
    class Third:
        order: str = option("x", "Order.")
    with pytest.raises(TypeError, match="the option order is of different kinds in first, third"):
        flags.add_choice(argparse.ArgumentParser(), "thing", {"first": First, "third": Third})


def test_no_sampler_shares_an_option_with_a_spacing():
    """One flag says one thing in a command; argparse refuses a clash with the other flags by itself."""
    samplers, spacings = ({one.name for cls in registry.values() for one in fields_of(cls)}
                          for registry in (REGISTRIES["sampler"], REGISTRIES["spacing"]))
    assert not samplers & spacings


@pytest.mark.parametrize(("words", "sentence"), [
    (["generate", "no-such-model"], "There is no model"),
    (["generate", "fashion-mnst"], "Did you mean 'fashion-mnist'"),
    (["generate"], "Name a model"),
    (["generate", "fashion-mnist", "--steps", "0"], "steps must be a whole number, at least 1, got 0"),
    (["generate", "fashion-mnist", "--steps", "-3"], "at least 1"),
    (["generate", "fashion-mnist", "--steps", "many"], "got 'many'"),
    (["generate", "fashion-mnist", "--steps", "1001"], "from 1 to 1000"),
    (["generate", "fashion-mnist", "--label", "Sneeker"], "Did you mean 'Sneaker'"),
    (["generate", "fashion-mnist", "--sampler", "dpm"], "There is no sampler 'dpm'"),
    (["generate", "fashion-mnist", "--eta", "2"], "from 0 to 1"),
    (["generate", "fashion-mnist", "--sampler", "ddim", "--variance", "large"], "not an option of the sampler ddim"),
    (["generate", "fashion-mnist", "--count", "10000"], "from 1 to 64"),
    (["generate", "fashion-mnist", "--seed", "-1"], "A seed is a whole number"),
    (["generate", "fashion-mnist", "--seeds", "1,b"], "--seeds takes whole numbers"),
    (["generate", "fashion-mnist", "--guidance", "nan"], "finite number"),
    (["generate", "fashion-mnist", "--spacing", "karas"], "There is no spacing 'karas'"),
    (["generate", "fashion-mnist", "--rho", "3"], "--rho is not an option of the spacing trailing, which has: none"),
    (["generate", "fashion-mnist", "--spacing", "karras", "--rho", "x"], "rho must be a finite number from 1 to 20"),
    (["generate", "fashion-mnist", "--spacing", "sections", "--steps", "4"], "makes 45 steps by itself, and 4 were"),
    (["generate", "fashion-mnist", "--spacing", "timesteps", "--timesteps", "1,2"], "timesteps must be falling numbers"),
    (["train", "--out", "TMP/run", "--schedule", "flwo"], "There is no schedule 'flwo'"),
    (["generate", "fashion-mnist", "--out", "run.avi"], "suffix"),
    (["generate", "fashion-mnist", "--steps", "1", "--out", "/no/such/folder/run.gif"], "There is no folder"),
    (["generate", "fashion-mnist", "--precision", "fp7"], "There is no precision"),
    (["generate", "fashion-mnist", "--device", "tpu"], "There is no device"),
    (["generate", "--recipe", "LICENSE"], "Diffusion Studio exported"),
    (["models", "--checkpoints", "tests"], "No usable model"),
    (["train", "--data", "no-such-data", "--out", "TMP/run"], "There is no data set"),
    (["train", "--out", "TMP/run", "--multipliers", "1,x"], "multipliers must be numbers"),
    (["train", "--out", "TMP/run", "--attention", "5"], "attention at size 5 is not possible"),
    (["train", "--resume", "TMP/nothing"], "holds no training run"),
])
def test_mistakes_are_explained(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main([word.replace("TMP", str(tmp_path)) for word in words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("diffusion-studio: ") and "Traceback" not in said


def test_train_stop_resume_and_use(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x_train=pictures, y_train=np.arange(40) % 2)
    run = tmp_path / "models" / "mine"
    small = ["--channels", 8, "--multipliers", "1,2", "--attention", 4, "--heads", 1, "--size", 8, "--batch", 8]
    done = cli("train", "--data", tmp_path / "data.npz", "--out", run, "--images", 24, *small)
    assert done.returncode == 0, done.stderr
    assert "img/s" in done.stderr and "loss=" in done.stderr
    again = cli("train", "--resume", run, "--images", 40)
    assert again.returncode == 0, again.stderr
    assert ds.load(run).spec.provenance["images_seen"] == 40
    assert cli("train", "--resume", run, "--lr", 0.5).returncode == 2
    out = tmp_path / "made.gif"
    done = cli("generate", "mine", "--checkpoints", run.parent, "--steps", 2, "--count", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    assert ds.Recipe.from_file(out).model == "mine"
