"""Diffusion Studio in a browser: `python app.py` (the same as `diffusion-studio serve`). What a Space
runs.
"""

import sys
from typing import Any

from diffusion_studio.cli import main


def __getattr__(name: str) -> Any:
    """`demo`, the app's Blocks, where tools of Gradio's look for it; made when it is asked for."""
    if name == "demo":
        from diffusion_studio.ui.shell import demo

        return demo()
    raise AttributeError(name)


if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
