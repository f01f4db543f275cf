"""The app in a window of its own, by pywebview, the extra `window`. No gradio here: the command line reads
this file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from ..errors import OptionError

INSTALL = "pip install 'diffusion-studio[window]'"


def check_window() -> None:
    """Raise `OptionError` where pywebview is not installed."""
    if find_spec("webview") is None:
        raise OptionError(
            "window",
            f"A window of its own needs pywebview, which is not installed: {INSTALL}. Or open the page in a "
            "browser with --open.",
        )


def show_window(title: str, address: str) -> bool:
    """Show the page in a window until it is closed. Only in the main thread.

    Returns False, and prints why, where this computer cannot show one: the page can still be opened in a
    browser.
    """
    webview = import_module("webview")
    try:
        webview.create_window(title, address, width=1440, height=900)
        webview.start()
    except Exception as error:  # of whichever toolkit it found
        print(
            f"Diffusion Studio: no window can be opened ({error}). It needs a screen, and on Linux GTK or "
            f"Qt. Open {address} in a browser instead."
        )
        return False
    return True
