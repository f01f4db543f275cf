"""The figures that a lesson can name. Each is a generator of `Figure`s: the last is the whole figure, those
before it show what is computed so far. In between it may yield a `Part`, which says how far it is.

A figure takes the studio, `ask`, through which its network calls go, and its settings as keywords: those that
a lesson's file may give. To add one, write the function and name it in `FIGURES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import OptionError, unknown
from ..imaging.picture import Picture
from ..inside.figure import Curves, Figure, Film, Places
from ..runs.applicability import is_guided
from ..runs.recipe import Recipe
from ..studio import Studio

Ask = Callable[[Callable[[], Any]], Any]
MOST_ROWS = 5
MOST_CALLS = 500  # network calls times pictures of one figure of runs
CLOUD_SIDE = 160  # pixels of a drawn cloud of points
LARGE_CLOUD = 200  # of one among others, which may spread wider
SHOWN_POINTS = 1000


@dataclass(frozen=True)
class Part:
    """How far a figure is: `done` of `of` pieces of work."""

    done: int
    of: int


Made = Iterator[Figure | Part]


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
) -> Made:
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
    if len(figure.rows) == 1:
        figure = _of_one_schedule(figure)
    elif all(len(cells) == 1 for _, cells in figure.rows):  # side by side
        cells = [replace(film, title=name) for name, [film] in figure.rows]
        figure = replace(figure, rows=[("", cells)])
    yield replace(figure, start=round(start * (figure.states - 1)))


def before(name: str) -> Picture | None:
    """The picture that a lesson with the named figure shows before its question, None where it has none."""
    from ..inside.forward_figure import example

    return example() if name in ("forward", "schedule_samples") else None


_WAYS = {"closed": "at once", "iterated": "step by step", "unscaled": "never made fainter"}


def _of_one_schedule(figure: Figure) -> Figure:
    """A figure of `inside.forward_figure` whose curves are named by what is done, not by the schedule."""
    from ..inside.forward_figure import TITLES

    [(_, cells)] = figure.rows
    titles = {TITLES[way]: f"{text[0].upper()}{text[1:]}" for way, text in _WAYS.items()}
    titles |= {f"Pixels, {TITLES[way].lower()}": f"Pixels, {text}" for way, text in _WAYS.items()}
    named = [replace(cell, title=titles.get(cell.title, cell.title)) for cell in cells]
    curves = [
        replace(one, series=[(_WAYS.get(name.split(", ")[-1], name), *rest) for name, *rest in one.series])
        for one in figure.curves
    ]
    return replace(figure, rows=[("", named)], curves=curves)


def schedule_samples(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str = "fashion-mnist",
    steps: int = 10,
    fine: int = 50,
    seeds: Sequence[int] = (2, 5, 9, 12),
    size: int = 64,
    start: float = 0.0,
) -> Made:
    """A photograph under the linear and the cosine schedule, with what each single step keeps and the product
    of all so far, its alpha bar. Beside it samples of one network whose steps visit the noise levels of the
    one and of the other schedule, evenly in their time, and where these levels lie. The last caption says how
    far a sample ends from `fine` steps on levels of the same schedule, as a common reference would favour the
    schedule whose levels it has. `size` and `start` are those of `forward`.
    """
    from ..diffusion.schedule import SCHEDULES

    bare: dict[str, Any] = {"ways": ("closed",), "curves": (), "histograms": False}
    *_, above = forward(studio, ask, schedules=_TWO, size=size, start=start, **bare)
    assert isinstance(above, Figure)
    kept = {name: _alpha_bars(SCHEDULES[name]()) for name in _TWO}
    [(_, films)] = above.rows
    # steps into noise at each state
    counts = np.round(np.linspace(0, len(kept["linear"]), above.states)).astype(int)
    left = [[1.0, *kept[name]] for name in _TWO]
    films = [
        replace(film, captions=[f"{100 * one[n]:.0f}% of its variance left" for n in counts])
        for film, one in zip(films, left)
    ]
    labels = [_product_text(kept, n) for n in counts]
    above = replace(above, rows=[("", films)], curves=[_product_curves(kept, counts)], labels=labels)
    yield above
    base = studio.recipe(model, label=None, guidance=1.0, seeds=tuple(seeds), steps=fine)
    _check_work([base, replace(base, steps=steps)] * 2)
    own = studio.card(model).spec.schedule
    cells, visited, done, total = [], {}, 0, 2 * (fine + steps + 2)
    for name in _TWO:
        found: dict[int, list[Any]] = {}
        for count in (fine, steps):
            recipe = replace(base, steps=count, spacing=_spacing_of_schedule(studio, model, name, count))
            found[count] = []
            for frame in studio.stream(recipe, ask):
                found[count].append(frame)
                done += 1
                yield Part(done, total)
        away = _rms(found[steps][-1].x, found[fine][-1].x)
        film = _film(found[steps], "x0", above.states)
        said = [*film.captions[:-1], f"{film.captions[-1]}, {away:.2f} RMS from {fine} steps"]
        cells.append(replace(film, title=f"x0: {steps} steps on {name} levels", captions=said))
        times = _spacing_of_schedule(studio, model, name, steps)(own, steps)
        visited[name] = [own.level(float(t)).alpha ** 2 for t in times]
        places = [_level_rows(kept, visited)] if len(visited) == len(_TWO) else []
        yield replace(above, rows=[*above.rows, ("", cells)], curves=[*above.curves, *places])


_TWO = ("linear", "cosine")


def _alpha_bars(schedule: Any) -> np.ndarray:
    """What is left of the picture's variance after 1, 2, ... T steps: the product of all 1 - beta so far."""
    return np.array([schedule.level(t).alpha ** 2 for t in range(schedule.timesteps)])


