"""How long until the app answers, and until the command line shows its help?

    python tests/benchmarks/startup.py

The app: from starting `python app.py --port N` to its first answer over HTTP, against a fresh process that
only imports torch and gradio. The help: `python -m diffusion_studio --help` against `python -c pass`. All
take turns.

Targets: the app answers within 2 s of the bare imports; the help shows in less than 0.5 s.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from _timing import ROOT, against, interleaved, spread

MOST_BEYOND_IMPORTS = 2.0
MOST_HELP = 0.5
PATIENCE = 120.0  # seconds to wait for an answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--checkpoints", default="checkpoints", help="the app needs a model in here")
    asked = parser.parse_args()
    repeats = asked.repeats

    launches = {
        "imports": lambda: python("-c", "import torch, gradio"),
        "app": lambda: app_answers(asked.checkpoints),
    }
    interleaved(launches, 1)  # warm the disk's cache
    taken = interleaved(launches, repeats)
    imports, app = (statistics.median(taken[name]) for name in ("imports", "app"))
    print(f"import torch, gradio  {spread(taken['imports'])}")
    print(f"app.py answers        {spread(taken['app'])}, {app / imports:.2f} times the imports")
    print(f"beyond the imports    {app - imports:.3f} s   {against(app - imports, MOST_BEYOND_IMPORTS)}")

    taken = interleaved(
        {"nothing": lambda: python("-c", "pass"), "help": lambda: python("-m", "diffusion_studio", "--help")},
        2 * repeats,
    )
    nothing, shown = (statistics.median(taken[name]) for name in ("nothing", "help"))
    print(f"python -c pass        {spread(taken['nothing'])}")
    print(
        f"--help                {spread(taken['help'])}, {shown / nothing:.2f} times nothing   "
        f"{against(shown, MOST_HELP)}"
    )


def python(*words: str) -> None:
    """Run a fresh interpreter to its end."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"python {' '.join(words)} failed:\n{done.stderr}")


def app_answers(checkpoints: str) -> None:
    """Start the app, wait for its first answer, end it."""
    port = free_port()
    settings = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with tempfile.TemporaryFile("w+") as said:
        app = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--checkpoints", checkpoints],
            cwd=ROOT,
            env=settings,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/", app)
        except RuntimeError as error:
            said.seek(0)
            sys.exit(f"app.py {error}. It said:\n{said.read()}")
        finally:
            app.kill()
            app.wait()


def wait_for(address: str, app: subprocess.Popen[bytes]) -> None:
    """Return as soon as the page can be read; a `RuntimeError` if the app ends first or takes too long."""
    until = time.monotonic() + PATIENCE
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until:
        if app.poll() is not None:
            raise RuntimeError(f"ended with status {app.returncode} before it answered")
        try:
            with straight.open(address, timeout=5) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"answered with status {error.code}") from error
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"did not answer within {PATIENCE:g} s")


def free_port() -> int:
    """A port on the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
