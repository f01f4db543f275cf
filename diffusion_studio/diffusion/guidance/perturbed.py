"""Guidance that comes from inside the network: away from what it says with its self-attention disturbed, or
with blocks left out. It needs neither label nor prompt. And CFG-Zero*.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from ...errors import OptionError, unknown
from ..denoiser import Denoiser, ask_all
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel
from .mixing import Scale

# (q (N, heads, L, D), the map's height and width) -> q, or None where the values are to pass as they are
_Queries = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]


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
    return _away_from(denoise, conditional, scale, _disturbing(network, layers, None))


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
    if not blur > 0:
        raise OptionError("blur", f"The blur of smoothed energy guidance must be above 0, got {blur}.")
    return _away_from(
        denoise, conditional, scale, _disturbing(network, layers, lambda q, size: blurred(q, size, blur))
    )


def skipped_layers(
    denoise: Denoiser, conditional: Denoiser, network: nn.Module, blocks: Sequence[str], scale: Scale = 3.0
) -> Denoiser:
    """Away from the network without some blocks, named as in `network.named_modules()`, that keep the shape
    of what they are given: each passes its input.
    """
    known = dict(network.named_modules())
    for name in blocks:
        if name not in known:
            raise unknown("block of the network", name, known)
    if not blocks:
        raise OptionError("layers", "Name at least one block to skip.")
    return _away_from(denoise, conditional, scale, _skipping([known[name] for name in blocks]))


def cfg_zero_star(
    conditional: Denoiser, unconditional: Denoiser, scale: Scale, silent_above: float = math.inf
) -> Denoiser:
    """CFG-Zero* (Fan et al. 2025): the unconditional answer is first scaled by s = <c, u> / <u, u>, for each
    picture, and guidance goes from there: s u + scale * (c - s u), of the velocity eps - x0.

    At levels with sigma / alpha above `silent_above` the velocity is zero ("zero init"), which leaves the
    state of a flow as it is: its first steps are the least sure.
    """

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now = scale(level) if callable(scale) else scale
        c, u = ask_all((conditional, unconditional), x, level)
        whole = tuple(range(1, x.ndim))
        # the velocity of the straight line, eps - x0; x0 follows from x and it
        cv, uv = c.eps - c.x0, u.eps - u.x0
        share = (cv * uv).sum(whole, keepdim=True) / uv.square().sum(whole, keepdim=True).clamp_min(
            torch.finfo(x.dtype).tiny
        )
        velocity = torch.lerp(share * uv, cv, now)
        if level.sigma > silent_above * level.alpha:
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


def _away_from(
    denoise: Denoiser, conditional: Denoiser, scale: Scale, disturbed: Callable[[], Any]
) -> Denoiser:
    if scale == 0:
        return denoise

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now = scale(level) if callable(scale) else scale
        p = denoise(x, level)
        if now == 0:
            return p
        c = p if conditional is denoise else conditional(x, level)
        with disturbed():
            worse = conditional(x, level)
        return from_x0(p.x0 + now * (c.x0 - worse.x0), x, level.alpha, level.sigma, p.variance)

    return guided


def _disturbing(
    network: nn.Module, layers: Sequence[str] | None, queries: _Queries | None
) -> Callable[[], _Disturbed]:
    known = self_attentions(network)
    if not known:
        raise OptionError(
            "guidance",
            "This network has no self-attention to disturb. Choose guidance by skipped layers, "
            "or by a "
            "weaker model.",
        )
    if layers is None:
        layers = [name for name in known if name.startswith("middle")] or list(known)
    for name in layers:
        if name not in known:
            raise unknown("self-attention of the network", name, known)
    chosen = [known[name] for name in layers]
    linear = [name for name, module in zip(layers, chosen) if getattr(module, "full", True) is False]
    if linear:
        raise OptionError(
            "layers",
            f"{linear[0]} is linear attention, which has no map of weights to disturb. Choose "
            "from: "
            f"{', '.join(name for name, one in known.items() if getattr(one, 'full', True)) or 'none'}.",
        )
    return lambda: _Disturbed(chosen, queries)


class _Disturbed(TorchFunctionMode):
    """While entered, in this thread: the attention of the chosen modules is the identity, or has other
    queries.
    """

    def __init__(self, modules: Sequence[nn.Module], queries: _Queries | None) -> None:
        super().__init__()
        self._modules, self._queries = modules, queries
        self._thread = threading.get_ident()
        self._sizes: list[tuple[int, int]] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> _Disturbed:
        for module in self._modules:
            self._hooks.append(module.register_forward_pre_hook(self._entering))
            self._hooks.append(module.register_forward_hook(self._leaving, always_call=True))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _entering(self, module: nn.Module, args: tuple) -> None:
        if threading.get_ident() == self._thread:
            self._sizes.append(tuple(args[0].shape[-2:]))

    def _leaving(self, module: nn.Module, args: tuple, output: Any) -> None:
        if threading.get_ident() == self._thread and self._sizes:
            self._sizes.pop()

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and self._sizes:
            q, k, v, *rest = args
            if self._queries is None:
                return v[
                    ..., v.shape[-2] - q.shape[-2] :, :
                ]  # each place keeps its own value; memory is left out
            args = (self._queries(q, self._sizes[-1]), k, v, *rest)
        return func(*args, **(kwargs or {}))


def _skipping(modules: Sequence[nn.Module]) -> Callable[[], Any]:
    @contextmanager
    def skipping() -> Generator[None, None, None]:
        thread = threading.get_ident()

        def passed(module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor | None:
            if threading.get_ident() != thread:
                return None
            if args[0].shape != output.shape:
                raise OptionError(
                    "guidance",
                    f"A {type(module).__name__} that makes {tuple(output.shape[1:])} of "
                    f"{tuple(args[0].shape[1:])} cannot be skipped. Choose a block that keeps the shape.",
                )
            return args[0]

        hooks = [module.register_forward_hook(passed) for module in modules]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    return skipping
