"""What CONTRIBUTING.md and docs/architecture.md name is there: files, functions, classes, registries."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import diffusion_studio as ds

PACKAGE = Path(ds.__file__).resolve().parent
ROOT = PACKAGE.parent
GUIDES = {name: (ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "docs/architecture.md")}
COMMANDS = ("pip ", "pytest", "python ", "ruff", "node ", "npx", "pre-commit", "-", "@", ".", "*")
PLACEHOLDER = re.compile(r"\b(NAME|NUMBER|CODE)")
ELSEWHERE = {"gradio", "torch", "pyright", "chromium", "npx", "uint8"}  # other programs, and words
SUFFIXES = (".py", ".md", ".css", ".js", ".mjs", ".html", ".txt", ".toml", "/")


@cache
def defined(path: Path) -> set[str]:
    """The names that a Python file defines: classes, functions, arguments, variables and attributes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


@cache
def everywhere() -> set[str]:
    files = list(PACKAGE.rglob("*.py"))
    return {name for path in files for name in defined(path)} | {path.stem for path in files}


def exists(name: str) -> bool:
    """Whether a path is there, relative to the repository or the package, or a bare file name anywhere."""
    pattern = PLACEHOLDER.sub("*", name).rstrip("/").removeprefix("../")
    places = [ROOT, PACKAGE, ROOT / "docs"]
    return any(list(place.glob(pattern)) for place in places) or (
        "/" not in pattern
        and any(any((ROOT / place).rglob(pattern)) for place in (PACKAGE.name, "tests", "checkpoints"))
    )


def unknown_names(text: str) -> list[str]:
    """What the text names in backticks, and nothing has."""
    found = []
    for token in re.findall(r"`([^`\n]+)`", text):
        if token.startswith(COMMANDS) or token in ELSEWHERE:
            continue
        if token.endswith(SUFFIXES) and " " not in token:
            found += [] if exists(token) else [token]
        elif re.fullmatch(r"[A-Za-z_][\w.]*", token.partition("(")[0]):
            name = token.partition("(")[0].rpartition(".")[2]
            found += [] if name in everywhere() or exists(name) else [token]
        else:  # a formula or a signature: the classes in it
            found += [one for one in re.findall(r"\b[A-Z][a-z]+\w*", token) if one not in everywhere()]
    return found


def misplaced_names(text: str) -> list[str]:
    """Names that are said to be in a file that does not define them: `NAME` in `FILE`."""
    pairs = re.findall(r"`([A-Za-z_]\w*)`(?: \([^)]*\))? (?:in|of) `([\w/]+\.py)`", text)
    pairs += re.findall(r"^\| `(\w+)[^`]*` \| `([\w/]+\.py)` \|", text, re.M)
    return [
        f"{name} in {path}"
        for name, path in pairs
        if not any(name in defined(found) for found in (*PACKAGE.glob(path), *ROOT.glob(path)))
    ]


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_what_there_is(guide):
    assert unknown_names(GUIDES[guide]) == []
    assert misplaced_names(GUIDES[guide]) == []


def test_the_names_of_guides_are_found():
    """The test above is as good as its reader."""
    assert len(re.findall(r"`([\w/]+\.py)`", GUIDES["CONTRIBUTING.md"])) > 30
    text = "`SAMPLERS` in `runs/recipe.py`, `Nowhere(t)`, `runs/journey.py`, `f -> Riddle`, `pip x`, `Recipe`"
    assert unknown_names(text) == ["Nowhere(t)", "runs/journey.py", "Riddle"]
    assert misplaced_names(text) == ["SAMPLERS in runs/recipe.py"]


def test_the_figures_of_the_architecture_are_current():
    """Lines of code within a tenth, and the loose modules of the package's root."""
    page = GUIDES["docs/architecture.md"]
    for path, said in re.findall(r"`([\w/]+\.py)`, (\d+) lines", page):
        assert len((PACKAGE / path).read_text("utf-8").splitlines()) == pytest.approx(int(said), rel=0.1), (
            path
        )
    for folder, said in (("diffusion_studio", PACKAGE), ("tests", ROOT / "tests")):
        (thousands,) = re.findall(rf"`{folder}/` has ([\d,]+) lines of Python", page)
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in said.rglob("*.py"))
        assert lines == pytest.approx(int(thousands.replace(",", "")), rel=0.1), folder
    loose = re.search(r"stand loose at the package's root: ([^.]+)\.", page)
    assert loose is not None
    assert {*re.findall(r"`(\w+)`", loose[1])} == {path.stem for path in PACKAGE.glob("*.py")}
