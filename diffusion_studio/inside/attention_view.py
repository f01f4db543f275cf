"""Attention in one network call: for each word where it is read, for a place where it looks.

The queries and keys are taken from the call itself, wherever a network attends, and the weights are computed
again from them. They are checked against what the network computed with its fused attention.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import OptionError, no_such, unknown
from ..networks.blocks import CrossAttention
from ..networks.post_norm import Attention as PostNormAttention
from ..networks.tokens import split
from . import drawing
from .run import (
    Looking,
    Run,
    State,
    at_once,
    check_pictures,
    picture_slice,
    prompt_of,
    steps_of,
    without_tokens,
)
from .seen import Tile, ViewResult
from .settings import Settings

CROSS, SELF = "cross", "self"
START_WORD = "<start>"  # the token before the first word
MOST_BYTES = 1 << 28  # of one layer's weights


@dataclass(frozen=True, eq=False)
class Layer:
    """One attention of one network call: q and k (N, heads, L or S, D), v (N, heads, S, E), and the output
    (N, heads, L, E). `memory` is the number of keys before those of the positions; `size` is (h, w).
    """

    name: str
    kind: str
    size: tuple[int, int]
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    mask: torch.Tensor | None
    scale: float
    output: torch.Tensor
    memory: int = 0
    linear: bool = False

    def weights(self, picture: int, place: int | None = None) -> torch.Tensor:
        """(heads, L, S) attention weights of one picture, or (heads, 1, S) of one place; each row sums to
        one.
        """
        at = min(picture, len(self.q) - 1)
        rows = slice(None) if place is None else slice(place, place + 1)
        q, k = self.q[at, :, rows].float(), self.k[at].float()
        if q.shape[0] * q.shape[1] * k.shape[1] * 4 > MOST_BYTES:
            raise OptionError(
                "pictures",
                f"The attention of {self.name} has {q.shape[1]:,} x {k.shape[1]:,} weights in "
                f"each of {q.shape[0]} heads, more than memory is taken for. Ask for one place.",
            )
        if self.linear:  # softmax over channels and over positions: their product is a weight for each key
            return q @ k.transpose(-2, -1)
        scores = q @ k.transpose(-2, -1) * self.scale
        if self.mask is not None:
            mask = self.mask[min(at, len(self.mask) - 1)]
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)

    def error(self, picture: int, place: int | None = None) -> float:
        """How far the weights' own output is from the network's, relative to the largest value there."""
        at = min(picture, len(self.q) - 1)
        rows = slice(None) if place is None else slice(place, place + 1)
        output = self.output[at, :, rows].float()
        again = self.weights(picture, place) @ self.v[at].float()
        return float((again - output).abs().max() / output.abs().max().clamp_min(1.0))


@dataclass(eq=False)
class Recorder(TorchFunctionMode):
    """Lists the attentions of a network's calls in this thread, call by call, while it is entered."""

    network: nn.Module
    calls: list[list[Layer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._stack: list[tuple[str, nn.Module, tuple[int, ...]]] = []
        self._hooks: list[Any] = []
        self._wrapped: list[nn.Module] = []

    def __enter__(self) -> Recorder:
        for name, module in self.network.named_modules():
            if module is not self.network and not hasattr(module, "heads"):  # what attends has heads
                continue
            self._hooks.append(module.register_forward_pre_hook(self._enter_hook(name), with_kwargs=True))
            self._hooks.append(module.register_forward_hook(self._leave_hook, always_call=True))
            if isinstance(module, PostNormAttention) and not module.full:
                module._linear = self._linear(module, module._linear)
                self._wrapped.append(module)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        for module in self._wrapped:
            del module._linear
        self._hooks, self._wrapped = [], []

    def _enter_hook(self, name: str) -> Callable:
        def entering(module: nn.Module, args: Any, kwargs: Any) -> None:
            if threading.get_ident() != self._thread:
                return
            if module is self.network:
                self.calls.append([])
            given = args[0] if args else next(iter(kwargs.values()), None)
            self._stack.append((name, module, tuple(getattr(given, "shape", ()))))

        return entering

    def _leave_hook(self, module: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() == self._thread and self._stack:
            self._stack.pop()

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            self._record_attention(output, *args, **(kwargs or {}))
        return output

    def _record_attention(
        self,
        output: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **more: Any,
    ) -> None:
        if not self._stack or len(self._stack[-1][2]) != 4:  # not over the places of a picture
            return
        name, module, shape = self._stack[-1]
        size = (shape[-2], shape[-1])
        if q.shape[-2] != size[0] * size[1]:
            return
        cross = isinstance(module, CrossAttention)
        memory = 0 if cross else k.shape[-2] - q.shape[-2]
        used = q.shape[-1] ** -0.5 if scale is None else float(scale)
        mask = None if attn_mask is None else attn_mask
        kind = CROSS if cross else SELF
        self.calls[-1].append(Layer(name, kind, size, q, k, v, mask, used, output, memory))

    def _linear(self, module: PostNormAttention, original: Callable) -> Callable:
        """Linear attention: softmax(q) over channels times softmax(k) over positions (Shen et al. 2021)."""

        def linear(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            output = original(q, k, v)
            if threading.get_ident() == self._thread and self._stack:
                name, _, shape = self._stack[-1]
                # the network's factor is taken to the values' side, so that rows sum to one
                factor = q.shape[2] ** -0.5
                made = (q.softmax(2), k.softmax(3), v * factor, output)
                q, k, v, output = (part.transpose(2, 3) for part in made)
                memory = k.shape[2] - q.shape[2]
                self.calls[-1].append(
                    Layer(name, SELF, (shape[-2], shape[-1]), q, k, v, None, 1.0, output, memory, linear=True)
                )
            return output

        return linear


def layers(state: State, picture: int | None = None) -> tuple[list[Layer], torch.Tensor]:
    """The attentions of one call of the bare network about one picture (or all), and the x0 that it predicts
    (1 or N, C, H, W).
    """
    check_pictures(state.run, "attention")
    recorder = Recorder(state.run.model.network)
    rows = picture_slice(state.x, picture)
    p = state.ask_network(lambda: recorder, rows)
    x0 = p.x0[rows] if state.remembers else p.x0
    calls = [call for call in recorder.calls if call]
    if not calls:
        raise OptionError(
            "view",
            f"{state.run.model.spec.name} has no attention: its network is made of convolutions "
            "alone. Choose another view, such as 'network'.",
        )
    return calls[-min(_conditional(state), len(calls))] if state.remembers else calls[-1], x0


def _conditional(state: State) -> int:
    """Which call of a replayed step, counted from its end, is the one under the condition: after it come
    those of self-guidance and of guidance.
    """
    recipe, interval = state.effective[0], state.effective[0].interval
    noise = state.level.sigma / state.level.alpha if state.level.alpha else math.inf
    within = interval.low <= noise <= (math.inf if interval.high is None else interval.high)
    return 1 + (recipe.guidance not in (0, 1)) + (recipe.self_guidance.on and within)


def words_of(state: State, picture: int = 0) -> list[str] | None:
    """The tokens that a picture's prompt gives to cross-attention; None where the model reads no text."""
    spec = state.run.model.spec
    if not spec.takes_text:
        return None
    return [START_WORD, *split(spec.prompt_text(prompt_of(state.effective[0], picture)) or "")]


def look(state: State, settings: Settings) -> ViewResult:
    """Attention of one picture. One call of the network without guidance.

    arrays: `x0` (C, H, W). With a text `words` (W, H, W'), for each token its share of the attention of each
    place, averaged over the chosen layers and heads and brought to the picture's size; `cross NAME` (heads,
    W, h, w) for each layer. `place_HxW` (h, w) for each resolution with self-attention, averaged over its
    layers and heads: where the chosen place looks; `self NAME` (heads, h, w) for each layer.
    numbers: `tokens`; `row_error`, how far rows are from a sum of one; `fused_error`, how far the weights'
    output is from the network's own, relative.
    """
    found, x0 = layers(state, settings.picture)
    picture = settings.picture  # of a batch of one it is that one
    kept = _select_layers(found, settings)
    shape = (x0.shape[-2], x0.shape[-1])
    arrays: dict[str, np.ndarray] = {"x0": x0[0].float().cpu().numpy()}
    errors = {"row_error": 0.0, "fused_error": 0.0}
    tokens = words_of(state, picture)
    cross = [one for one in kept if one.kind == CROSS]
    if cross and tokens is not None:
        arrays |= _word_maps(cross, picture, len(tokens), shape, settings, errors)
    row, column = settings.at(*shape)
    arrays |= _place_maps(
        [one for one in kept if one.kind == SELF], picture, (row, column), shape, settings, errors
    )
    numbers = {**errors, "tokens": tokens, "place": (row, column), "layers": [one.name for one in kept]}
    numbers["heads"] = max(one.q.shape[1] for one in kept)
    numbers["shares"] = _shares(arrays, tokens)
    return ViewResult(
        "attention",
        state.index,
        arrays,
        numbers,
        _lines(state, settings, numbers),
        tiles(arrays, tokens, settings, (row, column)),
        state.notes,
    )


def _select_layers(found: Sequence[Layer], settings: Settings) -> list[Layer]:
    names = dict.fromkeys(one.name for one in found)
    if settings.layer is not None and settings.layer not in names:
        raise unknown("attention layer", settings.layer, names)
    kept = [one for one in found if settings.layer in (None, one.name)]
    most = max(one.q.shape[1] for one in kept)
    if settings.head is not None and settings.head >= most:
        raise no_such("head", "head", "These layers have", settings.head, most)
    return kept


def _heads(weights: torch.Tensor, settings: Settings) -> torch.Tensor:
    """The mean over heads, or the chosen one."""
    if settings.head is None:
        return weights.mean(0)
    return weights[min(settings.head, len(weights) - 1)]


def _word_maps(
    cross: Sequence[Layer],
    picture: int,
    tokens: int,
    shape: tuple[int, int],
    settings: Settings,
    errors: dict[str, float],
) -> dict[str, np.ndarray]:
    arrays, whole = {}, torch.zeros(tokens, *shape)
    for one in cross:
        weights = one.weights(picture)
        _check(one, weights, picture, None, errors)
        maps = weights[..., :tokens].transpose(1, 2).reshape(len(weights), tokens, *one.size).cpu()
        arrays[f"cross {one.name}"] = maps.numpy()
        mean = _heads(maps, settings)[None]
        whole += F.interpolate(mean, shape, mode="bilinear", align_corners=False)[0] / len(cross)
    return {"words": whole.numpy(), **arrays}


def _place_maps(
    layers: Sequence[Layer],
    picture: int,
    place: tuple[int, int],
    shape: tuple[int, int],
    settings: Settings,
    errors: dict[str, float],
) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    by_size: dict[tuple[int, int], list[torch.Tensor]] = {}
    for one in layers:
        h, w = one.size
        at = place[0] * h // shape[0] * w + place[1] * w // shape[1]
        weights = one.weights(picture, at)
        _check(one, weights, picture, at, errors)
        maps = weights[:, 0, one.memory :].reshape(len(weights), h, w).cpu()
        arrays[f"self {one.name}"] = maps.numpy()
        by_size.setdefault((h, w), []).append(_heads(maps, settings))
    for (h, w), maps in by_size.items():
        arrays[f"place_{h}x{w}"] = torch.stack(maps).mean(0).numpy()
    return arrays


def _check(
    one: Layer, weights: torch.Tensor, picture: int, place: int | None, errors: dict[str, float]
) -> None:
    errors["row_error"] = max(errors["row_error"], float((weights.sum(-1) - 1).abs().max()))
    errors["fused_error"] = max(errors["fused_error"], one.error(picture, place))


def over_run(
    source: Run, settings: Settings, steps: Sequence[int] | None = None, ask: Looking = at_once
) -> tuple[np.ndarray, list[str], list[ViewResult]]:
    """The words' maps averaged over the run's states (Tang et al. 2023, DAAM): (W, H, W'), the tokens, and
    what was seen at each step. Of a branch or an edit, whose prompt changes on its way, only the states count
    that have the words of the last one.
    """
    states = steps_of(source, steps)
    tokens = [words_of(source.state(k), settings.picture) for k in states]
    same = [k for k, words in zip(states, tokens) if words == tokens[-1]]
    seen: list[ViewResult] = [ask(partial(look, source.state(k), settings)) for k in same]
    if "words" not in seen[0].arrays:
        raise OptionError(
            "word",
            f"{source.model.spec.name} reads no text by cross-attention, so words have no map. "
            "Choose a place.",
        )
    return np.mean([one["words"] for one in seen], axis=0), seen[0].numbers["tokens"], seen


@torch.no_grad()
def leave_out(state: State, word: str, picture: int = 0) -> dict[str, np.ndarray]:
    """What x0 owes to a word, two ways. Three network calls without guidance.

    arrays (C, H, W): `masked`, x0 less that of the network whose cross-attention does not see the word (the
    text's pooled vector still holds it); `removed`, x0 less that of the prompt without the word.
    """
    tokens = words_of(state, picture)
    if tokens is None or not state.run.model.spec.network.text.cross or state.remembers:
        raise OptionError(
            "word", f"{state.run.model.spec.name} reads no text by cross-attention. Choose a text model."
        )
    state.check_has_prediction()
    places = places_of(tokens, word)
    kept = " ".join(one for k, one in enumerate(tokens) if k and k not in places)
    x = state.x[picture_slice(state.x, picture)]
    bare = state.guided(1.0, picture)
    whole = bare(x, state.level).x0
    masked = without_tokens(bare, places)(x, state.level).x0
    removed = state.guided(1.0, picture, prompt=kept or None)(x, state.level).x0
    return {
        "masked": (whole - masked)[0].float().cpu().numpy(),
        "removed": (whole - removed)[0].float().cpu().numpy(),
    }


def _shares(arrays: dict[str, np.ndarray], tokens: list[str] | None) -> dict[str, float]:
    """Each word's share of all attention to the text."""
    if "words" not in arrays or tokens is None:
        return {}
    return {f"{k}:{word}": float(one.mean()) for k, (word, one) in enumerate(zip(tokens, arrays["words"]))}


def places_of(tokens: Sequence[str], word: str | None) -> list[int]:
    """The places of a word among the tokens; of all words where none is named."""
    if word is None:
        return [k for k, one in enumerate(tokens) if k and any(map(str.isalnum, one))]
    wanted = [part.casefold() for part in split(word)] or [word.casefold()]
    found = [k for k, one in enumerate(tokens) if one.casefold() in wanted]
    if not found:
        named = [one for one in tokens[1:] if any(map(str.isalnum, one))]
        raise unknown("word in this prompt", word, named)
    return found


def tiles(
    arrays: dict[str, np.ndarray], tokens: list[str] | None, settings: Settings, place: tuple[int, int]
) -> list[Tile]:
    """Each word's map with the outlines of the predicted picture, brightest where its share is largest; then
    where the place looks.
    """
    base = drawing.picture(arrays["x0"])
    shown = [Tile("predicted x0", base)]
    if "words" in arrays and tokens is not None:
        for k in places_of(tokens, settings.word):
            one = arrays["words"][k]
            top = float(one.max())
            low = float(one.min())
            lit = (one - low) / ((top - low) or 1.0)
            shown.append(Tile(f"{tokens[k]}: {low:.0%} to {top:.0%}", drawing.over(base, lit)))
    if settings.word is None:
        for name, one in arrays.items():
            if name.startswith("place_"):
                grown = drawing.resized(one / (one.max() or 1.0), *base.shape[:2], smooth=False)
                lit = drawing.over(base, grown)
                lit[place] = (0, 255, 90)
                shown.append(Tile(f"where {place[0]},{place[1]} looks, {name[6:]}", lit))
    return shown


def _rounding(state: State) -> str:
    dtype = state.run.model.dtype
    if dtype.itemsize >= 4:
        return ""
    name = str(dtype).removeprefix("torch.")
    return f"; the network itself computes in {name}, which rounds by {torch.finfo(dtype).eps:.0e}"


def _lines(state: State, settings: Settings, numbers: dict[str, Any]) -> list[str]:
    names = numbers["layers"]
    layers = f"Layer {names[0]}" if len(names) == 1 else f"Mean over {len(names)} attention layers"
    head = "" if settings.head is None else f", head {settings.head + 1} of {numbers['heads']}"
    said = [
        f"{layers}{head}, at step {state.index} (t = {state.level.t:.4g}).",
        f"Check: the weights of each place sum to one (to {numbers['row_error']:.0e}) and give the network's "
        f"own result (to {numbers['fused_error']:.0e}{_rounding(state)}).",
    ]
    if numbers["tokens"] is not None and not numbers["shares"]:
        said.append("This model reads its prompt as one vector for all words together, so words have no map.")
    return said
