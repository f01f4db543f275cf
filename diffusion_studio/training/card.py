"""Write the card of a trained model: what it is, its data, its training, loss curve and samples."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from ..checkpoint.classifier_spec import ClassifierSpec
from ..checkpoint.spec import POINTS, ModelSpec
from .config import TrainConfig
from .processes import is_table

if TYPE_CHECKING:
    from .run import RunFolder

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 30, 40  # margins of the plot
LINE, GRID, INK = (36, 99, 196), (225, 228, 233), (60, 64, 72)


def write_card(folder: RunFolder, spec: Any, config: TrainConfig, recent: Sequence[float]) -> None:
    """Write card.md, and loss.png if there are at least two logged losses."""
    curve = _logged_losses(folder)
    if len(curve) > 1:
        folder.save_picture(loss_curve(curve), folder.curve_path)
    folder.save_text(folder.card_path, _card_text(folder, spec, config, recent, len(curve) > 1))


def loss_curve(points: Sequence[tuple[float, float]]) -> Image.Image:
    """A line chart of (images seen, loss). The loss axis is logarithmic if all losses are positive and
    vary by more than 3 times.
    """
    seen, losses = zip(*points)
    log = min(losses) > 0 and max(losses) > 3 * min(losses)
    values = [math.log10(v) for v in losses] if log else list(losses)
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)

    def x_of(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / max(seen)

    def y_of(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    for k in range(5):
        value, at = low + (high - low) * k / 4, max(seen) * k / 4
        draw.line([(LEFT, y_of(value)), (WIDTH - RIGHT, y_of(value))], fill=GRID)
        draw.text((LEFT - 8, y_of(value)), f"{10**value if log else value:.4g}", fill=INK, anchor="rm")
        draw.text((x_of(at), HEIGHT - BOTTOM + 8), f"{at:,.0f}", fill=INK, anchor="mt" if k < 4 else "rt")
    draw.text((LEFT, 8), "loss" + (" (logarithmic)" if log else ""), fill=INK)
    draw.text((WIDTH - RIGHT, HEIGHT - 4), "images seen", fill=INK, anchor="rb")
    draw.line([(x_of(s), y_of(v)) for s, v in zip(seen, values)], fill=LINE, width=2)
    return picture


def _logged_losses(folder: RunFolder) -> list[tuple[float, float]]:
    if not folder.log_path.is_file():
        return []
    with folder.log_path.open(encoding="utf-8", newline="") as file:
        return [(float(row["seen"]), float(row["loss"])) for row in csv.DictReader(file) if row["loss"]]


def _card_text(
    folder: RunFolder, spec: Any, config: TrainConfig, recent: Sequence[float], curve: bool
) -> str:
    known = spec.provenance
    size, channels = config.size, getattr(spec, "channels", spec.network.in_channels)
    colour = "grey" if channels == 1 else "RGB"
    what = (
        f"A classifier of noisy {size}x{size} {colour} pictures, for classifier guidance."
        if isinstance(spec, ClassifierSpec)
        else "A diffusion model of 2-D points, of unit variance."
        if spec.makes == POINTS
        else f"A diffusion model of {spec.form} pictures"
        + (f", which enlarges pictures of {config.low_res}x{config.low_res}." if config.low_res else ".")
    )
    minutes = known["hours"] * 60
    rows = {
        "Data": known["data"],
        "Licence of the data": known["licence"],
        "Labels": ", ".join(spec.labels) or "none",
        "Objective": _objective_text(config),
        f"{'Points' if config.kind == 'points' else 'Images'} seen": f"{known['images_seen']:,} in batches "
        f"of {config.batch}",
        "Averaged weights": f"power function, relative length {config.ema_length:g}"
        if config.ema_length
        else f"decay {config.decays[config.export_index]:g} per step",
        "Time": f"{known['hours']:.2f} hours" if minutes >= 60 else f"{minutes:.1f} minutes",
        "Hardware": known["hardware"],
        "Date": known["date"],
    }
    if isinstance(spec, ModelSpec) and (text := spec.network.text):
        table = f"{len(spec.words):,} words, {'learnt' if text.vectors is None else 'given vectors'}"
        rows["Text"] = (
            f"{table}; {'words and' if text.cross else 'only the'} pooled text condition the network"
        )
        rows["Prompts"] = "; ".join(spec.prompts) or "none"
    if recent:
        rows["Loss"] = f"{sum(recent) / len(recent):.5g} (mean of the last {len(recent)} steps)"
    lines = [f"# {spec.name}", "", what, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {str(value).replace('|', ' ')} |" for name, value in rows.items()]
    lines += ["", "Trained by:", "", f"    {known['command']}", ""]
    if (folder.samples / "final.png").is_file():
        lines += ["![Samples](samples/final.png)", ""]
    if curve:
        lines += ["![Loss](loss.png)", ""]
    return "\n".join(lines)


def _objective_text(config: TrainConfig) -> str:
    if config.kind == "classifier":
        return "cross-entropy"
    continuous = not is_table(config.schedule)
    parts = [
        config.objective,
        f"predicts {config.predicts}",
        f"{config.schedule} schedule "
        + ("in continuous time" if continuous else f"of {config.timesteps} steps"),
    ]
    if config.min_snr:
        parts.append(f"min-SNR weights, gamma {config.min_snr:g}")
    if config.weighting != "output":
        parts.append(f"{config.weighting} weights")
    if config.draws != "uniform":
        parts.append(
            "timesteps drawn by their loss" if config.draws == "loss" else f"{config.draws} noise levels"
        )
    return ", ".join(parts)
