"""Errors carry the name of the setting that they are about."""

import ast
import pickle
from pathlib import Path

import pytest

import diffusion_studio
from diffusion_studio.cli.flags import flag_of
from diffusion_studio.errors import OptionError, Setting, no_such, unknown

ROOT = Path(diffusion_studio.__file__).parent


def test_an_error_that_begins_with_must_names_its_setting():
    error = OptionError("sampler.eta", "must be at most 1, got ", "2.")
    assert str(error) == "sampler.eta must be at most 1, got 2."
    assert error.worded(str.upper) == "SAMPLER.ETA must be at most 1, got 2."


def test_only_settings_are_worded():
    error = OptionError("tune", "tune goes with ", Setting("start_from"), ": tune must wait.")
    assert error.worded(lambda name: f"<{name}>") == "tune goes with <start_from>: tune must wait."
    assert error.field == "tune"


@pytest.mark.parametrize(
    "index, count, python, people",
    [
        (5, 2, "It has heads 0 to 1, got head 5. Stop.", "It has heads 1 to 2, got head 6. Stop."),
        (1, 1, "It has only head 0, got head 1. Stop.", "It has only head 1, got head 2. Stop."),
    ],
)
def test_an_index_is_counted_from_one_for_people(index, count, python, people):
    error = no_such("head", "head", "It has", index, count, " Stop.")
    assert str(error) == python and error.field == "head"
    assert error.worded(lambda field: field) == people


def test_an_error_survives_a_process():
    error = pickle.loads(pickle.dumps(OptionError("steps", "must be 1, or ", Setting("seeds"), ".")))
    assert (str(error), error.field) == ("steps must be 1, or seeds.", "steps")
    assert error.worded(str.upper) == "STEPS must be 1, or SEEDS."


def test_a_message_alone_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="takes a field and a message"):
        OptionError("steps must be 1")


def test_an_unknown_name_belongs_to_its_kind_or_to_a_named_field():
    assert unknown("sampler", "dim", ["ddim"]).field == "sampler"
    assert unknown("label of m", "x", ["a"], "label").field == "label"
    assert str(unknown("sampler", "dim", ["ddim"])).endswith("Did you mean 'ddim'?")


def test_every_option_error_has_a_field():
    """OptionError(field, message) has a message."""
    found = [
        f"{path.relative_to(ROOT)}, line {line}"
        for path in ROOT.rglob("*.py")
        for line in bare(path.read_text("utf-8"))
    ]
    assert found == []
    assert bare("OptionError('steps')\nOptionError('steps', 'must be 1')") == [1]


def bare(source: str) -> list[int]:
    """The lines that make an OptionError without a message."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        node.lineno
        for node in calls
        if isinstance(node.func, ast.Name) and node.func.id == "OptionError" and len(node.args) < 2
    ]


@pytest.mark.parametrize(
    "field, flag",
    [
        ("steps", "--steps"),
        ("sampler.eta", "--eta"),
        ("interval.low", "--interval-low"),
        ("classifier.name", "--classifier"),
        ("export.picture", "--only"),
        ("edit.strength", "--strength"),
        ("network.channels", "network.channels"),
        ("GRADIO_SERVER_PORT", "GRADIO_SERVER_PORT"),
    ],
)
def test_the_command_line_names_a_flag_that_the_verb_has(field, flag):
    from diffusion_studio.cli.parser import build_parser

    known = vars(build_parser("generate").parse_args(["generate", "m"]))
    assert flag_of(field, known) == flag
