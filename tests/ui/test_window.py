"""`serve --window`: pywebview, which is an extra, in a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from diffusion_studio.cli import main
from diffusion_studio.ui import window


def test_without_pywebview_it_is_said_before_anything_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    assert main(["serve", "--window"]) == 2
    said = capsys.readouterr().err
    assert "pywebview, which is not installed" in said and "pip install 'diffusion-studio[window]'" in said


@pytest.mark.parametrize("fails", [False, True])
def test_the_window_shows_the_page_or_says_where_it_is(fails, monkeypatch, capsys):
    shown: list = []

    def start() -> None:
        if fails:
            raise RuntimeError("no screen")
        shown.append("closed")

    webview = ModuleType("webview")
    webview.create_window = lambda title, address, **size: shown.append((title, address))
    webview.start = start
    monkeypatch.setitem(sys.modules, "webview", webview)
    assert window.show_window("Studio", "http://127.0.0.1:7860/") is not fails
    assert shown[0] == ("Studio", "http://127.0.0.1:7860/") and ("closed" in shown) is not fails
    said = capsys.readouterr().out
    assert ("Open http://127.0.0.1:7860/ in a browser" in said and "no screen" in said) is fails