def _single(kept: np.ndarray) -> np.ndarray:
    """What each single step keeps, 1 - beta."""
    return kept / np.array([1.0, *kept[:-1]])


def _product_text(kept: Mapping[str, np.ndarray], count: int) -> str:
    """The product of the first `count` steps in numbers."""
    if not count:
        return "No step yet: the picture itself"
    said = []
    for name, one in kept.items():
        steps = [f"{value:.5f}" for value in _single(one)[:count]]
        shown = steps if count <= 3 else [*steps[:2], "…", steps[-1]]
        said.append(f"{name}: {' · '.join(shown)} = {one[count - 1]:.3g}")
    return f"{count} steps, each keeps 1 − β. {'   '.join(said)}"


def _product_curves(kept: Mapping[str, np.ndarray], at: np.ndarray) -> Curves:
    series, looks = [], []
    for colour, (name, one) in enumerate(kept.items()):
        count = np.arange(len(one) + 1)
        series += [
            (f"{name}: 1 − β", count[1:], _single(one)),
            (f"{name}: ᾱ", count, [1.0, *one]),
        ]
        looks += [(colour, 2), (colour, 0)]
    return Curves("one step keeps 1 − β, all of them ᾱ", series, "steps t", at, zero=True, looks=looks)


def _level_rows(kept: Mapping[str, np.ndarray], visited: Mapping[str, Sequence[float]]) -> Curves:
    """Where the levels lie that the schedules practise, and those that runs visit."""
    series: list[tuple[str, Any, Any]] = []
    for what, each in (("how often practised", kept), ("visited", visited)):
        series += [(f"{what}: {name}", one, []) for name, one in each.items()]
    looks = [(k, 0) for k in range(len(kept))] * 2
    return Curves("which noise levels", series, "ᾱ: noise to picture", looks=looks, rows=True)


def _rms(a: np.ndarray, b: np.ndarray) -> float:
    """The root mean square difference of two pictures (uint8), of pixels from -1 to 1."""
    return float(np.sqrt(np.mean(((a.astype(np.float64) - b.astype(np.float64)) / 127.5) ** 2)))


def _spacing_of_schedule(studio: Studio, model: str, schedule: str, steps: int) -> Any:
    """The spacing that visits those timesteps of a model whose alpha is nearest to that of another schedule,
    at even times of it.
    """
    from ..diffusion.schedule import SCHEDULES
    from ..diffusion.spacing import Timesteps

    own, other = studio.card(model).spec.schedule, SCHEDULES[schedule]()
    last = own.timesteps - 1
    alphas = np.array([own.level(t).alpha for t in range(last + 1)])
    found = []
    for k in range(steps):
        share = (steps - k) / steps
        wanted = other.level(share * other.timesteps - 1).alpha
        found.append(int(np.abs(alphas - wanted).argmin()))
    found[0] = last  # both begin with pure noise
    return Timesteps(", ".join(map(str, found)))


