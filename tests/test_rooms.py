"""The plan of the house: who may import whom, and what stays out of where. Read from the source by ast."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import diffusion_studio as ds

PACKAGE = "diffusion_studio"
ROOT = Path(ds.__file__).resolve().parent
FILES = sorted(ROOT.rglob("*.py"))

# A module imports from lower ranks, and inside a room (a folder that is named here) from its fellows.
RANKS = {
    "errors": -2,
    "options": -1,
    "device": -1,
    "files": -1,
    "convert": 8,
    "diffusion.schedule": 0,
    "diffusion.noise": 0,
    "diffusion.levels": 0.5,
    "diffusion.prediction": 1,
    "diffusion.spacing": 1,
    "diffusion.posterior": 2,
    "diffusion.denoiser": 2,
    "diffusion.guidance": 3,
    "diffusion.samplers": 3,
    "diffusion.editing": 3,
    "diffusion.interpolation": 3.2,
    "diffusion.sampling": 3.5,
    "imaging": 4,
    "networks": 4,
    "checkpoint": 5,
    "data": 6,
    "export": 6,
    "models": 7,
    "runs": 8,
    "training": 9,
    "metrics": 10,
    "inside": 10.5,
    "studio": 11,
    "compare": 11.5,
    "lessons": 11.6,
    "ui": 12,
    "cli": 13,
    "__main__": 14,
}
MOST_LOOSE = 8  # modules at the package's root, __init__ and __main__ among them
EMPTY = {"", "diffusion"}  # packages that only hold others; nobody needs to import from them


def module_of(path: Path) -> str:
    """The dotted name below the package: 'networks.unet'; a package's own is that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str | None:
    """The entry of RANKS that a module belongs to."""
    parts = module.split(".")
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in RANKS), None)


def test_the_table_of_rooms_is_the_plan():
    """CONTRIBUTING.md has every room in one row, under its own rank or the range of those in its folder or
    row.
    """
    table = (
        (ROOT.parent / "CONTRIBUTING.md")
        .read_text("utf-8")
        .partition("| rank | room |")[2]
        .partition("\n\n")[0]
    )
    told = {}
    for rank, rooms in re.findall(r"^\| ([-\d. to]+) \| (.+?) \|", table, re.M):
        listed = [
            room
            for name in re.findall(r"`([\w/]+)`", rooms)
            for room in RANKS
            if room == name.rstrip("/") or name.endswith("/") and room.startswith(name[:-1] + ".")
        ]
        assert not told.keys() & set(listed)
        told |= dict.fromkeys(listed, rank)
    assert told.keys() == RANKS.keys()
    for rank in set(told.values()):
        own = [RANKS[room] for room in told if told[room] == rank]
        assert [float(end) for end in rank.split(" to ")] == sorted({min(own), max(own)}), rank


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imports(path: Path) -> set[str]:
    """Every absolute name that a file imports, at any depth: 'torch', 'diffusion_studio.networks.unet',
    ...
    """
    here = [PACKAGE, *path.relative_to(ROOT).parent.parts] if path.is_relative_to(ROOT) else []
    found = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def inner(path: Path) -> set[str]:
    """The package's modules that a file imports, below the package."""
    found = set()
    for name in imports(path):
        if name == f"{PACKAGE}.__version__":  # a constant; it drags nothing along
            continue
        if name == PACKAGE or name.startswith(PACKAGE + "."):
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in MODULES:  # the tail is a class or a function
                parts.pop()
            found.add(".".join(parts))
    return found


def test_modules_import_only_from_lower_ranks():
    assert [wrong for module in sorted(MODULES.keys() - EMPTY) for wrong in wrong_imports(module)] == []


def wrong_imports(module: str) -> list[str]:
    """A sentence for each import of a module that its rank does not allow."""
    room = room_of(module)
    if room is None:
        return [f"{module} has no rank; give it one in RANKS"]
    found = []
    for other in inner(MODULES[module]):
        target = room_of(other)
        if other in EMPTY:
            found.append(f"{module} imports from the package {other or PACKAGE!r}, not from a module")
        elif target is None:
            found.append(f"{other} has no rank")
        elif not (target == room and MODULES[room].name == "__init__.py" or RANKS[target] < RANKS[room]):
            found.append(f"{module} ({RANKS[room]}) imports {other} ({RANKS[target]})")
    return found


def test_the_rule_of_ranks_can_fail(monkeypatch):
    monkeypatch.setitem(RANKS, "studio", 14)
    monkeypatch.delitem(RANKS, "compare")
    found = wrong_imports("cli.compare")
    assert "compare.files has no rank" in found, found
    assert any(one.endswith("imports studio (14)") for one in wrong_imports("cli.flags"))
    assert wrong_imports("compare.race") == ["compare.race has no rank; give it one in RANKS"]


