"""Guidance that comes from inside the network: away from what it says with its self-attention disturbed, or
with blocks left out. It needs neither label nor prompt. And CFG-Zero*.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from ...errors import OptionError, unknown
from ..denoiser import Alongside, Altered, Denoiser, ask_all
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel
from .mixing import Scale

# (q (N, heads, L, D), the map's height and width) -> q, or None where the values are to pass as they are
_Queries = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
Altering = Callable[[slice], AbstractContextManager]  # see `Altered`


def perturbed_attention(
    denoise: Denoiser,
    conditional: Denoiser,
    network: nn.Module,
    scale: Scale = 3.0,
    layers: Sequence[str] | None = None,
) -> Denoiser:
    """Away from the network whose self-attention is the identity (Ahn et al. 2024, eq. 15): x0 + scale * (c -
    c'), with c the conditional denoiser's x0 and c' the disturbed one's.

    `layers` names the attentions that are disturbed, as `self_attentions` lists them; left out, those in the
    middle. Scale 0 is off. Choose it for networks without labels, or beside classifier-free guidance, in
    which `denoise` is the guided denoiser.
    """
    return _away_from(denoise, conditional, scale, identity_attention(network, layers))


def smoothed_energy(
    denoise: Denoiser,
    conditional: Denoiser,
    network: nn.Module,
    scale: Scale = 3.0,
    blur: float = math.inf,
    layers: Sequence[str] | None = None,
) -> Denoiser:
    """Away from the network whose self-attention has blurred queries (Hong 2024, section 4): a Gaussian of
    standard deviation `blur` in places of the map; infinite is their mean. Otherwise as
    `perturbed_attention`, and milder.
    """
    return _away_from(denoise, conditional, scale, blurred_attention(network, blur, layers))


def skipped_layers(
    denoise: Denoiser, conditional: Denoiser, network: nn.Module, blocks: Sequence[str], scale: Scale = 3.0
) -> Denoiser:
    """Away from the network without some blocks, named as in `network.named_modules()`, that keep the shape
    of what they are given: each passes its input.
    """
    return _away_from(denoise, conditional, scale, without_blocks(network, blocks))


def guided_away(denoise: Denoiser, beside: Alongside, scale: Scale) -> Denoiser:
    """x0 + scale * (c - c'), with c and c' the pair of `beside`. `denoise` asks `beside` itself, and so each
    state costs one network call where all share a network.
    """

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now = scale_at(scale, level)
        p = denoise(x, level)
        if now == 0:
            return p
        c, worse = beside.pair(x, level)
        return from_x0(p.x0 + now * (c.x0 - worse.x0), x, level.alpha, level.sigma, p.variance)

    return guided


def scale_at(scale: Scale, level: NoiseLevel) -> float:
    """A scale's value at a level."""
    return scale(level) if callable(scale) else scale


def cfg_zero_star(
    conditional: Denoiser, unconditional: Denoiser, scale: Scale, silent_above: float = math.inf
) -> Denoiser:
    """CFG-Zero* (Fan et al. 2025): the unconditional answer is first scaled by s = <c, u> / <u, u>, for each
    picture, and guidance goes from there: s u + scale * (c - s u), of the velocity eps - x0.

    At levels with sigma / alpha above `silent_above` the velocity is zero ("zero init"), which leaves the
    state of a flow as it is: its first steps are the least sure.
    """

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now, silent = scale_at(scale, level), level.sigma > silent_above * level.alpha
        if now == 1 and not silent:
            return conditional(x, level)
        c, u = ask_all((conditional, unconditional), x, level)
        whole = tuple(range(1, x.ndim))
        # the velocity of the straight line, eps - x0; x0 follows from x and it
        cv, uv = c.eps - c.x0, u.eps - u.x0
        share = (cv * uv).sum(whole, keepdim=True) / uv.square().sum(whole, keepdim=True).clamp_min(
            torch.finfo(x.dtype).tiny
        )
        velocity = torch.lerp(share * uv, cv, now)
        if silent:
            velocity = torch.zeros_like(velocity)
        total = level.alpha + level.sigma
        return from_x0((x - level.sigma * velocity) / total, x, level.alpha, level.sigma, c.variance)

    return guided


def self_attentions(network: nn.Module) -> dict[str, nn.Module]:
    """The network's self-attentions over places of the picture, by name, text layers left out."""
    return {
        name: module
        for name, module in network.named_modules()
        if hasattr(module, "qkv") and hasattr(module, "heads") and not name.startswith("text.")
    }


def blurred(q: torch.Tensor, size: tuple[int, int], deviation: float) -> torch.Tensor:
    """Queries (N, heads, H W, D) blurred over the map, each channel alone, reflected at the edge; infinite is
    their mean. Out to three deviations, as far as the map allows, as in the paper's own program.
    """
    if math.isinf(deviation):
        return q.mean(2, keepdim=True).expand_as(q)
    n, heads, _, d = q.shape
    maps = q.transpose(2, 3).reshape(n * heads * d, 1, *size)
    for axis, side in enumerate(size):
        radius = min(math.ceil(6 * deviation) // 2, side // 2, side - 1)
        line = torch.arange(-radius, radius + 1, dtype=torch.float32, device=q.device)
        kernel = torch.exp(-(line**2) / (2 * deviation**2))
        shape, pad = (
            ((1, 1, -1, 1), (0, 0, radius, radius)) if axis == 0 else ((1, 1, 1, -1), (radius, radius, 0, 0))
        )
        maps = F.conv2d(F.pad(maps, pad, mode="reflect"), (kernel / kernel.sum()).to(q.dtype).view(shape))
    return maps.view(n, heads, d, -1).transpose(2, 3)


def _away_from(denoise: Denoiser, conditional: Denoiser, scale: Scale, altering: Altering) -> Denoiser:
    if scale == 0:
        return denoise
    beside = Alongside(conditional, Altered(conditional, altering), lambda level: scale_at(scale, level) != 0)
    return guided_away(beside if denoise is conditional else denoise, beside, scale)


def identity_attention(network: nn.Module, layers: Sequence[str] | None = None) -> Altering:
    """The network with self-attention that gives each place its own value alone. Layers as in
    `perturbed_attention`.
    """
    return _disturbing(network, layers, None)


def blurred_attention(
    network: nn.Module, blur: float = math.inf, layers: Sequence[str] | None = None
) -> Altering:
    """The network with self-attention whose queries are blurred, see `smoothed_energy`."""
    if not blur > 0:
        raise OptionError(
            "self_guidance.blur", f"The blur of smoothed energy guidance must be above 0, got {blur}."
        )
    return _disturbing(network, layers, lambda q, size: blurred(q, size, blur))


def without_blocks(network: nn.Module, blocks: Sequence[str]) -> Altering:
    """The network without some blocks, see `skipped_layers`."""
    known = dict(network.named_modules())
    for name in blocks:
        if name not in known or not name:
            raise unknown("block of the network", name, _near(name, known), field="self_guidance.layers")
    if not blocks:
        raise OptionError("self_guidance.layers", "Name at least one block to skip.")
    return _skipping([known[name] for name in blocks])


def _near(name: str, known: Mapping[str, nn.Module]) -> list[str]:
    """The blocks whose names are like this one: a network has hundreds."""
    outer = [one for one in known if one and one.count(".") <= 3]
    return get_close_matches(name, outer, n=8, cutoff=0.3) or outer[:8]


def _disturbing(network: nn.Module, layers: Sequence[str] | None, queries: _Queries | None) -> Altering:
    known = self_attentions(network)
    if not known:
        raise OptionError(
            "self_guidance",
            "This network has no self-attention to disturb. Choose guidance by skipped layers, or by a "
            "weaker model.",
        )
    if layers is None:
        layers = [name for name in known if name.startswith("middle")] or list(known)
    for name in layers:
        if name not in known:
            raise unknown("self-attention of the network", name, known, field="self_guidance.layers")
    chosen = [known[name] for name in layers]
    linear = [name for name, module in zip(layers, chosen) if getattr(module, "full", True) is False]
    if linear:
        full = ", ".join(name for name, one in known.items() if getattr(one, "full", True))
        raise OptionError(
            "self_guidance.layers",
            f"{linear[0]} is linear attention, which has no map of weights to disturb. Choose from: "
            f"{full or 'none'}.",
        )

    def disturbing(rows: slice) -> AbstractContextManager:
        return _hooked(chosen, lambda module: _Disturbance(queries, rows))

    return disturbing


class _Disturbance(TorchFunctionMode):
    """While a module computes in this thread: the attention of some rows is the identity, or has other
    queries.
    """

    def __init__(self, queries: _Queries | None, rows: slice) -> None:
        super().__init__()
        self._queries, self._rows = queries, rows
        self._size = 0, 0
        self._used = False

    def before(self, args: tuple) -> None:
        self._size = tuple(args[0].shape[-2:])
        self.__enter__()

    def after(self, args: tuple, output: torch.Tensor | None) -> None:
        self.__exit__(None, None, None)
        if output is not None and not self._used:  # it would be guidance that does nothing
            raise TypeError("This attention does not compute by scaled_dot_product_attention.")

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self._used = True
        q, k, v, *rest = args
        if self._queries is None:
            output = func(*args, **(kwargs or {}))
            # each place keeps its own value; learned keys and values before the places are left out
            output[self._rows] = v[self._rows, ..., v.shape[-2] - q.shape[-2] :, :]
            return output
        q = q.clone()
        q[self._rows] = self._queries(q[self._rows], self._size)
        return func(q, k, v, *rest, **(kwargs or {}))


class _Skip:
    """Some rows pass a block as they are."""

    def __init__(self, module: nn.Module, rows: slice) -> None:
        self._name, self._rows = type(module).__name__, rows

    def before(self, args: tuple) -> None:
        pass

    def after(self, args: tuple, output: torch.Tensor | None) -> torch.Tensor | None:
        if output is None:  # the module raised an error
            return None
        if args[0].shape != output.shape:
            raise OptionError(
                "self_guidance.layers",
                f"A {self._name} that makes {tuple(output.shape[1:])} of {tuple(args[0].shape[1:])} cannot "
                "be skipped. Choose a block that keeps the shape.",
            )
        made = output.clone()
        made[self._rows] = args[0][self._rows]
        return made


def _skipping(modules: Sequence[nn.Module]) -> Altering:
    return lambda rows: _hooked(modules, lambda module: _Skip(module, rows))


@contextmanager
def _hooked(modules: Sequence[nn.Module], change: Callable[[nn.Module], Any]) -> Generator[None, None, None]:
    """While entered, in this thread's calls: `change(module).before(args)` before each of these modules, and
    `after(args, output)` after it, which may return another output.
    """
    thread, open_changes = threading.get_ident(), []

    def entering(module: nn.Module, args: tuple) -> None:
        if threading.get_ident() == thread:
            open_changes.append(made := change(module))
            made.before(args)

    def leaving(module: nn.Module, args: tuple, output: Any) -> Any:
        if threading.get_ident() == thread and open_changes:
            return open_changes.pop().after(args, output)
        return None

    hooks = [module.register_forward_pre_hook(entering) for module in modules]
    hooks += [module.register_forward_hook(leaving, always_call=True) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