# ---- out of noise


def race(
    studio: Studio,
    ask: Ask = at_once,
    *,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    ticks: int = 40,
    **common: Any,
) -> Made:
    """A race of runs from one noise, at equal noise level, with the curve of how far their predicted pictures
    are from those of the first row.

    Each row is a name and settings of a recipe, `common` those of all.
    """
    from ..compare.clocks import CLOCKS, VISIBLE
    from ..compare.drawing import evenly_spaced
    from ..compare.race import racing
    from ..compare.recipes import RaceRecipe

    named = _named_recipes(studio, model, rows, common)
    _check_work([recipe for _, recipe in named])
    run = racing(RaceRecipe(tuple(recipe for _, recipe in named)), studio, ask)
    done, total = 0, sum(recipe.steps + 1 for _, recipe in named)
    while True:
        try:
            next(run)
        except StopIteration as end:
            made = end.value
            break
        done += 1
        yield Part(min(done, total), total)
    if made.ended is not None:
        raise made.ended
    shown = evenly_spaced(len(made.ticks), ticks)
    cells, series = [], []
    for k, ((name, _), lane) in enumerate(zip(named, made.lanes)):
        frames = [made.shown(tick)[k] for tick in shown]
        captions = [f"step {one.index} of {one.total}" for one in frames]
        away = "" if lane.curve is None else f": ends {lane.curve.rms[-1]:.3f} RMS from {named[0][0]}"
        cells.append(Film(name + away, np.stack([_sheet(one, "x0") for one in frames]), captions))
        if lane.curve is not None:
            xs = np.clip(lane.curve.log_snr, -VISIBLE, VISIBLE)
            series.append((name, xs, lane.curve.rms))
    tick_text = CLOCKS["log-snr"].tick_text
    labels = [f"Noise level: {tick_text(float(made.ticks[tick]))}" for tick in shown]
    at = np.clip(made.ticks[shown], -VISIBLE, VISIBLE)
    curves = [
        Curves(
            f"how far x0 is from that of {named[0][0]} (RMS)",
            series,
            "log-SNR: noise to picture",
            at,
            zero=True,
        )
    ]
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
    costs: bool = False,
    **common: Any,
) -> Made:
    """Runs below each other: each row is a name and settings of a recipe, `common` those of all.

    All rows go through the same number of states: a row of fewer steps stands still in between. `show` is
    "x", the noisy state, "x0", the predicted picture, or both. `against` names a row: the others then say how
    far their finished pictures are from those of it, as the root mean square of pixels from -1 to 1. With
    `costs` each row says how often each of its pictures goes through the network.
    """
    recipes = _named_recipes(studio, model, rows, common)
    _check_work([recipe for _, recipe in recipes])
    if against and against not in [name for name, _ in recipes]:
        raise unknown("row", against, [name for name, _ in recipes], field="against")
    made: list[tuple[str, list[Any]]] = []
    done, total = 0, sum(recipe.steps + 1 for _, recipe in recipes)
    for name, recipe in recipes:
        frames: list[Any] = []
        for frame in studio.stream(recipe, ask):
            frames.append(frame)
            done += 1
            yield Part(done, total)
        made.append((f"{name}{_cost(recipe, frames[-1].calls)}" if costs else name, frames))
        states = max(len(frames) for _, frames in made)
        apart = _distance_texts(dict(made), against)
        drawn = [(row + apart[row], [_film(frames, half, states) for half in show]) for row, frames in made]
        if len(show) == 1:  # side by side
            drawn = [("", [replace(film, title=row) for row, [film] in drawn])]
        labels = [f"{k / (states - 1):.0%} of the way" for k in range(states)]
        yield Figure(states, drawn, (), labels, states - 1)


def _cost(recipe: Recipe, calls: int) -> str:
    """Text about the cost of a row's run: the network calls, in each of which guidance evaluates each picture
    twice.
    """
    asks = recipe.label is not None or bool(recipe.prompt)
    text = f": {calls * (2 if is_guided(recipe) and asks else 1)} passes for each picture"
    if recipe.classifier.on:
        text += f", and {calls} through the classifier and back"
    return text


