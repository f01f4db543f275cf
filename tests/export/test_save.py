"""`save`: the right format, whole files or none, errors in sentences."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from export_runs import decoded, make_run
from PIL import Image

from diffusion_studio.errors import ExportError, OptionError
from diffusion_studio.export import FORMATS, ExportOptions, Format, check, check_size, join_or, save
from diffusion_studio.export.metadata import read_recipe
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.trajectory import Trajectory

RECIPE = '{"diffusion-studio": 1}'
SMALL = ExportOptions(scale=1)
SUFFIXES = ", ".join(dict.fromkeys(known.suffix for known in FORMATS.values()))
NAMES = ", ".join(FORMATS)
KIND = {
    "gif": b"GIF89a",
    "mp4": b"ftyp",
    "webp": b"RIFF",
    "apng": b"\x89PNG",
    "png": b"\x89PNG",
    "strip": b"\x89PNG",
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_suffix_or_the_name_chooses_the_format(tmp_path, grey, name):
    known = FORMATS[name]
    for file, format in (
        (f"a{known.suffix}", None),
        (f"b{known.suffix.upper()}", None),
        ("c", name),
        ("d.x", name),
    ):
        found = save(grey, tmp_path / file, RECIPE, SMALL, format)
        assert found == tmp_path / file and read_recipe(found) == RECIPE
        assert KIND.get(name, b"") in found.read_bytes()[:16]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [f"a{known.suffix}", f"b{known.suffix.upper()}", "c", "d.x"]
    )


def test_a_png_is_the_pictures_and_a_strip_must_be_asked_for(tmp_path, grey):
    with Image.open(save(grey, tmp_path / "a.png", RECIPE, SMALL)) as image:
        assert image.size == (16, 16)
    with Image.open(save(grey, tmp_path / "b.png", RECIPE, SMALL, "strip")) as image:
        assert image.width > 8 * 16


@pytest.mark.parametrize(
    "file, format, message",
    [
        ("run.webm", None, rf"one of {re.escape(SUFFIXES)}; got '\.webm'.*format \({NAMES}\)"),
        ("run", None, r"'run' has none"),
        ("run.gif", "giff", rf"no export format 'giff'. Choose one of: {NAMES}. Did you mean 'gif'\?"),
    ],
)
def test_an_unknown_format_says_what_is_allowed(tmp_path, grey, file, format, message):
    with pytest.raises(OptionError, match=message):
        save(grey, tmp_path / file, RECIPE, SMALL, format)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_says_so(tmp_path, grey):
    with pytest.raises(ExportError, match="There is no folder .*none.*Make the folder first"):
        save(grey, tmp_path / "none" / "a.gif", RECIPE, SMALL)
    with pytest.raises(ExportError, match="is a folder. Add a file name, as in .*run.gif"):
        (tmp_path / "b.gif").mkdir()
        save(grey, tmp_path / "b.gif", RECIPE, SMALL)
    with pytest.raises(ExportError, match="is a file, not a folder. Make the folder first"):
        (tmp_path / "file").write_text("")
        save(grey, tmp_path / "file" / "a.gif", RECIPE, SMALL)


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="a folder that even root cannot write to")
@pytest.mark.parametrize("name", FORMATS)
def test_a_read_only_folder_says_what_to_do(grey, name):
    with pytest.raises(
        ExportError, match="Cannot write '/sys/kernel/a.*Choose a folder that you may write to"
    ):
        save(grey, f"/sys/kernel/a{FORMATS[name].suffix}", RECIPE, SMALL, name)


def test_a_name_that_is_too_long_says_so(tmp_path, grey):
    with pytest.raises(ExportError, match="File name too long. Choose a shorter name"):
        save(grey, tmp_path / f"{'x' * 300}.gif", RECIPE, SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "file, options, format, made, message",
    [
        ("a.gif", SMALL, "giff", [(4, "pictures")], "no export format 'giff'"),
        ("a.avi", SMALL, None, [(4, "pictures")], "got '.avi'"),
        ("none/a.gif", SMALL, None, [(4, "pictures")], "There is no folder .*none"),
        (".", SMALL, "gif", [(4, "pictures")], "is a folder. Add a file name"),
        (f"{'x' * 300}.gif", SMALL, None, [(4, "pictures")], "File name too long"),
        ("a.gif", ExportOptions(picture=4), None, [(4, "pictures")], "pictures 0 to 3, got picture 4"),
        (
            "a.png",
            ExportOptions(picture=4, frames="pictures"),
            None,
            [(4, "pictures")],
            "pictures 0 to 3, got picture 4",
        ),
        (
            "a.gif",
            ExportOptions(picture=2),
            None,
            [(4, "pictures"), (1, "pictures")],
            "only picture 0, got picture 2",
        ),
        (
            "a.gif",
            SMALL,
            None,
            [(4, "pictures"), (4, "points")],
            "One of these runs makes pictures and the other points",
        ),
    ],
)
def test_what_is_wrong_can_be_known_before_the_run(tmp_path, file, options, format, made, message):
    with pytest.raises((ExportError, OptionError), match=message):
        check(tmp_path / file, options, format, made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("below", [False, True])
def test_a_first_state_tells_a_file_that_will_be_too_large(tmp_path, name, below):
    run = make_run(count=16, height=24, width=24)
    for scale in (1, 64):
        asked, said = ExportOptions(scale=scale, caption=True), []
        for act in (
            lambda: check_size(run[0], tmp_path / "a", asked, name, run if below else ()),
            lambda: save(run, tmp_path / "a", RECIPE, asked, name, run if below else ()),
        ):
            try:
                act()
                said.append(None)
            except OptionError as error:
                said.append(str(error))
        assert said[0] == said[1] and ("million pixels" in (said[0] or "")) == (
            scale == 64 and "scale" in FORMATS[name].takes
        )


def test_nothing_is_said_or_left_where_nothing_is_wrong(tmp_path):
    (tmp_path / "a.gif").write_text("precious")
    check(tmp_path / "a.gif", ExportOptions(picture=3), None, [(4, "pictures"), (5, "pictures")])
    check(tmp_path / "b.gif", ExportOptions(picture=9, frames="pictures"), None, [(4, "points")])
    assert list(tmp_path.iterdir()) == [tmp_path / "a.gif"] and (tmp_path / "a.gif").read_text() == "precious"


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="a folder that even root cannot write to")
def test_a_place_that_takes_no_file_is_known_before_the_run():
    with pytest.raises(
        ExportError, match="Cannot write '/sys/kernel/a.gif'.*Choose a folder that you may write to"
    ):
        check("/sys/kernel/a.gif", SMALL, None, [(4, "pictures")])


def test_no_states_is_an_error(tmp_path):
    with pytest.raises(ExportError, match="no states to export yet"):
        save([], tmp_path / "a.gif", RECIPE, SMALL)


@pytest.mark.parametrize("name", FORMATS)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, grey, name):
    file = tmp_path / f"a{FORMATS[name].suffix}"
    file.write_text("precious")
    with pytest.raises(OptionError, match="pictures 0 to 3"):
        save(grey, file, RECIPE, ExportOptions(picture=9), name)
    assert file.read_text() == "precious" and list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_an_export_error_and_loses_nothing(tmp_path, name):
    """The system refuses to let a file grow: as on a full disk, the write itself fails, in Python and in
    ffmpeg.
    """
    file = tmp_path / f"a{FORMATS[name].suffix}"
    file.write_text("precious")
    code = f"""
