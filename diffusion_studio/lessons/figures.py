"""The figures that a lesson can name. Each is a generator of `Figure`s made of this program's own parts: the
last is the whole figure, those before it are what there is so far.

A figure takes the studio, `ask`, through which its network calls go, and its settings as keywords: those that
a lesson's file may give. To add one, write the function and name it in `FIGURES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import OptionError, unknown
from ..inside.figure import Curves, Figure, Film
from ..options import from_json
from ..runs.recipe import Recipe
from ..studio import Studio

Ask = Callable[[Callable[[], Any]], Any]
MOST_ROWS = 5
MOST_CALLS = 400  # network calls times pictures of one figure of runs
CLOUD_SIDE = 160  # pixels of a drawn cloud of points
SHOWN_POINTS = 1000


def at_once(call: Callable[[], Any]) -> Any:
    """An `ask` that just calls."""
    return call()


# ---- into noise


def forward(
    studio: Studio,
    ask: Ask = at_once,
    *,
    schedules: Sequence[str] = ("linear", "cosine"),
    ways: Sequence[str] = ("closed", "iterated"),
    curves: Sequence[str] = ("alpha_bar", "log_snr"),
    steps: int = 50,
    size: int = 64,
    histograms: bool = True,
    start: float = 0.0,
) -> Iterator[Figure]:
    """The bundled photograph goes into noise: `inside.forward_figure`. `start` is the share of the way that
    is shown first.
    """
    from ..inside.forward_figure import example, forward_figure
    from ..inside.forward_pictures import process, schedules_named

    def made() -> Figure:
        found = schedules_named(schedules, lambda name: studio.card(name).spec.schedule)
        picture = example().fitted(size, 3)
        rows = [process(picture, one, steps, 0, name) for name, one in found.items()]
        return forward_figure(rows, ways, histograms, curves)

    figure = ask(made)
    if all(len(cells) == 1 for _, cells in figure.rows):  # side by side
        cells = [replace(film, title=name) for name, [film] in figure.rows]
        figure = replace(figure, rows=[("", cells)])
    yield replace(figure, start=round(start * (figure.states - 1)))


def schedule_samples(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str = "fashion-mnist",
    steps: int = 10,
    fine: int = 50,
    seeds: Sequence[int] = (2, 5, 9, 12),
    **of_forward: Any,
) -> Iterator[Figure]:
    """`forward`, and below it samples of one network whose steps visit the noise levels of the linear and of
    the cosine schedule, evenly in their time. They say how far they end from the pictures of `fine` steps.

    `of_forward` are settings of `forward`.
    """
    *_, above = forward(studio, ask, **of_forward)
    yield above
    base = studio.recipe(model, label=None, guidance=1.0, seeds=tuple(seeds), steps=fine)
    _check_work([base] * 2)
    end = _frames(studio, base, ask)[-1].x.astype(np.float64)
    cells = []
    for name in ("linear", "cosine"):
        visited = _visited(studio, model, name, steps)
        found = _frames(studio, replace(base, steps=steps, spacing=visited), ask)
        away = np.sqrt(np.mean(((found[-1].x - end) / 127.5) ** 2))
        film = _film(found, "x0", above.states)
        # the way into noise goes from left to right, so the way back is played from right to left
        back = replace(film, pictures=film.pictures[::-1], captions=[*reversed(film.captions)])
        cells.append(replace(back, title=f"x0, {steps} steps on the {name} levels: ends {away:.2f} away"))
        yield replace(above, rows=[*above.rows, ("", cells)])


def _visited(studio: Studio, model: str, schedule: str, steps: int) -> Any:
    """The spacing that visits those timesteps of a model whose alpha is nearest to that of another schedule,
    at even times of it.
    """
    from ..diffusion.schedule import SCHEDULES
    from ..diffusion.spacing import SPACINGS

    own, other = studio.card(model).spec.schedule, SCHEDULES[schedule]()
    last = own.timesteps - 1
    alphas = np.array([own.level(t).alpha for t in range(last + 1)])
    found = []
    for k in range(steps):
        share = (steps - k) / steps
        wanted = other.level(share * other.timesteps - 1).alpha
        found.append(int(np.abs(alphas - wanted).argmin()))
    found[0] = last  # both begin with pure noise
    return from_json(SPACINGS, "spacing", {"name": "timesteps", "timesteps": ", ".join(map(str, found))})


# ---- out of noise


def race(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    ticks: int = 40,
    **common: Any,
) -> Iterator[Figure]:
    """A race of runs from one noise, at equal noise level, with the curve of how far their predicted pictures
    are from those of the first row.

    Each row is a name and settings of a recipe, `common` those of all.
    """
    from ..compare.clocks import CLOCKS, SEEN
    from ..compare.drawing import picked
    from ..compare.race import finished, racing
    from ..compare.recipes import RaceRecipe

    named = _named_recipes(studio, model, rows, common)
    _check_work([recipe for _, recipe in named])
    made = finished(racing(RaceRecipe(tuple(recipe for _, recipe in named)), studio, ask), None)
    if made.ended is not None:
        raise made.ended
    shown = picked(len(made.ticks), ticks)
    cells, series = [], []
    for k, ((name, _), lane) in enumerate(zip(named, made.lanes)):
        frames = [made.shown(tick)[k] for tick in shown]
        captions = [f"step {one.index} of {one.total}" for one in frames]
        away = "" if lane.curve is None else f": ends {lane.curve.rms[-1]:.3f} away from {named[0][0]}"
        cells.append(Film(name + away, np.stack([_sheet(one, "x0") for one in frames]), captions))
        if lane.curve is not None:
            xs = np.clip(lane.curve.log_snr, -SEEN, SEEN)
            series.append((name, xs, lane.curve.rms))
    says = CLOCKS["log-snr"].says
    labels = [f"Noise level: {says(float(made.ticks[tick]))}" for tick in shown]
    at = np.clip(made.ticks[shown], -SEEN, SEEN)
    curves = [Curves(f"how far x0 is from that of {named[0][0]}", series, "log-SNR", at, zero=True)]
    yield Figure(len(shown), [("", cells)], curves, labels, len(shown) - 1)


def _named_recipes(
    studio: Studio, model: str, rows: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> list[tuple[str, Recipe]]:
    """The recipes of a figure's rows by their names."""
    if not 1 <= len(rows) <= MOST_ROWS:
        raise OptionError("rows", f"This figure has 1 to {MOST_ROWS} rows, got {len(rows)}.")
    recipes: list[tuple[str, Recipe]] = []
    for row in rows:
        settings = {**common, **row}
        name = str(settings.pop("name", f"row {len(recipes) + 1}"))
        recipes.append((name, studio.recipe(model, **settings)))
    return recipes


