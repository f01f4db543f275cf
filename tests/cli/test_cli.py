"""Every verb of the command line, as a user runs it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.cli.generate import recipe_from_flags
from diffusion_studio.cli.parser import build_parser
from diffusion_studio.diffusion.spacing import (
    Exponential,
    Follow,
    Karras,
    Leading,
    Quadratic,
    Sections,
    Timesteps,
)

ROOT = Path(__file__).resolve().parents[2]


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
    code = (
        "import sys\nfrom diffusion_studio.cli import main\n"
        "try: main(['generate', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'gradio', 'PIL', 'imageio'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_help_names_no_default_that_a_model_may_change(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    told = dict(
        re.findall(r"^  (--\S+)(.*(?:\n {9,}.*)*)", capsys.readouterr().out, re.M)
    )  # help may begin a line below
    for name, default in (
        ("steps", ", else 50"),
        ("guidance", ", else 1.0"),
        ("sampler", ""),
        ("spacing", ""),
        ("rho", ", else 7.0"),
        ("clip,", ""),
        ("prompt", ""),
        ("interval-low", ", else 0.0"),
        ("points", ", else 2000"),
    ):
        assert told[f"--{name}"].endswith(f"(default the model's own{default})"), name
    own = (
        ("--count", "(default the model's own, else 1)")
        if verb == "generate"
        else ("--pictures", "(default 1000)")
    )
    assert told[own[0]].endswith(own[1])
    if verb == "generate":  # what no model brings
        assert told["--fps"].endswith("(default 20.0)") and "own" not in told["--strength"]


def test_models_lists_the_bundled_one():
    done = cli("models")
    assert done.returncode == 0
    assert "fashion-mnist: 32x32 grey" in done.stdout
    listed = json.loads(cli("models", "--json").stdout)
    assert (
        "Sneaker"
        in next(one for one in listed if one["path"].endswith("fashion-mnist/model.safetensors"))["labels"]
    )
    judge = next(one for one in listed if one["name"] == "fashion-mnist-classifier")
    assert judge["kind"] == "classifier" and "Sneaker" in judge["labels"] and (ROOT / judge["path"]).is_file()
    assert {one["kind"] for one in listed if not one["name"].endswith("-classifier")} == {"model"}


def test_models_as_json_have_the_names_by_which_they_are_called(write_checkpoint, capsys):
    folder = write_checkpoint("here").parent
    folder.rename(folder.with_name("called"))
    assert main(["models", "--json", "--checkpoints", str(folder.parent)]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["called"]


@pytest.mark.slow
def test_generate_with_the_bundled_model_is_the_recipe_it_says(tmp_path):
    out = tmp_path / "bag.png"
    done = cli(
        "generate",
        "fashion-mnist",
        "--label",
        "bag",
        "--steps",
        4,
        "--sampler",
        "ddpm",
        "--variance",
        "large",
        "--seeds",
        "5,1",
        "--guidance",
        1.5,
        "--spacing",
        "leading",
        "--no-clip",
        "--scale",
        1,
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    recipe = ds.Recipe(
        model="fashion-mnist",
        label="bag",
        seeds=(5, 1),
        steps=4,
        sampler=ds.DDPM("large"),
        spacing="leading",
        guidance=1.5,
        clip=False,
    )
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
    assert (
        main(
            [
                "generate",
                "tiny",
                "--checkpoints",
                str(folder),
                "--steps",
                "3",
                "--seed",
                "4",
                "--count",
                "2",
                "--out",
                str(first),
            ]
        )
        == 0
    )
    assert (
        main(
            [
                "generate",
                "--recipe",
                str(first),
                "--checkpoints",
                str(folder),
                "--steps",
                "2",
                "--out",
                str(second),
            ]
        )
        == 0
    )
    before, after = ds.Recipe.from_file(first), ds.Recipe.from_file(second)
    assert (before.steps, after.steps, after.seeds) == (3, 2, (4, 5))


def test_the_run_of_a_file_stands_below_another(tiny_checkpoint, tmp_path):
    folder, first, alone, both = (
        tiny_checkpoint.parents[1],
        tmp_path / "first.gif",
        tmp_path / "1.png",
        tmp_path / "2.png",
    )
    words = ["generate", "tiny", "--checkpoints", str(folder), "--count", "2", "--scale", "1"]
    assert main([*words, "--steps", "2", "--out", str(first)]) == 0
    assert main([*words, "--steps", "3", "--out", str(alone)]) == 0
    assert main([*words, "--steps", "3", "--beside", str(first), "--out", str(both)]) == 0
    one, two = (np.asarray(Image.open(path)) for path in (alone, both))
    assert (
        len(two) > 2 * len(one)
        and (two[: len(one)] == one).all()
        and ds.Recipe.from_file(both) == ds.Recipe.from_file(alone)
    )
    with Image.open(first) as file:
        file.seek(2)
        assert (two[-len(one) :] == np.asarray(file.convert(Image.open(alone).mode))).all()
    assert main([*words, "--beside", str(tmp_path / "none.gif"), "--out", str(both)]) == 2


def test_a_film_has_no_one_picture_to_refuse(tiny_checkpoint, tmp_path):
    words = [
        "generate",
        "tiny",
        "--checkpoints",
        str(tiny_checkpoint.parents[1]),
        "--steps",
        "2",
        "--frames",
        "pictures",
    ]
    assert main([*words, "--only", "5", "--out", str(tmp_path / "x.gif")]) == 0


@pytest.mark.parametrize("verb", [["generate", "tiny"], ["race", "tiny", "--vary", "steps=1,2"]])
def test_an_empty_name_is_no_name(verb, tiny_checkpoint, tmp_path, monkeypatch, capsys):
    """As of a variable of the shell that is not set."""
    monkeypatch.chdir(tmp_path)
    assert main([*verb, "--checkpoints", str(tiny_checkpoint.parents[1]), "--steps", "1", "--out", ""]) == 2
    assert "--out is empty. Name a file" in capsys.readouterr().err and not list(tmp_path.glob("tiny*"))


def test_a_name_of_its_own_counts_up(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "generate",
        "tiny",
        "--checkpoints",
        str(tiny_checkpoint.parents[1]),
        "--steps",
        "1",
        "--label",
        "Ankle boot",
    ]
    for name in ("tiny-Ankle_boot-0.gif", "tiny-Ankle_boot-0-2.gif", "tiny-Ankle_boot-0-3.gif"):
        assert main(words) == 0 and capsys.readouterr().out == f"{name}\n"
    assert main([*words, "--format", "strip"]) == 0 and capsys.readouterr().out == "tiny-Ankle_boot-0.png\n"
    assert (
        main([*words, "--out", "tiny-Ankle_boot-0.gif"]) == 0
        and capsys.readouterr().out == "tiny-Ankle_boot-0.gif\n"
    )
    assert len(list(tmp_path.glob("*.gif"))) == 3


def test_a_label_with_a_slash_is_no_folder(write_checkpoint, tmp_path, monkeypatch, capsys):
    folder = write_checkpoint(labels=("Cat", "Shirt/top", "Dog")).parents[1]
    monkeypatch.chdir(tmp_path)
    assert (
        main(["generate", "tiny", "--checkpoints", str(folder), "--steps", "1", "--label", "Shirt/top"]) == 0
    )
    assert capsys.readouterr().out == "tiny-Shirt_top-0.gif\n"


def test_the_command_of_a_recipe_makes_the_recipe(tiny_checkpoint, tmp_path):
    recipe = ds.Recipe(
        model="tiny", label=None, seeds=(9, 2), steps=2, sampler=ds.DDIM(eta=0.25), guidance=1.5, clip=False
    )
    out = tmp_path / "x.gif"
    words = shlex.split(recipe.to_command())[1:]
    assert main([*words, "--checkpoints", str(tiny_checkpoint.parents[1]), "--out", str(out)]) == 0
    assert ds.Recipe.from_file(out) == recipe


def test_the_command_of_a_recipe_says_any_where_the_model_has_a_default_label():
    studio = ds.Studio(ROOT / "checkpoints")
    for label in (None, "Bag"):
        recipe = studio.recipe("fashion-mnist", label=label, steps=3)
        args = build_parser().parse_args(shlex.split(recipe.to_command())[1:])
        assert recipe_from_flags(args, studio) == recipe
    words = shlex.split(ds.Recipe(model="m", label="-odd label").to_command())[1:]
    assert build_parser().parse_args(words).label == "-odd label"


def recipe_said_by(words: list[str]) -> ds.Recipe:
    return recipe_from_flags(
        build_parser().parse_args(["generate", "fashion-mnist", *words]), ds.Studio(ROOT / "checkpoints")
    )


@pytest.mark.parametrize(
    "spacing",
    [
        *(cls() for cls in ds.SPACINGS.values()),
        Karras(rho=2.5),
        Quadratic(reach=0.8),
        Exponential(power=3),
        Follow(follow="sigmoid"),
        Timesteps(timesteps="900,10.5,0"),
        Sections(sections="ddim25"),
    ],
    ids=str,
)
def test_the_command_of_every_spacing_makes_it(spacing):
    recipe = ds.Studio(ROOT / "checkpoints").recipe("fashion-mnist", spacing=spacing)
    assert recipe.steps == (spacing.count or 25)  # the model's own
    assert recipe_said_by(shlex.split(recipe.to_command())[3:]) == recipe


def test_a_spacing_with_steps_of_its_own_brings_them():
    assert recipe_said_by(["--spacing", "timesteps", "--timesteps", "900,20"]).steps == 2
    assert recipe_said_by(["--spacing", "sections", "--sections", "ddim25"]).steps == 25
    assert recipe_said_by(["--spacing", "karras", "--rho", "3", "--steps", "7"]).spacing == Karras(rho=3.0)


def test_options_of_a_recipe_file_stay_unless_another_is_chosen(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(
        ds.Recipe(model="m", steps=9, sampler=ds.DDIM(eta=0.5), spacing=Karras(rho=3.0)).to_json(), "utf-8"
    )

    def said(*words: str) -> ds.Recipe:
        return recipe_from_flags(build_parser().parse_args(["generate", "--recipe", str(path), *words]), None)

    assert said().spacing == Karras(rho=3.0) and said("--rho", "4").spacing == Karras(rho=4.0)
    assert (
        said("--spacing", "karras").spacing == Karras(rho=3.0)
        and said("--spacing", "leading").spacing == Leading()
    )
    assert said("--spacing", "timesteps").steps == 4 and said("--spacing", "leading").steps == 9


@pytest.mark.slow
def test_train_stop_resume_and_use(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x_train=pictures, y_train=np.arange(40) % 2)
    run = tmp_path / "models" / "mine"
    small = [
        "--channels",
        8,
        "--multipliers",
        "1,2",
        "--attention",
        4,
        "--heads",
        1,
        "--size",
        8,
        "--batch",
        8,
    ]
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
