"""Make the pictures that the app's page shows before any run, with the bundled models.

    python scripts/page_pictures.py

It writes the recording that the player shows before the first run (`ui/player/opening.json`: ticks and frames
as the server sends them), the race that the tab Compare shows before the first one
(`ui/compare_view/example.json`), and the picture of each model's card (`checkpoints/NAME/picture.png`). Run
it after a bundled model was trained again.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from diffusion_studio import Studio, files, race
from diffusion_studio.compare.player_data import shown_value
from diffusion_studio.compare.text import lanes_of
from diffusion_studio.imaging.arrays import grid, to_pil
from diffusion_studio.runs.recipe_diff import flat_settings
from diffusion_studio.studio import FIRST
from diffusion_studio.ui.compare_choices import FIRST_LANES
from diffusion_studio.ui.compare_view.view import EXAMPLE
from diffusion_studio.ui.player.player import OPENING, packed, tick

ROOT = Path(__file__).resolve().parents[1]
OPENING_RUN = {"prompt": "a wizard with a ruby staff", "seeds": (4, 5, 6, 7)}  # four heroes, chosen by eye
EVERY = 2  # the recording has every second state, to stay small
EXAMPLE_TEXT = (
    "A recorded example of other runs, on the noise level: one picture of {} for “{}”. Press Run to make "
    "the lanes with your settings, on your clock."
)
CARD_SEEDS = (0, 1, 2, 3)
CARD_SIDE = 96  # pixels of the picture of a model of points
CARDS = {  # changes to the default recipe for the models' cards
    "fashion-mnist": {"label": None, "guidance": 1.0, "seeds": (2, 5, 9, 12)},
    "mnist": {"label": None, "guidance": 1.0, "seeds": (1, 4, 7, 8)},
    "heroes": {"prompt": None, "guidance": 1.0, "seeds": (3, 4, 7, 13)},
    "letters": {"label": "R", "prompt": "teal black display", "seeds": (0,)},
    "emoji": {"prompt": "grinning face", "seeds": (0,)},
    "cifar10": {"label": "ship", "seeds": (0,)},
    "shapes": {"label": "pinwheel"},
}


def opening(studio: Studio) -> str:
    """The recording as JSON: its recipe, the last tick of its run, and every second frame with the last
    one.
    """
    recipe = studio.recipe(FIRST, **OPENING_RUN)
    frames = studio.run(recipe).frames
    kept = [frame for frame in frames if frame.index % EVERY == 0 or frame is frames[-1]]
    last = tick("opening", len(kept) - 1, len(kept) - 1, kept[-1], flat_settings(recipe))
    recorded = [packed(place, frame) for place, frame in enumerate(kept)]
    return json.dumps({"recipe": json.loads(recipe.to_json()), "tick": last, "frames": recorded})


def example(studio: Studio) -> str:
    """The recorded race as JSON."""
    prompt = OPENING_RUN["prompt"]
    base = studio.recipe(FIRST, prompt=prompt, seeds=(4,))
    made = race([*lanes_of(base, FIRST_LANES)], studio=studio)
    text = EXAMPLE_TEXT.format(FIRST, prompt)
    return json.dumps({**shown_value(made), "recorded": text, "lanes": FIRST_LANES})


def card_picture(studio: Studio, name: str) -> bytes:
    """A model's picture as PNG: two by two pictures, or one cloud of points."""
    pictures = studio.card(name).resolution is not None
    changes = CARDS.get(name, {})
    recipe = studio.recipe(name, **({"seeds": CARD_SEEDS} if pictures else {"seeds": (0,)}) | changes)
    made = studio.run(recipe)
    written = io.BytesIO()
    if pictures:
        to_pil(grid(made.images)).save(written, "PNG", optimize=True)
        return written.getvalue()
    path = studio.folder / name / "picture.tmp.png"
    made.save(path, "png", scale=4, axes=False)
    with Image.open(path) as drawn:
        small = drawn.convert("RGB").resize((CARD_SIDE, CARD_SIDE), Image.Resampling.LANCZOS)
    path.unlink()
    small.quantize(64).save(written, "PNG", optimize=True)
    return written.getvalue()


def main() -> None:
    studio = Studio(ROOT / "checkpoints", "cpu", "fp32")
    files.write_text(OPENING, opening(studio))
    print(f"{OPENING.name}: {OPENING.stat().st_size / 1000:.0f} KB")
    files.write_text(EXAMPLE, example(studio))
    print(f"{EXAMPLE.name}: {EXAMPLE.stat().st_size / 1000:.0f} KB")
    for card in studio.models():
        path = card.path.with_name("picture.png")
        files.write_bytes(path, card_picture(studio, card.name))
        print(f"{card.name}: {path.stat().st_size / 1000:.1f} KB")


if __name__ == "__main__":
    main()