def _check_work(recipes: Sequence[Recipe]) -> None:
    work = sum(recipe.steps * recipe.pictures for recipe in recipes)
    if work > MOST_CALLS:
        raise OptionError(
            "rows",
            f"These runs take {work} network calls times pictures; a figure may take {MOST_CALLS}. Give "
            "fewer steps, pictures or rows.",
        )


def runs(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    show: Sequence[str] = ("x", "x0"),
    against: str = "",
    **common: Any,
) -> Iterator[Figure]:
    """Runs below each other: each row is a name and settings of a recipe, `common` those of all.

    All rows go through the same number of states: a row of fewer steps stands still in between. `show` is
    "x", the noisy state, "x0", the predicted picture, or both. `against` names a row: the others then say how
    far their finished pictures are from those of it, as the root mean square of pixels from -1 to 1.
    """
    recipes = _named_recipes(studio, model, rows, common)
    _check_work([recipe for _, recipe in recipes])
    if against and against not in [name for name, _ in recipes]:
        raise unknown("row", against, [name for name, _ in recipes], field="against")
    made: list[tuple[str, list[Any]]] = []
    for name, recipe in recipes:
        made.append((name, _frames(studio, recipe, ask)))
        states = max(len(frames) for _, frames in made)
        apart = _apart(dict(made), against)
        drawn = [(row + apart[row], [_film(frames, half, states) for half in show]) for row, frames in made]
        if len(show) == 1:  # side by side
            drawn = [("", [replace(film, title=row) for row, [film] in drawn])]
        labels = [f"{k / (states - 1):.0%} of the way" for k in range(states)]
        yield Figure(states, drawn, (), labels, states - 1)