import resource, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
from export_runs import make_run
from diffusion_studio.errors import ExportError
from diffusion_studio.export import ExportOptions, save
frames = make_run(3, count=16, height=32, width=32)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    save(frames, {str(file)!r}, '{{"diffusion-studio": 1}}', ExportOptions(), {name!r})
except ExportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "room" in done.stdout
    assert file.read_text() == "precious" and list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_through_a_link_and_readable_like_any_other(tmp_path, grey):
    target, link = tmp_path / "real.gif", tmp_path / "link.gif"
    target.write_text("old")
    link.symlink_to(target)
    save(grey, link, RECIPE, SMALL)
    assert link.is_symlink() and target.read_bytes()[:6] == b"GIF89a"
    other = tmp_path / "other"
    other.write_text("")
    assert target.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("name", FORMATS)
def test_awkward_file_names(tmp_path, grey, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stem in ("-y", "file:a", "Schöne 靴 %03d", "x" * 240):
        file = save(grey, f"{stem}{FORMATS[name].suffix}", RECIPE, SMALL, name)
        assert Path(file).stat().st_size > 100
    assert len(list(tmp_path.iterdir())) == 4


def test_importing_the_room_is_light():
    code = """
import sys, diffusion_studio.export
heavy = {"imageio", "PIL", "torch", "imageio_ffmpeg", "gradio"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=600)


def test_formats_are_described():
    assert len({known.label for known in FORMATS.values()}) == len(FORMATS)
    for known in FORMATS.values():
        assert isinstance(known, Format) and known.suffix.startswith(".") and known.help.endswith(".")


def test_a_new_format_is_told_of_everywhere(monkeypatch, capsys):
    """It is named in FORMATS alone."""
    from diffusion_studio.cli import main
    from diffusion_studio.ui.api import _animate
    from diffusion_studio.ui.store import RunStore

    monkeypatch.setitem(FORMATS, "sketch", Format("Sketch", ".skt", "Lines.", FORMATS["png"].write, ()))
    monkeypatch.setenv("COLUMNS", "500")
    for words, told in (
        (["--help"], " or Sketch\n"),
        (["generate", "--help"], " or .skt (default"),
        (["generate", "--help"], f"tell it: {join_or(FORMATS)}\n"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert told in capsys.readouterr().out
    runs = SimpleNamespace(store=RunStore())
    assert f"format: of the file: {NAMES} or sketch.\n" in _animate(runs).__doc__
    with pytest.raises(OptionError, match=r", \.skt; got"):
        check("a.avi", SMALL, None, [(1, "pictures")])


@pytest.mark.parametrize("names, told", [(["a"], "a"), (["a", "b"], "a or b"), ("abc", "a, b or c")])
def test_names_for_people(names, told):
    assert join_or(names) == told


def test_a_trajectory_saves_itself(tmp_path, colour):
    recipe = Recipe(model="m", label="Tür", seeds=(3, 1, 4, 1), steps=10)
    file = Trajectory(recipe, colour).save(
        tmp_path / "run.gif", view="both", fps=10, scale=2, frames="every", every=5
    )
    assert Recipe.from_file(file) == recipe and len(decoded(file)) == 3