def test_no_two_modules_import_each_other_in_a_circle():
    """Inside a room too: its files have an order."""
    graph = {module: inner(path) - {module} for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for other in graph[module]:
                visit(other, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_few_modules_stand_loose_at_the_root():
    assert len([path for path in FILES if path.parent == ROOT]) <= MOST_LOOSE


def test_the_reader_of_imports_sees_what_it_should():
    """The tests above are as good as `imports`; it must see relative, lazy and type-checking ones."""
    assert {"checkpoint.spec", "networks.networks", "errors"} <= inner(ROOT / "checkpoint" / "native.py")
    assert "runs.generate" in inner(ROOT / "studio.py")  # inside a function
    assert "torch" in imports(ROOT / "imaging" / "arrays.py")
    assert "export.metadata" in inner(ROOT / "runs" / "recipe.py")


def test_gradio_appears_only_in_the_ui():
    for path in FILES:
        if "ui" not in path.relative_to(ROOT).parts:
            assert not {name for name in imports(path) if name.split(".")[0] == "gradio"}, path


@pytest.mark.parametrize(
    "module",
    [
        "errors",
        "options",
        "imaging.arrays",
        "imaging.frame",
        "device",
        "networks.config",
        "networks.tokens",
        "checkpoint.spec",
        "runs.guidance_options",
        "runs.recipe",
    ],
)
def test_light_modules_name_no_heavy_package_at_module_level(module):
    for node in ast.parse(MODULES[module].read_text("utf-8")).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            assert not {name.split(".")[0] for name in names} & {"torch", "PIL", "gradio", "imageio"}, module


LIGHT = [
    "",
    ".runs.recipe",
    ".runs.guidance_options",
    ".options",
    ".checkpoint.spec",
    ".training.config",
    ".metrics.config",
    ".networks.config",
    ".networks.tokens",
    ".data",
    ".export",
    ".studio",
    ".cli",
]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_loads_nothing_heavy(module):
    """In a fresh interpreter: what parses arguments or prints help must not wait for torch."""
    code = (
        f"import sys, {PACKAGE}{module}\n"
        "print(*sorted({'torch', 'gradio', 'PIL', 'imageio', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_making_runs_never_loads_torchs_compiler():
    """In a fresh interpreter, with every bundled model. It takes seconds, and leaves a folder in the temporary
    one: random numbers on the meta device had imported it.
    """
    code = (
        "import sys, diffusion_studio as ds\n"
        "from pathlib import Path\n"
        "from diffusion_studio.checkpoint.classifier import read_classifier\n"
        "studio = ds.Studio('checkpoints')\n"
        "for model in studio.models():\n"
        "    next(studio.stream(studio.recipe(model.name, steps=1)))\n"
        "for path in Path('checkpoints').glob('*/classifier.safetensors'):\n"
        "    read_classifier(path)\n"
        "print(*sorted({'torch', 'sympy', 'torch._dynamo', 'torch._inductor'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "torch"


@pytest.mark.parametrize("name", ds.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ds, name) is not None
    assert name in dir(ds)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sampelr'"):
        ds.Sampelr


def test_nothing_unpickles_runs_text_or_loads_loosely():
    assert [f"{module_of(path)}, {wrong}" for path in FILES for wrong in unsafe_lines(path)] == []


def test_the_rule_of_safe_loading_can_fail():
    lines = ["import pickle", "eval('1')", "torch.load(f, weights_only=True)", "run(shell=True)", "len(x)"]
    found = unsafe_lines(ROOT / "data" / "unsafe.py", ast.parse("\n".join(lines)))
    assert found == ["imports pickle", "line 2: eval", "line 3: torch.load", "line 4: ('shell', True)"]


PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def unsafe_lines(path: Path, tree: ast.Module | None = None) -> list[str]:
    tree = syntax(path) if tree is None else tree
    found = [
        f"imports {name}"
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        if name.split(".")[0] in PICKLES and not getattr(node, "level", 0)
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        safe = (
            called == "torch.load"
            and module_of(path) == "checkpoint.pickles"
            and any(
                keyword.arg == "weights_only" and getattr(keyword.value, "value", None) is True
                for keyword in node.keywords
            )
        )
        if not safe and called in ("torch.load", "eval", "exec", "os.system"):
            found.append(f"line {node.lineno}: {called}")
        for keyword in node.keywords:
            given = keyword.arg, getattr(keyword.value, "value", None)
            if given in (
                ("strict", False),
                ("allow_pickle", True),
                ("weights_only", False),
                ("shell", True),
            ):
                found.append(f"line {node.lineno}: {given}")
    return found