def _apart(made: Mapping[str, Sequence[Any]], against: str) -> dict[str, str]:
    """What is said after each row's name of its finished pictures."""
    said = dict.fromkeys(made, "")
    if against in made:
        to = made[against][-1].x.astype(np.float64)
        for name, frames in made.items():
            if name != against:
                away = np.sqrt(np.mean(((frames[-1].x - to) / 127.5) ** 2))
                said[name] = f": {away:.3f} away from {against}"
    return said


def _frames(studio: Studio, recipe: Recipe, ask: Ask) -> list[Any]:
    return list(studio.stream(recipe, ask))


_HALVES = {"x": "the state x_t", "x0": "what the network expects: x0"}


def _film(frames: Sequence[Any], half: str, states: int) -> Film:
    """One half of a run over `states` states."""
    if half not in _HALVES:
        raise unknown("half", half, _HALVES)
    places = np.round(np.linspace(0, len(frames) - 1, states)).astype(int)
    drawn = [_sheet(frame, half) for frame in frames]
    shown = [frames[k] for k in places]
    captions = [
        f"step {one.index} of {one.total}, {one.calls} network call{'s' * (one.calls != 1)}" for one in shown
    ]
    return Film(_HALVES[half], np.stack([drawn[k] for k in places]), captions)


def _sheet(frame: Any, half: str) -> np.ndarray:
    from ..inside.drawing import cloud

    given = getattr(frame, half)
    if frame.of_points:
        return cloud(given[0][:SHOWN_POINTS].astype(np.float32), CLOUD_SIDE)
    return frame.sheet(given)


# ---- what one call says


def targets(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str = "fashion-mnist",
    label: str | None = None,
    seed: int = 2,
    levels: int = 16,
) -> Iterator[Figure]:
    """One network call read as the noise, the picture, and the mean of the next state, over noise levels.

    A picture of the model itself is noised with known noise to `levels` levels, so that what the network says
    can be held against the truth. The curves are the root mean square errors.
    """
    from ..diffusion.editing import noised
    from ..diffusion.noise import Noise
    from ..diffusion.spacing import path
    from ..imaging.arrays import from_uint8
    from ..inside.drawing import picture as drawn

    recipe = studio.recipe(model, label=label, seeds=(seed,), steps=20, guidance=1.0)
    if studio.card(model).resolution is None or not 2 <= levels <= 50:
        raise OptionError("levels", f"must be from 2 to 50 of a model of pictures, got {levels} of {model}.")
    frames = _frames(studio, recipe, ask)
    loaded = ask(lambda: studio.model(model))
    x0 = from_uint8(frames[-1].x)
    eps = Noise((seed + 1000,), tuple(x0.shape[1:]))(0)
    denoise = loaded.denoiser(label)
    films: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "noise", "said", "x0", "mean")}
    errors, shares, labels = {"noise": [], "picture": []}, [], []
    ways = path(loaded.schedule, levels)
    for level, after in zip(ways, ways[1:]):
        x = noised(x0, level, eps)
        said = ask(lambda: denoise(x, level))
        mean = _posterior_mean(x, said.x0, level, after)
        for name, value in (("x", x), ("noise", eps), ("said", said.eps), ("x0", said.x0), ("mean", mean)):
            scale = 3.0 if name in ("noise", "said") else 1.0
            films[name].append(drawn(value[0].double().numpy() / scale))
        errors["noise"].append(float((said.eps - eps).square().mean().sqrt()))
        errors["picture"].append(float((said.x0 - x0).square().mean().sqrt()))
        shares.append(level.t / max(loaded.schedule.t_max, 1e-9))
        labels.append(f"t = {level.t:.0f}: {level.alpha:.2f} of the picture, {level.sigma:.2f} of noise")
    titles = {
        "x": "what goes in: x_t",
        "noise": "the noise that is in it",
        "said": "the noise, as the network says it",
        "x0": "the same answer as x0",
        "mean": "the same as the next mean",
    }
    row = [Film(titles[name], np.stack(one)) for name, one in films.items()]
    order = np.argsort(shares)
    series = [(name, np.array(shares)[order], np.array(values)[order]) for name, values in errors.items()]
    yield Figure(len(shares), [("", row)], [Curves("error of the answer", series, "t / T", shares)], labels)


