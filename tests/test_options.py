"""Option dataclasses: limits, kinds, listing, JSON."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest

from diffusion_studio import options
from diffusion_studio.errors import OptionError, StudioError, unknown
from diffusion_studio.options import option


@dataclass(frozen=True)
class Sample:
    count: int = option(4, "How many.", low=1, high=10)
    rate: float = option(0.5, "How fast.", low=0.0)
    depth: float = option(-1.0, "How deep.", high=0.0)
    shade: str = option("red", "Which shade.", choices=("red", "blue"))
    text: str = option("", "Any text.")
    flag: bool = option(False, "Whether.")
    maybe: int | None = option(None, "Perhaps a number.", low=2)
    hidden: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        options.check(self)


@dataclass(frozen=True)
class Other:
    pass


REGISTRY = {"sample": Sample, "other": Other}


@pytest.mark.parametrize(
    "field, value, kept",
    [
        ("count", 2.0, 2),
        ("count", 10, 10),
        ("rate", 3, 3.0),
        ("rate", 0, 0.0),
        ("depth", -7, -7.0),
        ("shade", "blue", "blue"),
        ("flag", True, True),
        ("maybe", None, None),
        ("maybe", 2, 2),
    ],
)
def test_a_fitting_value_is_kept_as_the_declared_kind(field, value, kept):
    found = getattr(Sample(**{field: value}), field)
    assert found == kept and type(found) is type(kept)


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("count", 0, r"count must be a whole number from 1 to 10, got 0\."),
        ("count", 11, r"from 1 to 10, got 11"),
        ("count", 2.5, r"a whole number from 1 to 10, got 2\.5"),
        ("count", True, r"a whole number from 1 to 10, got True"),
        ("count", "3", r"a whole number from 1 to 10, got '3'"),
        ("count", None, r"a whole number from 1 to 10, got None"),
        ("count", float("nan"), "got nan"),
        ("count", float("inf"), "got inf"),
        pytest.param("count", 10**400, "count must be a whole number from 1 to 10", id="huge-int"),
        pytest.param("rate", 10**400, "rate must be a finite number, at least 0", id="huge-float"),
        ("rate", float("nan"), "a finite number, at least 0, got nan"),
        ("rate", float("inf"), "a finite number, at least 0, got inf"),
        ("rate", -0.1, r"at least 0, got -0\.1"),
        ("rate", False, "a finite number, at least 0, got False"),
        ("rate", [1], r"a finite number, at least 0, got \[1\]"),
        ("depth", 0.1, r"a finite number, at most 0, got 0\.1"),
        ("shade", "rde", r"There is no shade 'rde'\. Choose one of: red, blue\. Did you mean 'red'\?"),
        ("shade", ["red"], "There is no shade"),
        ("text", 3, "text must be a text, got 3"),
        ("flag", 1, "flag must be true or false, got 1"),
        ("flag", "yes", "flag must be true or false, got 'yes'"),
        ("maybe", 1, "a whole number, at least 2, got 1"),
    ],
)
def test_an_unfitting_value_is_an_error_with_the_limits(field, value, message):
    with pytest.raises(OptionError, match=message):
        Sample(**{field: value})


def test_options_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Sample().count = 3


def test_fields_of_lists_what_option_declared_in_order():
    found = options.fields_of(Sample)
    assert [f.name for f in found] == ["count", "rate", "depth", "shade", "text", "flag", "maybe"]
    count, rate, _, shade, _, flag, maybe = found
    assert (count.kind, count.optional, count.default, count.help, count.low, count.high) == (
        int,
        False,
        4,
        "How many.",
        1,
        10,
    )
    assert (rate.kind, rate.high) == (float, None)
    assert (shade.kind, shade.choices) == (str, ("red", "blue"))
    assert (flag.kind, flag.default) == (bool, False)
    assert (maybe.kind, maybe.optional, maybe.default) == (int, True, None)


def test_json_round_trip():
    given = Sample(count=7, rate=0.1, shade="blue", maybe=5, hidden=(3,))
    there = options.to_json(REGISTRY, given)
    assert there["name"] == "sample" and there["rate"] == 0.1
    assert options.from_json(REGISTRY, "thing", there) == given
    assert options.from_json(REGISTRY, "thing", {**there, "hidden": [3]}) == given


def test_a_bare_name_stands_for_the_defaults():
    assert options.from_json(REGISTRY, "thing", "sample") == Sample()


def test_from_json_leaves_the_callers_object_alone():
    given = {"name": "sample", "count": 2}
    options.from_json(REGISTRY, "thing", given)
    assert given == {"name": "sample", "count": 2}


@pytest.mark.parametrize(
    "given, message",
    [
        (None, "A thing is a name or an object with a 'name', got None"),
        (3, "A thing is a name or an object with a 'name', got 3"),
        ({"count": 3}, "A thing is a name or an object with a 'name'"),
        ("smaple", r"There is no thing 'smaple'\. Choose one of: sample, other\. Did you mean 'sample'\?"),
        (
            {"name": "nothing like it"},
            r"There is no thing 'nothing like it'\. Choose one of: sample, other\.$",
        ),
        ({"name": ["sample"]}, "There is no thing"),
        ({"name": None}, "There is no thing 'None'"),
        (
            {"name": "sample", "cuont": 3},
            r"There is no option of the thing 'sample' 'cuont'\..*Did you mean 'count'\?",
        ),
        ({"name": "sample", "count": 99}, "count must be"),
    ],
)
def test_from_json_refuses(given, message):
    with pytest.raises(OptionError, match=message):
        options.from_json(REGISTRY, "thing", given)


def test_an_unregistered_instance_is_refused():
    @dataclass(frozen=True)
    class Stranger:
        pass

    with pytest.raises(OptionError, match="Stranger is not registered. Choose one of: sample, other"):
        options.to_json(REGISTRY, Stranger())


def test_a_type_error_in_the_class_becomes_an_option_error():
    @dataclass(frozen=True)
    class Needy:
        must: int

    with pytest.raises(OptionError, match="Not a valid Needy: .*must"):
        options.build(Needy, {}, "field")


def test_unknown_guesses_without_regard_to_case_and_cuts_what_is_long():
    assert "Did you mean 'Sneaker'?" in str(unknown("label", "sneeker", ["Sneaker", "Bag"]))
    assert str(unknown("label", "x", [])) == "There is no label 'x'. Choose one of: none."
    assert len(str(unknown("label", "y" * 10_000, ["a"]))) < 200
    assert isinstance(unknown("label", "x", []), StudioError)


def test_an_exact_name_comes_before_one_in_another_case():
    names = ("A", "B", "a", "Aa", "aA")
    assert [options.index_of("label", name, names) for name in names] == [0, 1, 2, 3, 4]
    assert options.index_of("label", "b", names) == 1
    with pytest.raises(OptionError, match="The label 'AA' could be 'Aa' or 'aA', which differ in case only"):
        options.index_of("label", "AA", names)
    with pytest.raises(OptionError, match="There is no label 'c'. Choose one of: A, B, a, Aa, aA"):
        options.index_of("label", "c", names)
