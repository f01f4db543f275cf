"""`python -m diffusion_studio` runs the command `diffusion-studio`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