def _posterior_mean(x: Any, x0: Any, now: Any, after: Any) -> Any:
    """The mean of q(x_after | x_now, x0), eq. 7 of Ho et al. 2020."""
    if after.sigma == 0:
        return x0
    ratio = now.alpha / after.alpha
    beta = now.sigma**2 - ratio**2 * after.sigma**2
    return (after.alpha * beta * x0 + ratio * after.sigma**2 * x) / now.sigma**2


# ---- learning


def training(
    studio: Studio, ask: Ask = at_once, *, shape: str = "moons", steps: int = 300, seed: int = 0
) -> Iterator[Figure]:
    """A small network learns a set of points while it is watched: what it makes, and its loss."""
    from ..data import points as point_data
    from ..data.point_sets import POINT_SETS
    from ..inside.drawing import cloud
    from ..training.live import new_folder, watched

    if shape not in POINT_SETS:
        raise unknown("shape", shape, POINT_SETS)
    if not 50 <= steps <= 1500:
        raise OptionError("steps", f"must be from 50 to 1500 training steps, got {steps}.")
    data = ask(lambda: point_data.load(shape, "test", SHOWN_POINTS).points[:SHOWN_POINTS])
    yield Figure(1, [("", [Film("the data it learns from", cloud(data, CLOUD_SIDE)[None])])])
    folder, end, looks = new_folder(), object(), []
    live = watched(shape, folder.name, steps, f"lesson-{shape}", seed)
    while (one := ask(lambda: next(live, end))) is not end:
        looks.append(one)
        yield _learning(looks)


def _learning(looks: Sequence[Any]) -> Figure:
    """What a network made at each look, beside the data, and its loss."""
    from ..inside.drawing import cloud

    made = np.stack([cloud(one.frame.x[0].astype(np.float32), CLOUD_SIDE) for one in looks])
    data = cloud(looks[0].frame.x0[0].astype(np.float32), CLOUD_SIDE)
    done = [one.frame.index for one in looks]
    losses = [(n, one.loss) for n, one in zip(done, looks) if one.loss is not None]
    labels = [
        f"{n} training steps, {one.seconds:.1f} s" + ("" if one.loss is None else f", loss {one.loss:.3f}")
        for n, one in zip(done, looks)
    ]
    row = [
        Film("the data it learns from", np.broadcast_to(data, made.shape)),
        Film("what the network makes now", made),
    ]
    series = [("loss", [n for n, _ in losses], [loss for _, loss in losses])]
    curves = [Curves("loss", series, "training steps", done, zero=True)] if len(losses) > 1 else []
    return Figure(len(looks), [("", row)], curves, labels, len(looks) - 1)


# ---- the network