def _distance_texts(made: Mapping[str, Sequence[Any]], against: str) -> dict[str, str]:
    """For each row, text about the distance of its finished pictures to those of the row `against`."""
    texts = dict.fromkeys(made, "")
    if against in made:
        to = made[against][-1].x
        for name, frames in made.items():
            if name != against:
                texts[name] = f": {_rms(frames[-1].x, to):.3f} RMS from {against}"
    return texts


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
    captions = [f"step {one.index} of {one.total}" for one in shown]
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
) -> Made:
    """What becomes of a mistake in the noise, in the picture or in v, over noise levels.

    A picture of the model itself is noised with known noise to `levels` levels, from the least noise to the
    most. So the mistake of the network's answer is known. The figure makes the same mistake in each of the
    three, and works out picture and noise from it. The curves are how many times the mistake grows, in the
    one of the two that is worse.
    """
    from ..diffusion.editing import noised
    from ..diffusion.noise import Noise
    from ..diffusion.prediction import reading
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
    films: dict[str, list[np.ndarray]] = {}
    wrong: dict[str, list[float]] = {}
    grows: dict[str, list[float]] = {name: [] for name in _SAID}
    shares, labels = [], []
    shown = [loaded.schedule.level(loaded.schedule.t_min), *path(loaded.schedule, levels)[-2::-1]]
    for level in shown:
        x = noised(x0, level, eps)
        mistake = ask(lambda: denoise(x, level)).eps - eps
        size = _root_mean_square(mistake)
        for part, truth, scale in (("picture", x0, 1.0), ("noise", eps, 3.0)):
            films.setdefault(part, []).append(drawn(truth[0].double().numpy() / scale))
        for name in _SAID:
            meant = reading(name, level, loaded.schedule)
            found = meant.read(meant.target(x0, eps) + mistake, x)
            for part, value, truth, scale in (("picture", found.x0, x0, 1.0), ("noise", found.eps, eps, 3.0)):
                films.setdefault(f"{part} {name}", []).append(drawn(value[0].double().numpy() / scale))
                wrong.setdefault(f"{part} {name}", []).append(_root_mean_square(value - truth))
            worst = max(wrong[f"{part} {name}"][-1] for part in ("picture", "noise"))
            grows[name].append(worst / size)
        shares.append(level.t / max(loaded.schedule.t_max, 1e-9))
        factors = f"{level.alpha:.3f} · picture + {level.sigma:.3f} · noise"
        labels.append(f"t = {level.t:.0f}: {factors}. The network's mistake here: {size:.2g}")
        yield Part(len(labels), len(shown))
    rows: list[tuple[str, list[Film]]] = []
    for part, title in _WORKED_OUT.items():
        cells = [Film("in truth", np.stack(films[part]))]
        for name, said in _SAID.items():
            captions = [f"wrong by {one:.2g}" for one in wrong[f"{part} {name}"]]
            cells.append(Film(f"mistake in {said}", np.stack(films[f"{part} {name}"]), captions))
        rows.append((title, cells))
    series = [(f"in {_SAID[name]}", shares, values) for name, values in grows.items()]
    title = "how many times the mistake grows"
    curves = Curves(title, series, "t / T: picture to noise", shares, log=True)
    yield Figure(len(shares), rows, [curves], labels, len(shares) - 1)


_SAID = {"eps": "ε", "x0": "x0", "v": "v"}
_WORKED_OUT = {"picture": "the picture that is worked out", "noise": "the noise that is worked out"}


def _root_mean_square(values: Any) -> float:
    return float(values.double().square().mean().sqrt())


# ---- learning


def training(
    studio: Studio, ask: Ask = at_once, *, shape: str = "moons", steps: int = 300, seed: int = 0
) -> Made:
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
    yield Figure(1, [("", [Film("the data it learns from", cloud(data, CLOUD_SIDE)[None], paper=True)])])
    folder, end, looks = new_folder(), object(), []
    live = watched(shape, folder.name, steps, f"lesson-{shape}", seed)
    try:
        while (one := ask(lambda: next(live, end))) is not end:
            looks.append(one)
            yield _learning(looks, steps)
    finally:
        live.close()  # writes its network, so before its folder goes


