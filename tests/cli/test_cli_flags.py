"""Flags made from the options of samplers, spacings and other registries."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from diffusion_studio.cli import flags, main
from diffusion_studio.errors import OptionError
from diffusion_studio.options import check, fields_of, option
from diffusion_studio.runs.recipe import REGISTRIES, Recipe


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
    return flags.choice_from_flags(parser.parse_args(words), "thing", TWO, before)


def test_one_flag_serves_all_that_have_the_option():
    assert chosen_by("--order", "3") == First(order=3)
    assert chosen_by("--thing", "second", "--order", "2", "--way", "b") == Second(order=2, way="b")
    assert chosen_by("--thing", "second") == Second() and chosen_by(before=First(order=3)) == First(order=3)
    assert chosen_by("--end", "0.5", "--no-late") == First(end=0.5, late=False)
    assert chosen_by("--end", "none", before=First(end=2)) == First() and chosen_by(
        before=First(end=2)
    ) == First(end=2)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--thing", "second", "--order", "3"], "order must be a whole number from 1 to 2, got 3"),
        (
            ["--thing", "second", "--end", "1"],
            "--end is not an option of the thing second, which has: order, way",
        ),
        (["--way", "b"], "--way is not an option of the thing first, which has: order, end, late"),
        (
            ["--thing", "secnd"],
            "There is no thing 'secnd'. Choose one of: first, second. Did you mean 'second'",
        ),
        (["--order", "none"], "order must be a whole number from 1 to 3, got 'none'"),
    ],
)
def test_a_flag_that_the_choice_lacks(words, message):
    with pytest.raises(OptionError, match=message):
        chosen_by(*words)


def test_help_of_a_shared_flag_names_its_owners(capsys):
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=200))
    flags.add_choice(parser, "thing", TWO)
    parser.print_help()
    said = capsys.readouterr().out
    assert (
        "Order. Of first, second (2 in first, 1 in second)" in said and "Way. Of second (default a)" in said
    )


def test_options_of_one_name_and_two_kinds_share_no_flag():
    @dataclass(frozen=True)
    class Third:
        order: str = option("x", "Order.")

    with pytest.raises(TypeError, match="the option order is of different kinds in first, third"):
        flags.add_choice(argparse.ArgumentParser(), "thing", {"first": First, "third": Third})


def test_no_sampler_shares_an_option_with_a_spacing():
    """One flag says one thing in a command; argparse refuses a clash with the other flags by itself."""
    samplers, spacings = (
        {one.name for cls in registry.values() for one in fields_of(cls)}
        for registry in (REGISTRIES["sampler"], REGISTRIES["spacing"])
    )
    assert not samplers & spacings


def test_a_flag_that_another_one_switches_off_is_named(tiny_checkpoint, tmp_path, capsys):
    common = ["generate", "tiny", "--checkpoints", str(tiny_checkpoint.parents[1]), "--steps", "2"]
    out = ["--out", str(tmp_path / "a.png")]
    main([*common, *out, "--clip-range", "2", "--threshold", "0.9", "--sampler", "euler", "--s-noise", "1.1"])
    lines = capsys.readouterr().err.splitlines()
    assert "diffusion-studio: --clip-range has no effect while --threshold is 0.9." in lines
    assert "diffusion-studio: --s-noise has no effect while --churn is 0." in lines
    main([*common, *out, "--clip-range", "2", "--sampler", "euler", "--churn", "3", "--s-noise", "1.1"])
    assert "no effect" not in capsys.readouterr().err


def test_every_verb_with_settings_of_a_run_names_flags_that_have_no_effect(tiny_checkpoint, tmp_path, capsys):
    common = ["--checkpoints", str(tiny_checkpoint.parents[1]), "--steps", "2"]
    out = ["--out", str(tmp_path / "a.png")]
    idle = "diffusion-studio: --negative-label has no effect while --guidance is 1."

    def lines(*words: str) -> list[str]:
        main([*words, *common])
        return [line for line in capsys.readouterr().err.splitlines() if "no effect" in line]

    assert lines("generate", "tiny", *out, "--negative-label", "Dog", "--every", "2") == [
        idle,
        "diffusion-studio: --every has no effect while --frames is all.",
    ]
    assert lines("race", "tiny", *out, "--vary", "sampler=ddim,euler", "--negative-label", "Dog") == [idle]
    assert lines("race", "tiny", *out, "--vary", "guidance=1,2", "--negative-label", "Dog") == []
    assert lines("grid", "tiny", *out, "--x", "clip_range=1,2", "--threshold", "0.9") == [
        "diffusion-studio: --clip-range has no effect while --threshold is 0.9."
    ]


def test_a_file_that_brings_its_settings_has_no_flags_to_name(tiny_checkpoint, tmp_path, capsys):
    recipe = tmp_path / "a.json"
    recipe.write_text(Recipe("tiny", steps=2, negative_label="Dog").to_json())
    folder = ["--checkpoints", str(tiny_checkpoint.parents[1])]
    main(["generate", "--recipe", str(recipe), *folder, "--out", str(tmp_path / "a.png")])
    assert "no effect" not in capsys.readouterr().err
    main(["inside", str(recipe), *folder, "--fps", "3", "--out", str(tmp_path / "b.png")])
    assert "diffusion-studio: --fps has no effect without --over-run." in capsys.readouterr().err.splitlines()
    over = ["inside", str(recipe), *folder, "--over-run", "--out", str(tmp_path / "b.gif")]
    main(over)
    assert "no effect" not in capsys.readouterr().err  # no state was named
    main([*over, "--at", "1"])
    assert "diffusion-studio: --at has no effect with --over-run." in capsys.readouterr().err.splitlines()
