"""A training run as HTML: how far it is, its loss curve, its sheets of samples."""

from __future__ import annotations

import base64
import math
from html import escape
from pathlib import Path

from .run_state import RunState

NOTHING = (
    '<div class="doctor"><p class="hint">Choose pictures and how long to train. Loss and samples will '
    "stand here.</p></div>"
)
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 200, 52, 26, 10
_EARLIER = 6
_MAX_SHEET = 4 << 20  # bytes of a sheet that is sent to the page


def view(state: RunState) -> str:
    """Progress, figures, curve and sheets."""
    share = min(1.0, state.seen / state.config.images)
    return (
        f'<div class="doctor run"><h3>{escape(state.name)}</h3>{_message(state)}<div class="progress" '
        f'role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * share:.0f}"><div '
        f'style="width:{100 * share:.1f}%"></div></div><dl>{_figures(state, share)}</dl><div '
        f'class="pictures">{_curve(state)}{_sheets(state)}</div></div>'
    )


def _message(state: RunState) -> str:
    if state.running:
        return (
            '<p class="good">Training.</p>'
            if state.seen
            else '<p class="good">Starting: reading and checking the pictures.</p>'
        )
    if state.said:
        return f'<p class="bad">{escape(state.said)}</p>'
    if state.finished:
        return '<p class="good">Finished.</p>'
    return (
        '<p class="wait">Stopped. It is saved; Resume goes on where it stopped.</p>'
        if state.model
        else '<p class="wait">Stopped before its first checkpoint.</p>'
    )


def _figures(state: RunState, share: float) -> str:
    row = state.rows[-1] if state.rows else {}
    status = state.status
    loss = status.loss if status and status.loss is not None else row.get("loss")
    facts = {
        "Images seen": f"{state.seen:,} of {state.config.images:,} ({100 * share:.0f} %)"
        if state.known
        else "",
        "Loss": f"{loss:.4f}" if loss is not None else "",
        "Data": Path(state.config.data).name if state.known else "",
        "Size": f"{state.config.size}x{state.config.size}" if state.known else "",
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


def _curve(state: RunState) -> str:
    """The loss over the images seen, on a logarithmic scale."""
    points = [(row["seen"], row["loss"]) for row in state.rows if row.get("loss", 0) > 0]
    first = points[-1][0] if len(points) > 12 else -1
    live = [
        (seen, loss)
        for seen, loss in (state.status.losses if state.status else ())
        if loss > 0 and seen > first
    ]
    points = (points if len(points) > 12 else []) + live or points
    if len(points) < 2:
        return ""
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    low, high = low * 0.95, max(high * 1.05, low * 1.2)
    last = max(state.config.images, points[-1][0])

    def place(seen: float, loss: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 8) * seen / last
        y = _TOP + (_HEIGHT - _BOTTOM - _TOP) * (math.log(high) - math.log(loss)) / (
            math.log(high) - math.log(low)
        )
        return f"{x:.1f},{y:.1f}"

    marks = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y}" y2="{y}"/><text x="{_LEFT - 6}" '
        f'y="{float(y) + 4:.0f}" text-anchor="end">{loss:.3g}</text>'
        for loss in (high / 1.05, math.sqrt(low * high), low / 0.95)
        for y in [place(0, loss).split(",")[1]]
    )
    return (
        f'<figure class="curve"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Loss over '
        f'images seen">{marks}'
        f'<polyline points="{" ".join(place(*one) for one in points)}"/>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}">0</text><text x="{_WIDTH - 8}" y="{_HEIGHT - 6}" '
        'text-anchor="end">'
        f"{last:,.0f} images</text></svg><figcaption>Loss (logarithmic) over images "
        "seen</figcaption></figure>"
    )


def _sheets(state: RunState) -> str:
    """The newest sheet, and some earlier ones small."""
    shown = [path for path in state.samples if path.stat().st_size <= _MAX_SHEET]
    if not shown:
        return (
            '<p class="hint">The first samples come after a twentieth of the training.</p>'
            if state.running
            else ""
        )
    step = max(1, (len(shown) - 1) // _EARLIER)
    earlier = shown[:-1][::-1][::step][:_EARLIER][::-1]
    small = "".join(_picture(path, "small") for path in earlier)
    return (
        f'<figure class="sheet">{_picture(shown[-1], "")}<figcaption>Samples {_when(shown[-1])}, always from '
        "the same noise"
        "</figcaption></figure>" + (f'<div class="earlier">{small}</div>' if small else "")
    )


def _picture(path: Path, kind: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<img class="{kind}" src="data:image/png;base64,{data}" alt="Samples {_when(path)}" '
        f'title="Samples {_when(path)}">'
    )


def _when(path: Path) -> str:
    return f"after {int(path.stem):,} images" if path.stem.isdecimal() else "at the end"
