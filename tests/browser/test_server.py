"""The app as a process: its temporary files, its end, and programs that give up waiting."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import answered, choose_model, chosen_model, free_port, player, run, set_number, wait

import diffusion_studio as ds

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and users of POSIX")
SHORT = {"model": "mnist", "label": "3", "steps": 2, "count": 1, "api_name": "/animate"}
LONG = {"model": "mnist", "label": "3", "steps": 500, "count": 16, "api_name": "/animate"}


@contextmanager
def served(
    folder: Path,
    *before: str,
    checkpoints: Path = ROOT / "checkpoints",
    own_port: bool = True,
    program: tuple[str, ...] = ("app.py",),
    **environment: str,
):
    """The process and the address of an app whose temporary files go below the folder."""
    log, port = folder / "log", ["--port", str(free_port())] if own_port else []
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                *before,
                sys.executable,
                *program,
                "--runs",
                str(folder / "runs"),
                "--checkpoints",
                checkpoints,
                *port,
            ],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # else inherited from nohup
            env={
                **os.environ,
                "TMPDIR": str(folder),
                "PYTHONUNBUFFERED": "1",
                "GRADIO_TEMP_DIR": "",
                **environment,
            },
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"local URL: +(http://\S+:\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def client(address: str, folder: Path, download: bool = True):
    from gradio_client import Client

    return Client(address, verbose=False, download_files=str(folder) if download else False)


def exports(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.suffix in (".gif", ".png", ".mp4")]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder, the process and the address of an app in it."""
    folder = tmp_path_factory.mktemp("app")
    with served(folder) as (process, address):
        yield folder, process, address


def test_an_export_is_there_once(here, tmp_path):
    folder, _, address = here
    path = client(address, tmp_path).predict(**SHORT)
    assert ds.Recipe.from_file(path).label == "3" and len(exports(folder)) == 1
    client(address, tmp_path).predict(**SHORT)
    assert len(exports(folder)) == 2
    given = {"x": "guidance=1, 2", "model": "mnist", "label": "3", "steps": 1, "api_name": "/grid"}
    assert Path(client(address, tmp_path).predict(**given)).name == "grid-mnist.gif"
    assert len(exports(folder)) == 3


def test_an_export_that_fails_leaves_nothing(here, tmp_path):
    folder, _, address = here
    before = sorted(folder.rglob("*"))
    with pytest.raises(Exception, match="no prompt"):
        client(address, tmp_path).predict(**SHORT, prompt="x")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("end", ["cancelled", "killed"])
def test_a_run_that_nobody_waits_for_ends(end, here, tmp_path):
    """The next one begins at once: the long one alone takes about a minute."""
    _, _, address = here
    if end == "cancelled":
        job = client(address, tmp_path, False).submit(**LONG)
        time.sleep(3)
        job.cancel()
    else:
        code = f"from gradio_client import Client; Client({address!r}, verbose=False).predict(**{LONG!r})"
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        time.sleep(8)
        assert child.poll() is None
        child.kill()
        child.wait()
    started = time.monotonic()
    client(address, tmp_path).predict(**SHORT)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "given, said",
    [
        ({"count": "4"}, "count must be a whole number from 1 to 64, got '4'"),
        ({"count": 4.5}, "count must be .* got 4.5"),
        ({"count": True}, "count must be .* got True"),
        ({"count": [4]}, r"count must be .* got \[4\]"),
        ({"seed": "abc"}, "seed must be a whole number from 0 to .* got 'abc'"),
        ({"seed": 1.5}, "seed must be .* got 1.5"),
        ({"seed": {}}, "seed must be .* got {}"),
        ({"model": ["mnist"]}, "There is no model"),
        ({"model": {"a": 1}}, "There is no model"),
        ({"format": ["gif"]}, "There is no format"),
        ({"view": ["x"]}, r"There is no view .*Choose one of: x, x0, both"),
        (
            {"sampler": ["ddim"]},
            r"sampler must be a name, or an object .* got \('ddim',\). Choose one of: ddim",
        ),
        ({"spacing": 5}, "spacing must be a name, or an object .* got 5. Choose one of: trailing"),
        ({"settings": {"edit": 5}}, "edit must be a name, or an object .* got 5. Choose one of: picture"),
        ({"settings": {"interval": "high"}}, r"interval must be an object of its options \(low, high\)"),
        ({"label": ["3"]}, r"label is one text for all pictures, got \('3',\)"),
    ],
)
def test_what_is_of_the_wrong_kind_is_said(given, said, here, tmp_path):
    with pytest.raises(Exception, match=said):
        client(here[2], tmp_path).predict(**{**SHORT, **given})


def test_none_is_left_out(here, tmp_path):
    call = client(here[2], tmp_path).predict
    path = call(
        model=None,
        label=None,
        steps=1,
        sampler=None,
        spacing=None,
        guidance=None,
        seed=None,
        count=None,
        view=None,
        format=None,
        prompt=None,
        negative=None,
        settings=None,
        api_name="/animate",
    )
    studio = ds.Studio(ROOT / "checkpoints")
    first = studio.models()[0].name
    plain = studio.recipe(first, label=None, prompt=None, steps=1, seeds=tuple(range(16)))
    assert path.endswith(".gif") and ds.Recipe.from_file(path) == plain
    whole = ds.Recipe.from_file(call(**{**SHORT, "count": 2.0, "seed": 7.0}))
    assert whole.seeds == (7, 8) and {type(one) for one in whole.seeds} == {int}


