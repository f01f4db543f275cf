"""A training as HTML: how far it is, its figures, and the curve of its loss."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from .run_state import RunState

EXAMPLE = "fashion-mnist"  # the bundled model whose samples stand where no training is yet
_NOTHING = (
    '<div class="doctor"><p class="hint">Choose pictures and how long to train, then press <b>Train</b>. '
    "Here you then see how far it is and the time left, the curve of the loss, and samples that the network "
    "makes on the way: at first noise, then blurred, then like your pictures. The trained model can be used "
    "in Generate.</p>"
)
_WIDTH, _HEIGHT = 600, 240  # of the curve, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 64, 12, 50  # margins for the numbers
_MOST_POINTS = 160
_MOST_TICKS = 6
_LEAST_GAP = 25  # between two numbers at the upright axis, which are 19 high on a phone


def nothing(samples: Path | None) -> str:
    """What stands here before the first training; `samples` is a sheet of the model `EXAMPLE`."""
    if samples is None or not samples.is_file():
        return f"{_NOTHING}</div>"
    return (
        f'{_NOTHING}<figure class="train-example"><figcaption><b>An example:</b> samples of the bundled '
        f"model {EXAMPLE} at the end of its training, 220,000 pictures in 1.6 hours on two cores; one row a "
        f'label.</figcaption><img src="gradio_api/file={escape(str(samples.resolve()))}" width="640" '
        'height="640" loading="lazy" alt="Ten rows of garments, drawn by a trained network"></figure></div>'
    )


def view(state: RunState) -> str:
    """Name, state, progress bar, figures and curve."""
    share = min(1.0, state.seen / state.config.images)
    return (
        f'<div class="doctor run"><h3>{escape(state.name)}</h3>{_message(state)}<div class="progress" '
        f'role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * share:.0f}"><div '
        f'style="width:{100 * share:.1f}%"></div></div><dl>{_figures(state, share)}</dl>'
        f"{_curve(state)}{_awaited(state)}</div>"
    )


def _message(state: RunState) -> str:
    if state.stopping:
        return '<p class="good">Stopping: it finishes its step and saves first.</p>'
    if state.running:
        return (
            '<p class="good">Training.</p>'
            if state.seen
            else '<p class="good">Starting: reading and checking the pictures.</p>'
        )
    if state.error:
        return f'<p class="bad">{escape(state.error)}</p>'
    if state.finished:
        return '<p class="good">Finished.</p>'
    return (
        '<p class="wait">Stopped and saved. Resume goes on from here.</p>'
        if state.model
        else '<p class="wait">Stopped before its first checkpoint.</p>'
    )


def _figures(state: RunState, share: float) -> str:
    row = state.rows[-1] if state.rows else {}
    status = state.status
    loss = status.loss if status and status.loss is not None else row.get("loss")
    facts = {
        "Images seen": f"{state.seen:,} of {state.config.images:,} ({100 * share:.0f} %)"
        if state.has_config
        else "",
        "Loss": f"{loss:.4f}" if loss is not None else "",
        "Data": Path(state.config.data).name if state.has_config else "",
        "Size": f"{state.config.size}x{state.config.size}" if state.has_config else "",
    }
    if state.running:
        facts |= {
            "Images per second": f"{status.rate:,.3g}" if status and status.rate is not None else "",
            "Time left": _duration(status.eta_s) if status and status.eta_s is not None else "",
        }
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value
    )


def _duration(seconds: float) -> str:
    """3661 -> 1:01:01."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _awaited(state: RunState) -> str:
    """When the first samples come, while there are none."""
    if not state.running or state.samples:
        return ""
    return '<p class="hint">The first samples come after a twentieth of the training.</p>'