def network(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str = "fashion-mnist",
    label: str | None = "Sneaker",
    seed: int = 3,
    steps: int = 12,
    leave_out: str = "skip",
) -> Iterator[Figure]:
    """The U-Net drawn with a run's data in it: of each size the busiest channel on the way down, in the
    middle and on the way up; and x0 with and without what `leave_out` names: "skip", the skip that enters the
    finest block, or "middle", the block of the smallest size.
    """
    from ..inside import drawing
    from ..inside.network_view import run_blocks
    from ..inside.run import Run
    from ..inside.views import view

    if leave_out not in ("skip", "middle"):
        raise unknown("part", leave_out, ("skip", "middle"))
    recipe = studio.recipe(model, label=label, seeds=(seed,), steps=steps, guidance=1.0)
    run = ask(lambda: Run.of(studio, recipe))
    blocks = ask(lambda: run_blocks(run.state(0)))
    chosen = _levels(blocks)
    skips = [one for one in blocks if one.skip]
    last = skips[-1] if leave_out == "skip" else min(blocks, key=lambda one: one.size[0])
    part = "skip" if leave_out == "skip" else "block"
    whole, without, change, drawings = [], [], [], []
    said = "x0 without the finest skip" if leave_out == "skip" else "x0 without the middle"
    for k in range(steps):
        outputs = ask(lambda: _outputs(run.state(k), [block.name for _, block in chosen]))
        maps = {}
        for name, block in chosen:
            channels = outputs[block.name][0].double().numpy()
            busiest = channels[channels.reshape(len(channels), -1).var(1).argmax()]
            maps[name] = drawing.signed(busiest - busiest.mean())
        cut = ask(lambda: view(run, None, "network", k, block=last.name, part=part, factor=0.0))
        whole.append(drawing.picture(cut["x0"]))
        without.append(drawing.picture(cut["x0_scaled"]))
        change.append(float(cut.numbers["change_size"]))
        state = drawing.picture(run.state(k).x[0].double().numpy() / 3)
        drawings.append(_drawn_network(state, maps, drawing.picture(cut["x0"])))
        if k in (0, steps - 1):
            levels = [Film("the U-Net, with this state in it", np.stack(drawings))]
            answers = [Film("what the network expects: x0", np.stack(whole)), Film(said, np.stack(without))]
            labels = [f"Step {n} of {steps}" for n in range(k + 1)]
            series = [("RMS", range(k + 1), change)]
            curves = [Curves("how much leaving it out changes x0", series, "step", range(k + 1), log=True)][
                : k and 1
            ]
            yield Figure(k + 1, [("", levels), ("", answers)], curves, labels, k // 2)


_CELL, _EDGE = 96, 16  # pixels of a map in the drawing, and around


def _drawn_network(state: np.ndarray, maps: Mapping[str, np.ndarray], answer: np.ndarray) -> np.ndarray:
    """(H, W, 3): the state at the left, the maps on their way down and up, the answer at the right, and the
    skips as dashed lines between equal sizes.
    """
    from PIL import Image, ImageDraw

    from ..export.render import load_font

    names = list(maps)
    depth = len(names) // 2  # of the way down; as many go up
    line, font = _CELL + 42, load_font(13)
    width, height = (len(names) + 2) * (_CELL + 24) + 2 * _EDGE, (depth + 1) * line + _EDGE
    whole = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(whole)
    ink, faint = (40, 44, 52), (150, 156, 166)

    def place(column: int, row: int) -> tuple[int, int]:
        return _EDGE + column * (_CELL + 24), row * line + 22

    def put(column: int, row: int, title: str, pixels: np.ndarray) -> None:
        left, top = place(column, row)
        given = pixels if pixels.ndim == 3 else pixels[..., None]
        colour = np.ascontiguousarray(np.broadcast_to(given, (*given.shape[:2], 3)))
        picture = Image.fromarray(colour).resize((_CELL, _CELL), Image.Resampling.NEAREST)
        draw.text((left, top - 18), title, ink, font)
        whole.paste(picture, (left, top))
        draw.rectangle((left - 1, top - 1, left + _CELL, top + _CELL), outline=faint)

    rows = [min(k, len(names) - 1 - k) for k in range(len(names))]
    for k in range(depth):  # skips
        y = place(0, rows[k])[1] + _CELL // 2
        for x in range(place(k + 1, 0)[0] + _CELL + 4, place(len(names) - k, 0)[0] - 4, 10):
            draw.line((x, y, x + 5, y), fill=faint, width=2)
    put(0, 0, "x_t goes in", state)
    for k, name in enumerate(names):
        put(k + 1, rows[k], name, maps[name])
    put(len(names) + 1, 0, "x0 comes out", answer)
    for k, (before, after) in enumerate(zip([0, *rows], [*rows, 0])):  # the way through
        (left, top), (right, below) = place(k, before), place(k + 1, after)
        lower = (after > before) - (after < before)  # -1, 0, 1: up, on one level, down
        leaves, enters = top + _CELL * (1 + lower) // 2, below + _CELL * (1 - lower) // 2
        draw.line((left + _CELL, leaves, right, enters), fill=ink, width=2)
    return np.asarray(whole)


def _outputs(state: Any, names: Sequence[str]) -> dict[str, Any]:
    """The outputs of the named modules in one network call about a state."""
    found: dict[str, Any] = {}

    @contextmanager
    def watching() -> Iterator[None]:
        modules = dict(state.run.model.network.named_modules())
        hooks = [
            modules[name].register_forward_hook(
                lambda module, args, output, name=name: found.__setitem__(name, output.detach().float())
            )
            for name in names
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    state.ask_network(watching)
    return found


def _levels(blocks: Sequence[Any]) -> list[tuple[str, Any]]:
    """The last block of each size on the way down, the middle, and the last of each size on the way up."""
    smallest = min(one.size[0] for one in blocks)
    first = next(k for k, one in enumerate(blocks) if one.size[0] == smallest)
    found: dict[str, Any] = {}
    for k, one in enumerate(blocks):
        way = "middle" if one.size[0] == smallest else "down" if k < first else "up"
        found[f"{way}, {one.size[0]} x {one.size[1]}"] = one
    return list(found.items())


# ---- how good is it


def distance(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str = "shapes",
    label: str = "moons",
    rows: Sequence[Mapping[str, Any]] = ({"name": "50 steps", "steps": 50},),
    points: int = 2000,
) -> Iterator[Figure]:
    """Clouds with their Frechet distance to the data: other data, runs of a model of points, and a single
    Gaussian with the data's own mean and covariance, which the distance cannot tell from it.
    """
    from ..data import points as point_data
    from ..inside.drawing import cloud
    from ..metrics.frechet import Gaussian, frechet

    if not 1 <= len(rows) <= MOST_ROWS:
        raise OptionError("rows", f"This figure has 1 to {MOST_ROWS} rows, got {len(rows)}.")
    data = point_data.load(label, "test", 2 * points).points[: 2 * points]
    real, other = data[:points], data[points:]
    fit = Gaussian.of(real)
    blob = np.random.default_rng(0).multivariate_normal(fit.mean, fit.covariance, points)

    def drawn(clouds: Mapping[str, np.ndarray]) -> Figure:
        cells = [
            Film(
                name,
                cloud(np.asarray(found[:SHOWN_POINTS], np.float32), CLOUD_SIDE)[None],
                [f"distance {frechet(Gaussian.of(found), fit):.4f}"],
            )
            for name, found in clouds.items()
        ]
        return Figure(1, [("", cells)])

    clouds = {
        "the data": real,
        "other points of the same data": other,
        "one Gaussian of the data's mean and spread": blob,
    }
    yield drawn(clouds)
    for row in rows:
        settings = {"label": label, "seeds": (0,), "points": points, "clip": False, **row}
        name = str(settings.pop("name", "a run"))
        recipe = studio.recipe(model, **settings)
        clouds[name] = _frames(studio, recipe, ask)[-1].x[0].astype(np.float64)
        yield drawn(clouds)


FIGURES: dict[str, Callable[..., Iterator[Figure]]] = {
    "forward": forward,
    "schedule_samples": schedule_samples,
    "race": race,
    "runs": runs,
    "targets": targets,
    "training": training,
    "network": network,
    "distance": distance,
}


def settings_of(name: str) -> dict[str, inspect.Parameter]:
    """The settings that a figure takes; "**" among them means those of a recipe too."""
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    found = inspect.signature(FIGURES[name]).parameters.values()
    kinds = {
        inspect.Parameter.KEYWORD_ONLY: lambda one: one.name,
        inspect.Parameter.VAR_KEYWORD: lambda one: "**",
    }
    return {kinds[one.kind](one): one for one in found if one.kind in kinds}


def draw(studio: Studio, name: str, settings: Mapping[str, Any], ask: Ask = at_once) -> Iterator[Figure]:
    """The named figure with a lesson's settings, as far as it is, and at last whole."""
    check(name, settings)
    return FIGURES[name](studio, ask, **settings)


def check(name: str, settings: Mapping[str, Any]) -> None:
    """An `OptionError` where there is no such figure, or it does not take one of the settings."""
    takes = settings_of(name)
    for one in settings:
        if one not in takes and "**" not in takes:
            raise unknown(f"setting of the figure {name}", one, takes, field="settings")
