"""Self-guidance: away from the network's own prediction with disturbed self-attention or skipped blocks.

It needs neither labels nor prompts. CFG-Zero* is here too.
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
from ..denoiser import Altered, Denoiser, PairedDenoiser, ask_all
from ..prediction import Prediction, from_x0
from ..schedule import NoiseLevel
from .mixing import Scale

# (queries (N, heads, L, D), (height, width) of the feature map) -> new queries
_QueryChange = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
Altering = Callable[[slice], AbstractContextManager]  # see `Altered`


def perturbed_attention(
    denoise: Denoiser,
    conditional: Denoiser,
    network: nn.Module,
    scale: Scale = 3.0,
    layers: Sequence[str] | None = None,
) -> Denoiser:
    """Perturbed-attention guidance (Ahn et al. 2024, eq. 15): x0 + scale * (c - c').

    c is the x0 of `conditional`, and c' that of the same denoiser with identity matrices as self-attention
    maps. `layers` are names from `self_attentions`; by default those in the middle block. Scale 0 is off.
    Choose it for networks without labels, or together with classifier-free guidance; then `denoise` is the
    guided denoiser. Raises `OptionError` for a network without self-attention and for unknown layers.
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
    """Smoothed energy guidance (Hong 2024, section 4): away from the network with blurred attention queries.

    `blur` is the standard deviation of the Gaussian in cells of the feature map, above 0; infinity replaces
    the queries by their mean. The other arguments are those of `perturbed_attention`, whose effect is
    stronger.
    """
    return _away_from(denoise, conditional, scale, blurred_attention(network, blur, layers))


def skipped_layers(
    denoise: Denoiser, conditional: Denoiser, network: nn.Module, blocks: Sequence[str], scale: Scale = 3.0
) -> Denoiser:
    """Skipped-layer guidance: away from the network in which some blocks return their input unchanged.

    `blocks` are names of `network.named_modules()`. Raises `OptionError` for an unknown block, and for one
    whose output has another shape than its input.
    """
    return _away_from(denoise, conditional, scale, without_blocks(network, blocks))


def guided_away(denoise: Denoiser, paired: PairedDenoiser, scale: Scale) -> Denoiser:
    """The denoiser x0 + scale * (c - c'), with x0 of `denoise`, and c and c' the pair of `paired`.

    `denoise` must call `paired`, so that a state costs one network call if all share a network.
    """

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now = scale_at(scale, level)
        p = denoise(x, level)
        if now == 0:
            return p
        c, worse = paired.pair(x, level)
        return from_x0(p.x0 + now * (c.x0 - worse.x0), x, level.alpha, level.sigma, p.variance)

    return guided


def scale_at(scale: Scale, level: NoiseLevel) -> float:
    """The value of a scale at a level."""
    return scale(level) if callable(scale) else scale


def cfg_zero_star(
    conditional: Denoiser, unconditional: Denoiser, scale: Scale, silent_above: float = math.inf
) -> Denoiser:
    """CFG-Zero* (Fan et al. 2025): s u + scale * (c - s u), with s = <c, u> / <u, u> for each picture.

    c and u are the conditional and the unconditional velocity eps - x0. At levels with sigma / alpha above
    `silent_above` the velocity is set to 0 ("zero init"), which leaves the state of a flow unchanged, because
    the first steps are the least accurate.
    """

    def guided(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        now, silent = scale_at(scale, level), level.sigma > silent_above * level.alpha
        if now == 1 and not silent:
            return conditional(x, level)
        c, u = ask_all((conditional, unconditional), x, level)
        whole = tuple(range(1, x.ndim))
        cv, uv = c.eps - c.x0, u.eps - u.x0  # velocities, from which x0 follows with x
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
    """The network's spatial self-attention modules by name. Those of the text encoder are left out."""
    return {
        name: module
        for name, module in network.named_modules()
        if hasattr(module, "qkv") and hasattr(module, "heads") and not name.startswith("text.")
    }


def blurred(q: torch.Tensor, size: tuple[int, int], deviation: float) -> torch.Tensor:
    """Queries (N, heads, H * W, D) blurred spatially by a Gaussian, each channel separately.

    An infinite `deviation` gives their mean. The kernel reaches three deviations, or less on small maps, and
    edges are reflected, as in the paper's own program.
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
    paired = PairedDenoiser(
        conditional, Altered(conditional, altering), lambda level: scale_at(scale, level) != 0
    )
    return guided_away(paired if denoise is conditional else denoise, paired, scale)


def identity_attention(network: nn.Module, layers: Sequence[str] | None = None) -> Altering:
    """Alters a network so that each position of its self-attention attends only to itself.

    `layers` are those of `perturbed_attention`.
    """
    return _disturb_attention(network, layers, None)


def blurred_attention(
    network: nn.Module, blur: float = math.inf, layers: Sequence[str] | None = None
) -> Altering:
    """Alters a network so that the queries of its self-attention are blurred, see `smoothed_energy`."""
    if not blur > 0:
        raise OptionError(
            "self_guidance.blur", f"The blur of smoothed energy guidance must be above 0, got {blur}."
        )
    return _disturb_attention(network, layers, lambda q, size: blurred(q, size, blur))


def without_blocks(network: nn.Module, blocks: Sequence[str]) -> Altering:
    """Alters a network so that some blocks are skipped, see `skipped_layers`."""
    known = dict(network.named_modules())
    for name in blocks:
        if name not in known or not name:
            raise unknown(
                "block of the network", name, _similar_names(name, known), field="self_guidance.layers"
            )
    if not blocks:
        raise OptionError("self_guidance.layers", "Name at least one block to skip.")
    return _skip_blocks([known[name] for name in blocks])


def _similar_names(name: str, known: Mapping[str, nn.Module]) -> list[str]:
    """Block names similar to `name`, to suggest in an error. A network has hundreds."""
    outer = [one for one in known if one and one.count(".") <= 3]
    return get_close_matches(name, outer, n=8, cutoff=0.3) or outer[:8]


def _disturb_attention(
    network: nn.Module, layers: Sequence[str] | None, queries: _QueryChange | None
) -> Altering:
    """Alters the self-attention of `layers`; see `_DisturbedAttention`. Raises `OptionError`."""
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
            f"{linear[0]} is linear attention, which has no attention map to disturb. Choose from: "
            f"{full or 'none'}.",
        )

    def disturbing(rows: slice) -> AbstractContextManager:
        return _with_hooks(chosen, lambda module: _DisturbedAttention(queries, rows))

    return disturbing


class _DisturbedAttention(TorchFunctionMode):
    """Gives the attention of some rows, in this thread, new queries, or identity maps without `queries`."""

    def __init__(self, queries: _QueryChange | None, rows: slice) -> None:
        super().__init__()
        self._queries, self._rows = queries, rows
        self._size = 0, 0
        self._used = False

    def before(self, args: tuple) -> None:
        self._size = tuple(args[0].shape[-2:])
        self.__enter__()

    def after(self, args: tuple, output: torch.Tensor | None) -> None:
        self.__exit__(None, None, None)
        if output is not None and not self._used:  # guidance would silently do nothing
            raise TypeError("This attention does not compute by scaled_dot_product_attention.")

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self._used = True
        q, k, v, *rest = args
        if self._queries is None:
            output = func(*args, **(kwargs or {}))
            # each position gets its own value; values that precede those of the positions are learned ones
            output[self._rows] = v[self._rows, ..., v.shape[-2] - q.shape[-2] :, :]
            return output
        q = q.clone()
        q[self._rows] = self._queries(q[self._rows], self._size)
        return func(q, k, v, *rest, **(kwargs or {}))


class _SkippedBlock:
    """Some rows skip a module: its output for them is its input."""

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
        changed = output.clone()
        changed[self._rows] = args[0][self._rows]
        return changed


def _skip_blocks(modules: Sequence[nn.Module]) -> Altering:
    return lambda rows: _with_hooks(modules, lambda module: _SkippedBlock(module, rows))


@contextmanager
def _with_hooks(modules: Sequence[nn.Module], change: Callable[[nn.Module], Any]) -> Generator[None]:
    """Within the `with` block, call `change(module).before(args)` before each call of one of the modules.

    Its `after(args, output)` is called afterwards and may return a new output. Calls in other threads are
    not affected.
    """
    thread, open_changes = threading.get_ident(), []

    def entering(module: nn.Module, args: tuple) -> None:
        if threading.get_ident() == thread:
            open_changes.append(entered := change(module))
            entered.before(args)

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