def _losses(state: RunState) -> list[tuple[float, float]]:
    """Pairs of images seen and loss: the log's rows, then what the status has beyond them."""
    rows = [(row["seen"], row["loss"]) for row in state.rows if row.get("loss", 0) > 0]
    rows = rows if len(rows) > 12 else []
    last = rows[-1][0] if rows else -1
    live = state.status.losses if state.status else ()
    found = rows + [(seen, loss) for seen, loss in live if loss > 0 and seen > last]
    found = found or [(row["seen"], row["loss"]) for row in state.rows if row.get("loss", 0) > 0]
    step = max(1, -(-len(found) // _MOST_POINTS))
    return found[:1] + found[1:-1][::step] + found[-1:] if len(found) > 2 else found


def _curve(state: RunState) -> str:
    """The loss over the images seen, on a logarithmic scale. Each point names its values in a tooltip."""
    points = _losses(state)
    if len(points) < 2:
        return ""
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    low, high = low * 0.9, max(high * 1.1, low * 1.5)
    last = max(state.config.images, points[-1][0])
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x_of(seen: float) -> float:
        return _LEFT + (right - _LEFT) * seen / last

    def y_of(loss: float) -> float:
        return _TOP + (bottom - _TOP) * math.log(high / loss) / math.log(high / low)

    heights: dict[float, float] = {}  # of numbers that stand clear of each other
    for loss in log_ticks(low, high):
        if all(abs(y_of(loss) - y) >= _LEAST_GAP for y in heights.values()):
            heights[loss] = y_of(loss)
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{loss:g}</text>'
        for loss, y in heights.items()
    ) + "".join(
        f'<line x1="{x_of(seen):.1f}" x2="{x_of(seen):.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        f'<text x="{x_of(seen):.1f}" y="{bottom + 20}" text-anchor="middle">{seen:,.0f}</text>'
        for seen in ticks(last)
    )
    dots = "".join(
        f'<circle cx="{x_of(seen):.1f}" cy="{y_of(loss):.1f}" r="5"><title>{seen:,.0f} images: loss '
        f"{loss:.4g}</title></circle>"
        for seen, loss in points
    )
    line = " ".join(f"{x_of(seen):.1f},{y_of(loss):.1f}" for seen, loss in points)
    seen, loss = points[-1]
    return (
        f'<figure class="curve"><figcaption>{_measure(state)}, on a logarithmic scale</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Loss over images seen, '
        f'{points[0][1]:.3g} at first and {loss:.3g} after {seen:,.0f} images">{grid}'
        f'<polyline points="{line}"/>'
        f'<text class="now" x="{x_of(seen) + 8:.1f}" y="{y_of(loss) + 5:.1f}">{loss:.3g}</text>'
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">images seen</text>'
        f"{dots}</svg></figure>"
    )


def _measure(state: RunState) -> str:
    """What the loss is."""
    if state.config.kind == "classifier":
        return "Loss: cross-entropy of the labels"
    if state.config.objective != "simple":
        return f"Loss of the objective {escape(state.config.objective)}"
    return f"Loss: mean squared error of the predicted {escape(state.config.predicts)}"


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high for a logarithmic axis: 1, 2 and 5 times a power of ten, or finer."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for heads in ((1,), (1, 2, 5), range(1, 10), [k / 10 for k in range(10, 100)]):
        found = [
            float(f"{head}e{power}")
            for power in range(first, last + 1)
            for head in heads
            if low <= float(f"{head}e{power}") <= high
        ]
        if len(found) >= 3:
            break
    return found[:: max(1, -(-len(found) // _MOST_TICKS))]


def ticks(last: float) -> list[float]:
    """Whole round numbers from 0 to `last` (at least 1) for a linear axis: at most five of them, which stand
    clear of each other in the large type of a phone.
    """
    unit = 10.0 ** math.floor(math.log10(last))
    steps = [unit * k for k in (0.2, 0.25, 0.5, 1, 2) if unit * k % 1 == 0 and unit * k >= 1]
    step = next(one for one in steps if last / one < 5)
    return [k * step for k in range(int(last / step + 1e-9) + 1)]