@posix
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_the_end_of_the_app_removes_its_files(number, code, tmp_path):
    with served(tmp_path, "env", "--default-signal=INT") as (process, address):
        (own,) = tmp_path.glob("diffusion-studio-app-*")
        client(address, tmp_path / "mine").predict(**SHORT)
        assert exports(own)
        client(address, tmp_path, False).submit(**LONG)  # nor is a run waited for
        time.sleep(2)
        for _ in range(2):  # as `timeout` does
            process.send_signal(number)
            time.sleep(0.01)
        assert process.wait(20) == code, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log", "mine"]


@posix
def test_the_next_start_removes_what_a_killed_app_left_and_nothing_of_one_that_runs(tmp_path):
    with served(tmp_path) as (first, address):
        client(address, tmp_path / "mine").predict(**SHORT)
        first.kill()
        first.wait()
    (left,) = tmp_path.glob("diffusion-studio-app-*")
    with served(tmp_path, own_port=False) as (_, one):
        assert not left.exists()
        with served(tmp_path, own_port=False) as (_, two):  # the second one finds another port
            assert one != two and len(list(tmp_path.glob("diffusion-studio-app-*"))) == 2
            client(two, tmp_path / "mine").predict(**SHORT)
        client(one, tmp_path / "mine").predict(**SHORT)


# root without its right to write everywhere is a user like any other
BARE_ROOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-chown,-fowner"]


@posix
def test_the_usual_folder_is_somebody_elses(tmp_path):
    """Gradio's default, TMPDIR/gradio, is one folder for all users of a machine and belongs to who came
    first.

    A file in its place can be used by nobody. HOME is not there either.
    """
    (tmp_path / "gradio").write_text("")
    with served(tmp_path, HOME=str(tmp_path / "gradio")) as (_, address):
        assert ds.Recipe.from_file(client(address, tmp_path / "mine").predict(**SHORT)).steps == 2


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root may give folders away")
def test_folders_of_another_user(tmp_path):
    for name in ("gradio", "home"):
        (tmp_path / name).mkdir(mode=0o755)
        os.chown(tmp_path / name, 65534, 65534)
    try:
        if (
            subprocess.run(
                [*BARE_ROOT, "touch", str(tmp_path / "home" / "x")], capture_output=True
            ).returncode
            == 0
        ):
            pytest.skip("this root may write everywhere")
    except FileNotFoundError:
        pytest.skip("no setpriv (Debian: util-linux)")
    with served(tmp_path, *BARE_ROOT, HOME=str(tmp_path / "home")) as (_, address):
        assert ds.Recipe.from_file(client(address, tmp_path / "mine").predict(**SHORT)).steps == 2
    for words in (["app.py"], ["-m", "diffusion_studio", "serve"]):
        done = subprocess.run(
            [*BARE_ROOT, sys.executable, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "home")},
            timeout=120,
        )
        assert done.returncode == 2 and done.stderr == (
            f"diffusion-studio: The folder {str(tmp_path / 'home')!r} that GRADIO_TEMP_DIR names cannot be "
            "used (Permission denied). Name one in GRADIO_TEMP_DIR that you may write to, or unset it.\n"
        )


@pytest.mark.parametrize(
    "proxy",
    [
        {"http_proxy": "http://127.0.0.1:9"},
        {"all_proxy": "socks5://127.0.0.1:9"},
        {"HTTPS_PROXY": "nonsense", "HTTP_PROXY": "nonsense"},
    ],
)
def test_a_proxy_for_the_internet_is_not_asked_for_this_computer(proxy, tmp_path):
    """Gradio calls its own address when it starts. Reported of many apps, such as bmaltais/kohya_ss 2399."""
    kept = {name: "" for name in ("no_proxy", "NO_PROXY")}
    with served(tmp_path, **proxy, **kept) as (process, address):
        assert client(address, tmp_path / "mine").predict(api_name="/models")
        assert process.poll() is None and "Traceback" not in (tmp_path / "log").read_text()


def test_a_sub_path_of_a_reverse_proxy(tmp_path):
    """GRADIO_ROOT_PATH, as deepbeepmeep/Wan2GP issue 1415 asks for: what the server calls itself has it."""
    with served(tmp_path, GRADIO_ROOT_PATH="/studio") as (_, address):
        from urllib.request import Request, urlopen

        with urlopen(Request(f"{address}/config", headers={"X-Forwarded-Host": "example.org"})) as answer:
            assert b"example.org/studio" in answer.read()


WRONG = [
    None,
    7,
    [],
    ["run"],
    ["run", "all"],
    {"a": [1]},
    [[], [0]],
    [{}, True],
    "\0",
    ["../x", 2**70, None, []],
]


