"""Proxies of the environment, which lead to the internet and not to this computer.

No gradio here: it looks at the environment when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = ("no_proxy", "NO_PROXY")
_OWN = "localhost,127.0.0.1,::1,0.0.0.0"


@contextmanager
def without_proxy(but_for_the_internet: bool = False) -> Iterator[None]:
    """Ask no proxy: Gradio makes clients when it is imported, and calls its own server when it starts. With
    `but_for_the_internet` only this computer is reached without one."""
    before = {name: os.environ.get(name) for name in _NAMES}
    given = next(filter(None, before.values()), "")
    os.environ.update(dict.fromkeys(_NAMES, f"{given},{_OWN}".lstrip(",") if but_for_the_internet else "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)  # Windows has one of both
            else:
                os.environ[name] = value