def _learning(looks: Sequence[Any], steps: int) -> Figure:
    """What a network made at each look, beside the data, and its loss. A training that ended before `steps`,
    as its time was up, says so.
    """
    from ..inside.drawing import cloud

    made = np.stack([cloud(one.frame.x[0].astype(np.float32), CLOUD_SIDE) for one in looks])
    data = cloud(looks[0].frame.x0[0].astype(np.float32), CLOUD_SIDE)
    done = [one.frame.index for one in looks]
    losses = [(n, one.loss) for n, one in zip(done, looks) if one.loss is not None]
    labels = [
        f"{n} of {steps} training steps, {one.seconds:.1f} s"
        + ("" if one.loss is None else f", loss {one.loss:.3f}")
        for n, one in zip(done, looks)
    ]
    if looks[-1].model is not None and done[-1] < steps:
        labels[-1] += f". It ended early: this machine is too busy for {steps} steps in this time"
    row = [
        Film("the data it learns from", np.broadcast_to(data, made.shape), paper=True),
        Film("what the network makes now", made, paper=True),
    ]
    series = [("loss", [n for n, _ in losses], [loss for _, loss in losses])]
    curves = (
        [Curves("loss: squared error of v", series, "training steps", done, zero=True)]
        if len(losses) > 1
        else []
    )
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
    leave_out: Sequence[str] = ("skip", "attention"),
    place: Sequence[int] = (4, 2),
) -> Made:
    """The U-Net drawn with a run's data in it: of each size the busiest channel on the way down, in the
    middle and on the way up, and the embedding of t and label that enters every block. Beside it the picture,
    in which a place can be chosen, to see where it attends; `place` (row, column) of the smallest size is
    chosen first. Then x0 with and without each of what `leave_out` names: "skip", the skip that enters the
    finest block, "middle", the block of the smallest size, and "attention", all of it.
    """
    from ..inside import drawing
    from ..inside.network_view import run_blocks
    from ..inside.run import Run

    for name in leave_out:
        if name not in _LEFT_OUT:
            raise unknown("part", name, _LEFT_OUT, field="leave_out")
    recipe = studio.recipe(model, label=label, seeds=(seed,), steps=steps, guidance=1.0)
    run = ask(lambda: Run.of(studio, recipe))
    blocks = ask(lambda: run_blocks(run.state(0)))
    chosen = _levels(blocks)
    whole, drawings, weights = [], [], []
    without: dict[str, list[np.ndarray]] = {name: [] for name in leave_out}
    change: dict[str, list[float]] = {name: [] for name in leave_out}
    for k in range(steps):
        outputs = ask(lambda: _outputs(run.state(k), ["time", *(block.name for _, block in chosen)]))
        maps = {}
        for name, block in chosen:
            channels = outputs[block.name][0].double().numpy()
            busiest = channels[channels.reshape(len(channels), -1).var(1).argmax()]
            maps[name] = drawing.signed(busiest - busiest.mean())
        x0, size, looked = ask(lambda: _attention(run.state(k)))
        weights.append(looked)
        for name in leave_out:
            cut = ask(lambda: _left_out(run, k, name, blocks))
            without[name].append(drawing.picture(cut))
            change[name].append(float(np.sqrt(np.mean((cut - x0) ** 2))))
        whole.append(drawing.picture(x0))
        now = run.state(k)
        x = now.x[0].double().numpy()
        state, eps = drawing.picture(x / 3), (x - now.level.alpha * x0) / now.level.sigma
        beside = {"t, label": drawing.signed(_square(outputs["time"][0].double().numpy()))}
        drawings.append(_drawn_network(state, maps, drawing.picture(eps / 3), beside))
        yield Part(k + 1, steps)
        if k == steps - 1:  # the question is about the end: noise alone would seem to answer it
            levels = [Film("the U-Net, with this state in it", np.stack(drawings))]
            start = (min(place[0], size[0] - 1), min(place[1], size[1] - 1))
            looks = Places(_LOOKS, np.stack(whole), np.stack(weights), size, start, _BEYOND)
            answers = [Film("what the network expects: x0", np.stack(whole))]
            answers += [Film(_LEFT_OUT[name], np.stack(one)) for name, one in without.items()]
            counted = range(1, k + 2)
            labels = [f"Step {n} of {steps}" for n in counted]
            series = [(_LEFT_OUT[name].removeprefix("x0 "), counted, one) for name, one in change.items()]
            title = "how much leaving it out changes x0 (RMS)"
            curves = [Curves(title, series, "step: noise to picture", counted, log=True)]
            yield Figure(k + 1, [("", levels), ("", [looks]), ("", answers)], curves, labels)


