"""Writing files: whole or not at all, with the mode that is there, never in the place of a device."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio import files
from diffusion_studio.cli import main
from diffusion_studio.errors import CheckpointError

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="modes, pipes and links as POSIX has them")


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pipe_read(path: Path) -> tuple[threading.Thread, list[bytes]]:
    """A reader of the named pipe, and what it will have read."""
    os.mkfifo(path)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    reader.start()
    return reader, found


@posix
@pytest.mark.parametrize("umask, wanted", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_the_umask(umask, wanted, tmp_path):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "a.txt", "ü\n")
        with files.replacing(
            tmp_path / "b"
        ) as draft:  # a writer that makes its file anew, for its owner alone
            draft.unlink()
            os.close(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "b") == wanted
    assert (tmp_path / "a.txt").read_bytes() == "ü\n".encode() and names(tmp_path) == ["a.txt", "b"]


@posix
@pytest.mark.parametrize("there", [0o600, 0o640, 0o666])
def test_a_file_that_is_there_keeps_its_mode(there, tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(there)
    files.write_text(path, "new")
    assert mode(path) == there and path.read_text() == "new"


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_is_there_keeps_its_owner(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    files.write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@posix
def test_a_link_stays_and_its_target_gets_the_content(tmp_path):
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "target"
    link.symlink_to("there/target")
    for text in ("first", "second"):  # made, and then replaced
        files.write_text(link, text)
        assert link.is_symlink() and target.read_text() == text
    assert names(tmp_path / "there") == ["target"] and names(tmp_path) == ["link", "there"]


@posix
def test_a_pipe_is_written_through(tmp_path):
    reader, found = pipe_read(tmp_path / "pipe")
    files.check(tmp_path / "pipe")  # does not wait for anybody
    files.write_bytes(tmp_path / "pipe", b"x" * 200_000)
    reader.join(10)
    assert found == [b"x" * 200_000] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert names(tmp_path) == ["pipe"] and files.streamed(tmp_path / "pipe")


@posix
def test_what_takes_no_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, said in (
            ("socket", "it is a socket"),
            (".", "it is a folder"),
            ("none/a", "No such file or directory"),
            ("socket/a", "Not a directory"),
        ):
            for write in (files.check, lambda one: files.write_text(one, "")):
                with pytest.raises(OSError) as caught:
                    write(path)
                assert files.why(caught.value) == said and files.advice(caught.value).endswith(".")
    assert names(tmp_path) == ["socket"]


@posix
@pytest.mark.skipif(
    not hasattr(os, "mknod") or os.name == "posix" and os.geteuid() != 0, reason="root makes device nodes"
)
def test_a_block_device_is_refused_and_a_character_device_written_through(tmp_path, monkeypatch):
    """As `os.stat` tells them: no device is touched."""

    class Told:
        st_mode = stat.S_IFBLK | 0o600

    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **named: Told if str(path).endswith("disk") else real(path, **named)
    )
    with pytest.raises(OSError, match="block device, whose content would be lost"):
        files.write_text(tmp_path / "disk", "x")
    assert names(tmp_path) == []
    Told.st_mode = stat.S_IFCHR | 0o600
    (tmp_path / "disk").write_text("")  # stands for one: what is opened is not made anew
    inode = real(tmp_path / "disk").st_ino
    files.write_text(tmp_path / "disk", "x")
    assert real(tmp_path / "disk").st_ino == inode and (tmp_path / "disk").read_text() == "x"


@posix
def test_a_file_that_is_write_protected_is_not_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    if os.geteuid() == 0:
        pytest.skip("root may write to anything")
    with pytest.raises(PermissionError, match="may not be written to"):
        files.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError, SystemExit])
def test_what_ends_the_writing_leaves_the_old_file_and_nothing_else(error, tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error):
        with files.replacing(tmp_path / "a") as draft:
            draft.write_text("half")
            raise error
    assert (tmp_path / "a").read_text() == "old" and names(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_removed_a_day_later(tmp_path):
    old, young = (tmp_path / f".diffusion-studio-{name}.partial" for name in ("0", "1"))
    for one in (old, young):
        one.write_text("half")
    os.utime(old, (time.time() - 100_000,) * 2)
    files.write_text(tmp_path / "a", "new")
    assert names(tmp_path) == [young.name, "a"]


def test_text_that_is_no_unicode_is_written_as_its_escape(tmp_path):
    files.write_text(tmp_path / "a", "caf\udce9")  # a file's name in Latin-1, as Python reads it
    assert (tmp_path / "a").read_text() == "caf\\udce9"


@pytest.mark.parametrize(
    "parts, name",
    [
        (("model", 'a: "b" <c>|d?*\\e/f', "0"), "model-a_b_c_d_e_f-0.gif"),
        (("heroes", None, "orc, half plate", "7"), "heroes-orc_half_plate-7.gif"),
        (("a", "..", "b"), "a-b.gif"),
        (("CON",), "_CON.gif"),
        (("nul.x", "0"), "_nul.x-0.gif"),
        (("com1",), "_com1.gif"),
        (("CON", "0"), "CON-0.gif"),
        (("--out", "0"), "out-0.gif"),
        ((".hidden. ",), "hidden.gif"),
        (("",), "file.gif"),
        (("a\x00\n\x1b[31mb",), "a_31mb.gif"),
        (("Größe", "猫"), "Größe-猫.gif"),
        (("caf\udce9",), "caf.gif"),
        (("e\u0301",), "é.gif"),
        (("क्षि",), "क्षि.gif"),
    ],
)
def test_names_are_safe_and_telling(parts, name):
    assert files.safe_name(*parts, suffix=".gif") == name


def test_names_are_not_too_long():
    """What is longest loses letters, whole ones; the model and the seed stay."""
    name = files.safe_name("model", "猫" * 200, "12345", suffix=".webp")
    assert 110 <= len(name.encode()) <= 120 and name.startswith("model-猫") and name.endswith("猫-12345.webp")


@posix
@pytest.mark.parametrize("format", ["gif", "mp4", "png"])
def test_an_export_goes_through_a_pipe(format, tiny_checkpoint, tmp_path, capfd):
    """`generate --out PIPE`; the path is not printed into what may be the same pipe."""
    out, whole = tmp_path / f"pipe.{format}", tmp_path / f"file.{format}"
    words = [
        "generate",
        "tiny",
        "--checkpoints",
        str(tiny_checkpoint.parents[1]),
        "--steps",
        "2",
        "--count",
        "1",
    ]
    assert main([*words, "--out", str(whole)]) == 0
    capfd.readouterr()
    reader, found = pipe_read(out)
    assert main([*words, "--out", str(out)]) == 0
    reader.join(10)
    assert found == [whole.read_bytes()] and stat.S_ISFIFO(out.stat().st_mode)
    assert capfd.readouterr().out == "" and ds.Recipe.from_file(whole).steps == 2


@posix
def test_converted_weights_keep_the_mode_and_go_through_pipes(tiny_checkpoint, tmp_path):
    (tmp_path / "new").mkdir()
    out, pipe = tmp_path / "new" / "a.safetensors", tmp_path / "new" / "pipe.safetensors"
    out.write_text("")
    out.chmod(0o600)
    assert main(["convert", str(tiny_checkpoint), str(out), "--force"]) == 0 and mode(out) == 0o600
    reader, found = pipe_read(pipe)
    assert main(["convert", str(tiny_checkpoint), str(pipe), "--force"]) == 0
    reader.join(10)
    assert [len(one) for one in found] == [out.stat().st_size]  # the header's order is the library's
    assert names(tmp_path / "new") == ["a.safetensors", "pipe.safetensors"]


@pytest.mark.slow
@posix
@pytest.mark.skipif(sys.platform != "linux", reason="links to open files as Linux has them")
def test_the_standard_output_by_its_path_is_what_it_leads_to(tiny_checkpoint, tmp_path):
    import subprocess

    words = [
        sys.executable,
        "-m",
        "diffusion_studio",
        "generate",
        "tiny",
        "--checkpoints",
        str(tiny_checkpoint.parents[1]),
        "--steps",
        "1",
        "--count",
        "1",
        "--format",
        "gif",
        "--out",
        "/dev/stdout",
    ]
    with (tmp_path / "a.gif").open("wb") as out:
        inode = os.fstat(out.fileno()).st_ino
        done = subprocess.run(words, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0 and (tmp_path / "a.gif").stat().st_ino == inode
    through = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=300)
    assert through.stdout == (tmp_path / "a.gif").read_bytes() != b""
    assert ds.Recipe.from_file(tmp_path / "a.gif").steps == 1


def test_what_is_missing_is_told_apart(tmp_path):
    """Nothing, a link without a target, and an entry of the other kind."""
    (tmp_path / "note.txt").write_text("x", "utf-8")
    assert files.missing(tmp_path / "none") == f"There is no file {str(tmp_path / 'none')!r}."
    assert files.missing(tmp_path / "none", "folder").startswith("There is no folder ")
    assert files.missing(tmp_path / "note.txt", "folder").endswith("note.txt' is a file, not a folder.")
    assert files.missing(tmp_path).endswith("' is a folder, not a file.")


@posix
def test_a_link_without_a_target_is_called_one(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    for kind in ("file", "folder"):
        assert files.missing(link, kind).endswith(
            f"is a link to {str(tmp_path / 'gone')!r}, which does not exist."
        )
    with pytest.raises(CheckpointError, match="is a link to .*gone'"):
        ds.load(link)
