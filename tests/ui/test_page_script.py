"""Scripts of the page: how they are put together, and that both sides of the player compute the same."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.export.comparison import matched
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.imaging.layout import grid_shape
from diffusion_studio.ui import page_script as module
from diffusion_studio.ui.page_script import (
    ACTIONS,
    COMPONENTS,
    HEAD,
    PAGE,
    STYLES,
    call_action,
    call_mount,
    page_script,
    studio_module,
    studio_styles,
)
from diffusion_studio.ui.player.player import PURE_NOISE, encode
from diffusion_studio.ui.style_sheet import outrank

UI = Path(module.__file__).parent
FIXTURES = Path(__file__).resolve().parents[1] / "js"  # the node tests there read the same files


def cases(name: str) -> list:
    return json.loads((FIXTURES / name).read_text("utf-8"))["cases"]


def frame(k: int, total: int, log_snr: float | None) -> Frame:
    """With a level as the player sends it: None is clean, PURE_NOISE the start of zero terminal SNR."""
    if log_snr is None:
        level = NoiseLevel(-1.0, 1.0, 0.0)
    else:
        level = NoiseLevel(1.0, 0.0 if log_snr <= PURE_NOISE else math.exp(log_snr / 2), 1.0)
    picture = np.zeros((1, 1, 1, 1), np.uint8)
    return Frame(k, total, level, picture, picture)


def run(levels: list) -> list[Frame]:
    return [frame(k, len(levels) - 1, level) for k, level in enumerate(levels)]


@pytest.mark.parametrize("case", cases("matching.json"), ids=lambda case: case["name"])
def test_exports_match_runs_by_noise(case):
    assert matched(run(case["shown"]), run(case["other"])) == case["matched"]


@pytest.mark.parametrize("case", cases("sheet.json"))
def test_the_page_finds_each_picture_in_the_sheet_that_is_sent(case):
    rng = np.random.default_rng(0)
    x, x0 = rng.integers(0, 256, (2, case["count"], *case["tile"], 3), dtype=np.uint8)
    assert grid_shape(case["count"])[1] == case["columns"]
    sheet = np.asarray(
        Image.open(io.BytesIO(encode(Frame(0, 1, NoiseLevel(1, 0.5, 0.5), x, x0)))).convert("RGB")
    )
    left, top, width, height = case["box"]
    part, pictures = sheet[top : top + height, left : left + width], x0 if case["half"] == "x0" else x
    assert part.shape == (height, width, 3)
    if case["number"] is not None:
        np.testing.assert_array_equal(part, pictures[case["number"]])
    else:
        h, w = case["tile"]
        for k, picture in enumerate(pictures):
            row, column = divmod(k, case["columns"])
            np.testing.assert_array_equal(
                part[row * h : (row + 1) * h, column * w : (column + 1) * w], picture
            )


def test_only_the_keyword_export_goes():
    names = [name for files in COMPONENTS.values() for name in files.scripts if name.endswith(".mjs")]
    assert names
    for name in names:
        source = (UI / name).read_text("utf-8")
        exported = re.findall(r"^export const (\w+)", source, re.MULTILINE)
        text = page_script(UI, (name,))
        assert exported and all(re.search(rf"^const {one} = ", text, re.MULTILINE) for one in exported)
        assert len(source) - len(text) == len("export ") * len(exported)


def test_modules_of_the_page_import_nothing_and_every_script_is_used():
    """Their text is the body of a function, where import is a syntax error too."""
    for path in UI.rglob("*.mjs"):
        assert not re.search(
            r"^\s*(import\b|export (?!const |function ))", path.read_text("utf-8"), re.MULTILINE
        )
    fetched_when_seen = {"figure", "forward", "learn"}  # by lazy.py
    used = {*ACTIONS, *HEAD, *PAGE, *(name for files in COMPONENTS.values() for name in files.scripts)}
    paths = {path.relative_to(UI) for path in UI.rglob("*.*js")}
    assert {path.as_posix() for path in paths if path.parts[0] not in fetched_when_seen} == used
    styles = {*STYLES, *(files.style for files in COMPONENTS.values() if files.style)}
    paths = {path.relative_to(UI) for path in UI.rglob("*.css")}
    assert {path.as_posix() for path in paths if path.parts[0] not in fetched_when_seen} == styles


def test_events_call_functions_that_there_are():
    assert call_action("withLook", "points-") == (
        "(...v) => studio.then((s) => s.run('withLook', \"points-\", ...v))"
    )
    with pytest.raises(ValueError, match="No function 'withLooks'"):
        call_action("withLooks")
    with pytest.raises(ValueError, match="No component 'palyer'"):
        call_mount("palyer")


def test_no_logic_of_the_page_is_in_python():
    """A string of Python is checked and tested by no tool: an event calls a function of the modules."""
    found = []
    assembled = {UI / "page_script.py", UI / "static_files.py"}  # they put the modules together
    for path in {*UI.rglob("*.py")} - assembled:
        texts = [
            ast.unparse(one) if isinstance(one, ast.JoinedStr) else one.value
            for one in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(one, ast.JoinedStr)
            or (isinstance(one, ast.Constant) and isinstance(one.value, str))
        ]
        found += [(path.name, text) for text in texts if "=>" in text and re.search(r"[;{?]|document", text)]
    assert found == []


def test_the_module_of_the_page_has_what_the_page_calls(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    (tmp_path / "studio.mjs").write_text(studio_module(), "utf-8")
    (tmp_path / "ask.mjs").write_text(
        "import * as studio from './studio.mjs';\n"
        "console.log(JSON.stringify([Object.keys(studio), studio.run('stopRun', { run: 'a' })]));\n"
    )
    answer = subprocess.run([node, "ask.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert json.loads(answer.stdout) == [["mount", "page", "run"], {"run": "a", "stopped": True}], (
        answer.stderr
    )


def test_other_texts_are_taken_as_they_are(tmp_path):
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    (tmp_path / "b.mjs").write_text("export const b = 'export const c';\nconst d = 2; // export const\n")
    assert page_script(tmp_path, ("b.mjs", "a.js")) == (
        "const b = 'export const c';\nconst d = 2; // export const\nexport const a = 1;\n"
    )


def test_what_the_page_is_made_of_is_in_the_package():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    package = UI.parent
    settings = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    listed = {path for glob in settings["package-data"]["diffusion_studio"] for path in package.glob(glob)}
    folders, ends = (
        (UI, package / "export", package / "compare"),
        ("html", "css", "js", "mjs", "svg", "png", "json"),
    )
    made_of = {path for folder in folders for end in ends for path in folder.rglob(f"*.{end}")}
    written = {path for end in ("md", "txt") for path in package.glob(f"lessons/*/*.{end}")}
    read = {*written, *(package / "inside" / "pictures").iterdir()}
    assert made_of | read | {package / "py.typed"} == listed


def test_styles_of_the_page_outrank_those_of_gradio():
    css = "/* a { b } */ .a, :is(.b, .c) { x: y; }\n.dark .d { x: z; }\n@media print { .e { x: y; } }\n@keyframes k { to { x: y; } }"
    inside = ".gradio-container.gradio-container .contain"
    assert [line.strip() for line in outrank(css).splitlines()] == [
        ".a, :is(.b, .c) { x: y; }",
        f"{inside} .a, {inside} :is(.b, .c) {{ x: y; }}",
        ".dark .d { x: z; }",
        f".dark {inside} .d {{ x: z; }}",
        "@media print {",
        f"{inside} .e {{ x: y; }}",
        "}",
        "@keyframes k { to { x: y; } }",
    ]
    with pytest.raises(ValueError, match="open"):
        outrank(".a { .b { x: y; }")
    assert ".ds-pad:not(#_) {\n" in studio_styles()
