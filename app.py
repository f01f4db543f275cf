"""Diffusion Studio in a browser: `python app.py` (the same as `diffusion-studio serve`). What a Space
runs.
"""

import sys

from diffusion_studio.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