_LEFT_OUT = {
    "skip": "x0 without the finest skip",
    "middle": "x0 without the middle",
    "attention": "x0 without attention",
}
_LOOKS = "click a place: where does it look?"
_BEYOND = "# % of its attention goes beyond its neighbours (dashed)"


def _attention(state: Any) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """x0 (C, H, W) of one call, the smallest size (h, w) with attention, and from each of its places the
    weights of all (h * w, h * w), averaged over its layers and heads.
    """
    from ..inside.attention_view import SELF, layers

    found, x0 = layers(state, 0)
    own = [one for one in found if one.kind == SELF]
    size = min((one.size for one in own), key=lambda one: one[0] * one[1])
    weights = [one.weights(0)[..., one.memory :].mean(0) for one in own if one.size == size]
    return x0[0].double().numpy(), size, np.mean([one.double().numpy() for one in weights], axis=0)


def _left_out(run: Any, k: int, name: str, blocks: Sequence[Any]) -> np.ndarray:
    """x0 (C, H, W) of state k without a part of the network."""
    from ..inside.views import view

    if name == "attention":
        return run.state(k).ask_network(lambda: _no_attention(run.model.network)).x0[0].double().numpy()
    if name == "skip":
        part, block = "skip", [one for one in blocks if one.skip][-1]
    else:
        part, block = "block", min(blocks, key=lambda one: one.size[0])
    return view(run, None, "network", k, block=block.name, part=part, factor=0.0)["x0_scaled"]


