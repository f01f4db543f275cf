"""Every verb of the command line, as a user runs it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import socket
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


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_help_names_no_default_that_a_model_may_change(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    told = dict(re.findall(r"^  (--\S+)(.*(?:\n {9,}.*)*)", capsys.readouterr().out, re.M))       # help may begin a line below
    for name, default in (("steps", ", else 50"), ("guidance", ", else 1.0"), ("sampler", ""), ("spacing", ""), ("rho", ", else 7.0"),
                          ("clip,", ""), ("prompt", ""), ("interval-low", ", else 0.0"), ("points", ", else 2000")):
        assert told[f"--{name}"].endswith(f"(default the model's own{default})"), name
    own = ("--count", "(default the model's own, else 1)") if verb == "generate" else ("--pictures", "(default 1000)")
    assert told[own[0]].endswith(own[1])
    if verb == "generate":                                      # what no model brings
        assert told["--fps"].endswith("(default 20.0)") and "own" not in told["--strength"]


def test_models_lists_the_bundled_one():
    done = cli("models")
    assert done.returncode == 0
    assert "fashion-mnist: 32x32 grey" in done.stdout
    listed = json.loads(cli("models", "--json").stdout)
    assert "Sneaker" in next(one for one in listed if one["path"].endswith("fashion-mnist/model.safetensors"))["labels"]
    judge = next(one for one in listed if one["name"] == "fashion-mnist-classifier")
    assert judge["kind"] == "classifier" and "Sneaker" in judge["labels"] and (ROOT / judge["path"]).is_file()
    assert {one["kind"] for one in listed if not one["name"].endswith("-classifier")} == {"model"}


def test_models_as_json_have_the_names_by_which_they_are_called(write_checkpoint, capsys):
    folder = write_checkpoint("here").parent
    folder.rename(folder.with_name("called"))
    assert main(["models", "--json", "--checkpoints", str(folder.parent)]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["called"]


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


@pytest.fixture
def no_run(monkeypatch):
    """Whoever begins a run fails the test."""
    def stream(*args, **kwargs):
        raise AssertionError("a run began")
    monkeypatch.setattr(ds.Studio, "stream", stream)


@pytest.mark.parametrize("words, sentence", [
    (["--out", "none/x.gif"], "There is no folder 'none'"), (["--out", "folder.gif"], "is a folder. Add a file name"),
    (["--out", "x.avi"], "suffix"), (["--format", "giff"], "There is no export format 'giff'"),
    (["--count", "2", "--only", "5", "--out", "x.gif"], "This run has pictures 0 to 1, got picture 5"),
    (["--beside", "points.json", "--out", "x.gif"], "One of these runs makes pictures and the other points"),
])
def test_a_file_that_cannot_be_made_is_refused_before_the_run(words, sentence, tmp_path, monkeypatch, capsys, no_run):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "points.json").write_text(ds.Recipe(model="swiss-roll").to_json())
    assert main(["generate", "mnist", "--checkpoints", str(ROOT / "checkpoints"), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.gif", "points.json"]


def test_a_film_has_no_one_picture_to_refuse(tiny_checkpoint, tmp_path):
    words = ["generate", "tiny", "--checkpoints", str(tiny_checkpoint.parents[1]), "--steps", "2", "--frames", "pictures"]
    assert main([*words, "--only", "5", "--out", str(tmp_path / "x.gif")]) == 0


def test_a_name_of_its_own_counts_up(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["generate", "tiny", "--checkpoints", str(tiny_checkpoint.parents[1]), "--steps", "1", "--label", "Ankle boot"]
    for name in ("tiny-Ankle_boot-0.gif", "tiny-Ankle_boot-0-2.gif", "tiny-Ankle_boot-0-3.gif"):
        assert main(words) == 0 and capsys.readouterr().out == f"{name}\n"
    assert main([*words, "--format", "strip"]) == 0 and capsys.readouterr().out == "tiny-Ankle_boot-0.png\n"
    assert main([*words, "--out", "tiny-Ankle_boot-0.gif"]) == 0 and capsys.readouterr().out == "tiny-Ankle_boot-0.gif\n"
    assert len(list(tmp_path.glob("*.gif"))) == 3


def test_a_label_with_a_slash_is_no_folder(write_checkpoint, tmp_path, monkeypatch, capsys):
    folder = write_checkpoint(labels=("Cat", "Shirt/top", "Dog")).parents[1]
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "tiny", "--checkpoints", str(folder), "--steps", "1", "--label", "Shirt/top"]) == 0
    assert capsys.readouterr().out == "tiny-Shirt_top-0.gif\n"


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
    (["generate", "mnist", "--model", "checkpoints/heroes"], "The name 'mnist' and --model checkpoints/heroes both say"),
    (["generate", "cifar10-classifier"], "cifar10-classifier is a noisy classifier, which guides another model and draws"),
    (["evaluate", "cifar10-classifier", "--data", "cifar10"], "cifar10-classifier is a noisy classifier, which guides"),
    (["evaluate", "cifar11", "--data", "cifar10"], "Did you mean 'cifar10'"),
    (["convert", "checkpoints/mnist", "TMP/none/c.safetensors"], "Make the folder first, or choose another"),
    (["serve", "--port", "80000"], "--port must be a whole number from 1 to 65535, got 80000. Choose another, or leave"),
    (["serve", "--port", "0"], "from 1 to 65535, got 0"),
    (["serve", "--host", "192.0.2.1"], "'192.0.2.1' is no address of this computer"),       # kept free for documents
    (["serve", "--host", "a..b"], "'a..b' is no address of this computer"),
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


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_said_before_the_app_is_loaded(host, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--host", host, "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"diffusion-studio: Port {port} is taken. Choose another with --port, or leave it out.\n"


def test_a_port_that_is_taken_meanwhile(monkeypatch):
    """As where GRADIO_SERVER_PORT says a number, and all from there on are taken."""
    from diffusion_studio.ui import shell

    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(OptionError, match="Port [0-9]+ is taken. Choose another with --port"):
            shell.serve(ds.Studio(ROOT / "checkpoints"), port=other.getsockname()[1])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a file that takes nothing")
@pytest.mark.parametrize("words", [["models"], ["inspect", "--json", "--outline", "checkpoints/mnist"], ["generate", "--help"]])
def test_an_output_that_takes_nothing(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "diffusion_studio", *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=600)
    assert done.returncode == 2
    assert done.stderr == ("diffusion-studio: The output cannot be written to where it is sent (No space left on device). Free "
                           "space there, or send it elsewhere.\n")


def test_an_output_that_nobody_reads_any_more():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "diffusion_studio", "models"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE,
                          text=True, timeout=600)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_of_another_file_is_not_taken_for_the_outputs(monkeypatch):
    def fails(given):
        raise PermissionError(13, "Permission denied", "somewhere")
    monkeypatch.setattr("diffusion_studio.cli._run", fails)
    with pytest.raises(PermissionError):
        main(["models"])


def test_an_interruption_while_the_verbs_are_imported(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr("diffusion_studio.cli.parser.build_parser", interrupted)
    assert main(["models"]) == 130 and capsys.readouterr().err == "\ndiffusion-studio: interrupted\n"


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