@pytest.mark.parametrize("data", WRONG)
def test_none_of_the_pages_own_functions_fails(data, here):
    """Of all components. What is answered is for them to say; an error of the server is not."""
    import httpx

    folder, _, address = here
    functions = {
        (one["id"], name)
        for one in httpx.get(f"{address}/config").json()["components"]
        for name in one["props"].get("server_fns") or []
    }
    assert {"frames", "recording", "waits", "teach", "look", "made", "parts"} <= {
        name for _, name in functions
    }
    for component, name in sorted(functions):
        given = {"data": data, "fn_name": name, "component_id": component, "session_hash": "x"}
        answer = httpx.post(f"{address}/gradio_api/component_server", json=given, timeout=60)
        assert answer.status_code < 500, (name, answer.text)
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("data", WRONG[:8])
@pytest.mark.parametrize("name", ["frames"])
def test_the_pages_own_functions_refuse_in_a_sentence(name, data, here):
    """They were answered with 500, and a traceback in the log."""
    import httpx

    folder, _, address = here
    config = httpx.get(f"{address}/config").json()
    (player,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == "player")
    given = {"data": data, "fn_name": name, "component_id": player, "session_hash": "x"}
    answer = httpx.post(f"{address}/gradio_api/component_server", json=given)
    if answer.status_code != 200:
        assert answer.status_code == 400 and answer.json()["detail"].startswith("The player ")
    else:  # a run that is not there has no frames
        assert answer.json() in ([], None) and isinstance(data, list) and len(data) == 2
    assert "Traceback" not in (folder / "log").read_text()


def test_the_page_of_the_scripts_that_measure_makes_a_run(here, script):
    """Without a browser, as `tests/benchmarks/visitors.py` visits. It follows the events of the page."""
    page = script("_page").Page(here[2])
    assert page.run(steps=2, count=1) == 3 and not page.error and len(page.digests) == 3
    page.close()


# A server that computes one run and lets none wait. Its place is taken until there is a file of the given name.
SMALL = """import os, sys, threading, time
from diffusion_studio.cli import main
from diffusion_studio.ui import shell
from diffusion_studio.ui.compute import Compute
def small():
    compute = Compute(1, 0)
    turn = compute.turn()
    compute.turns.enter(turn)
    def leave():
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.1)
        compute.turns.leave(turn)
    threading.Thread(target=leave, daemon=True).start()
    return compute
shell.Compute = small
sys.exit(main(["serve", *sys.argv[2:]]))"""


def test_a_page_that_finds_the_server_full_says_so_and_asks_again(tmp_path, browser):
    """Visitor 33 got "Queue is full", and nothing asked again."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    full = "1 run is computed here and 0 wait, which is all that this server takes."
    free = tmp_path / "free"
    with served(tmp_path, program=("-c", SMALL, str(free))) as (_, address):
        with pytest.raises(Exception, match=f"{full} Try again in a few minutes"):
            client(address, tmp_path, False).predict(**SHORT)
        with answered(page):
            page.goto(address)
            page.wait_for_selector("#generate")
        set_number(page, "#steps", 2)
        set_number(page, "#count", 1)
        page.click("#generate")
        page.wait_for_selector(f"#player .waiting .words:has-text('{full} This page asks again')")
        assert not page.locator(".toast-body").count()
        page.get_by_role("tab", name="Models").click()  # what computes nothing needs no place
        page.wait_for_selector("#use-mnist")
        page.get_by_role("tab", name="Generate").click()
        free.write_text("")
        wait(page, "d.run && d.ended === 'true' && d.loaded === '3'")  # nobody pressed again
    context.close()


@posix
def test_a_page_keeps_what_it_has_while_its_server_starts_again(tmp_path, browser):
    """It loaded itself anew and forgot the run, and Generate was dead until then without a word.

    The model is not the first one, so that a new session of Gradio's would not know the entries of its menus.
    """
    port = str(free_port())
    here = {"own_port": False, "GRADIO_SERVER_PORT": port}
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    folders = [tmp_path / name for name in ("first", "second")]
    for one in folders:
        one.mkdir()
    with served(folders[0], **here) as (process, address):
        with answered(page):
            page.goto(address)
            page.wait_for_selector("#generate")
        choose_model(page, "mnist")
        page.click("#label-chips [data-name='3']")
        page.wait_for_selector("#label-chips [data-name='3'][aria-pressed=true]")
        run(page, steps=4, count=1)
        page.evaluate("window.loadedOnce = true")
        shown = player(page)["run"]
        process.terminate()
        process.wait(60)
        page.wait_for_selector("#server-lost:has-text('The server does not answer')")
        page.click("#generate")
        page.wait_for_selector("#player .waiting .words:has-text('This run begins when it is back')")
        assert player(page)["run"] == shown and player(page)["loaded"] == "5"
    with served(folders[1], **here) as (_, again):
        assert again == address
        wait(page, f"d.run && d.run !== '{shown}' && d.ended === 'true' && d.loaded === '5'")
        page.wait_for_selector("#server-lost:empty", state="attached")
    assert page.evaluate("window.loadedOnce") and chosen_model(page) == "mnist"
    assert page.locator("#label-chips [data-name='3']").get_attribute("aria-pressed") == "true"
    context.close()