@contextmanager
def _no_attention(network: Any) -> Iterator[None]:
    """Each attention adds nothing."""
    from ..networks.blocks import Attention

    hooks = [
        module.out.register_forward_hook(lambda module, args, output: output.mul(0))
        for module in network.modules()
        if isinstance(module, Attention)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


_CELL, _EDGE, _LETTERS = 96, 16, 20  # pixels of a map in the drawing, around it, and of its letters


def _square(values: np.ndarray) -> np.ndarray:
    """A vector as rows of a square, filled up with zeros."""
    side = int(np.ceil(np.sqrt(len(values))))
    return np.pad(values, (0, side * side - len(values))).reshape(side, side)


def _drawn_network(
    state: np.ndarray,
    maps: Mapping[str, np.ndarray],
    answer: np.ndarray,
    beside: Mapping[str, np.ndarray],
) -> np.ndarray:
    """(H, W, 3): the state at the left, the maps on their way down and up, the answer about the noise at the
    right, and the skips as dashed lines between equal sizes. `beside` are pictures below the state. The
    letters are large, for a phone, and symbols, the same in all languages.
    """
    from PIL import Image, ImageDraw

    from ..export.render import load_font

    names = list(maps)
    depth = len(names) // 2  # of the way down; as many go up
    line, font = _CELL + 42, load_font(_LETTERS)
    width, height = (len(names) + 2) * (_CELL + 24) + 2 * _EDGE, (depth + 1) * line + _EDGE
    whole = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(whole)
    ink, faint = (40, 44, 52), (150, 156, 166)

    def place(column: int, row: int) -> tuple[int, int]:
        return _EDGE + column * (_CELL + 24), row * line + 28

    def put(column: int, row: int, title: str, pixels: np.ndarray) -> None:
        left, top = place(column, row)
        given = pixels if pixels.ndim == 3 else pixels[..., None]
        colour = np.ascontiguousarray(np.broadcast_to(given, (*given.shape[:2], 3)))
        picture = Image.fromarray(colour).resize((_CELL, _CELL), Image.Resampling.NEAREST)
        name, _, index = title.partition("_")
        if name == _EPSILON:
            _draw_epsilon(draw, left, top - _LETTERS, ink)
        else:
            draw.text((left, top - _LETTERS - 4), name, ink, font)
        if index:  # smaller and lower
            after = left + draw.textlength(name, font)
            draw.text((after, top - _LETTERS + 6), index, ink, load_font(_LETTERS * 2 // 3))
        whole.paste(picture, (left, top))
        draw.rectangle((left - 1, top - 1, left + _CELL, top + _CELL), outline=faint)

    rows = [min(k, len(names) - 1 - k) for k in range(len(names))]
    for k in range(depth):  # skips
        y = place(0, rows[k])[1] + _CELL // 2
        for x in range(place(k + 1, 0)[0] + _CELL + 4, place(len(names) - k, 0)[0] - 4, 10):
            draw.line((x, y, x + 5, y), fill=faint, width=2)
    put(0, 0, "x_t", state)
    for k, name in enumerate(names):
        put(k + 1, rows[k], name.split(", ")[-1], maps[name])
    put(len(names) + 1, 0, _EPSILON, answer)
    for title, pixels in beside.items():
        put(0, depth, title, pixels)
    for k, (before, after) in enumerate(zip([0, *rows], [*rows, 0])):  # the way through
        (left, top), (right, below) = place(k, before), place(k + 1, after)
        lower = (after > before) - (after < before)  # -1, 0, 1: up, on one level, down
        leaves, enters = top + _CELL * (1 + lower) // 2, below + _CELL * (1 - lower) // 2
        draw.line((left + _CELL, leaves, right, enters), fill=ink, width=2)
    return np.asarray(whole)


_EPSILON = "ε"


def _draw_epsilon(draw: Any, left: int, top: int, ink: tuple[int, int, int]) -> None:
    """The font has no Greek letters: two arcs that are open to the right."""
    for above in (0, 7):
        draw.arc((left, top + above, left + 11, top + above + 8), 50, 310, ink, 2)


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
) -> Made:
    """Clouds with their Frechet distance to the data: other data, runs of a model of points, and a single
    Gaussian with the data's own mean and covariance, which the distance cannot tell from it.
    """
    from ..data import points as point_data
    from ..inside.drawing import cloud
    from ..metrics.frechet import Gaussian, frechet

    common = {"label": label, "seeds": (0,), "points": points, "clip": False}
    recipes = _named_recipes(studio, model, rows, common)
    data = point_data.load(label, "test", 2 * points).points[: 2 * points]
    real, other = data[:points], data[points:]
    fit = Gaussian.of(real)
    blob = np.random.default_rng(0).multivariate_normal(fit.mean, fit.covariance, points)

    def drawn(clouds: Mapping[str, np.ndarray]) -> Figure:
        # one frame for all, around all of their points
        shown = np.concatenate([one[:SHOWN_POINTS] for one in clouds.values()])
        low, high = shown.min(0), shown.max(0)
        middle, half = (low + high) / 2, 1.06 * (high - low) / 2
        extent = float(half.max())
        tall = round(LARGE_CLOUD / 2 * max(float(half[1]) / extent, 0.65))
        seen = slice(LARGE_CLOUD // 2 - tall, LARGE_CLOUD // 2 + tall)
        cells = [
            Film(
                name,
                cloud(np.asarray(found[:SHOWN_POINTS] - middle, np.float32), LARGE_CLOUD, extent)[None, seen],
                [f"distance {frechet(Gaussian.of(found), fit):.4f}"],
                paper=True,
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
    done, total = 0, sum(recipe.steps + 1 for _, recipe in recipes)
    for name, recipe in recipes:
        for frame in studio.stream(recipe, ask):
            clouds[name] = frame.x[0].astype(np.float64)
            done += 1
            yield Part(done, total)
        yield drawn(clouds)


FIGURES: dict[str, Callable[..., Made]] = {
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


def draw(studio: Studio, name: str, settings: Mapping[str, Any], ask: Ask = at_once) -> Made:
    """Draw the named figure with a lesson's settings: first parts of it, at last the whole."""
    check(name, settings)
    return FIGURES[name](studio, ask, **settings)


def check(name: str, settings: Mapping[str, Any]) -> None:
    """An `OptionError` where there is no such figure, or it does not take one of the settings."""
    takes = settings_of(name)
    for one in settings:
        if one not in takes and "**" not in takes:
            raise unknown(f"setting of the figure {name}", one, takes, field="settings")
