"""A convolution that is quicker in sampling on a CPU, as its weights are laid out once."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

LEAST_CHANNELS = 128


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, which after `pack` keeps a copy of its weights in the layout that oneDNN uses.

    Otherwise torch brings them there in every call, which takes most of the time where maps are small. The
    copy serves calls without gradients alone. It is left aside once the weights were changed or moved.
    Whatever is added to the output is added while that is written.
    """

    _packed: torch.Tensor | None = None
    _packed_of: tuple[int, int] | None = None  # which weights the copy is of, see `_identity`

    def pack(self, least: int = LEAST_CHANNELS) -> None:
        """Keep that copy, where this torch and this processor can use one. In fp32 only for convolutions of
        at least so many channels: narrow ones are slower with it (letters 1.4 times, fashion-mnist twice).
        """
        weight = self.weight
        self._packed = None
        if weight.dtype == torch.float32 and min(self.in_channels, self.out_channels) < least:
            return
        if weight.is_inference() or self.padding_mode != "zeros" or isinstance(self.padding, str):
            return
        if can_pack(weight.device.type, weight.dtype):
            self._packed = _laid_out(weight.detach(), self.padding, self.stride, self.dilation, self.groups)
            self._packed_of = self._identity()

    def forward(
        self, x: torch.Tensor, plus: torch.Tensor | None = None, shift: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The convolution of x, plus a map like it and plus a number for each channel, (N or 1, C, 1, 1)."""
        packed = self._usable(x)
        if packed is None:
            made = super().forward(x)
            made = made if shift is None else made + shift
            return made if plus is None else plus + made
        bias = self.bias
        if shift is not None and len(shift) == 1 and bias is not None:
            bias, shift = bias + shift.view(-1), None
        place = self.padding, self.stride, self.dilation, self.groups
        if plus is None or shift is not None:
            made = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *place, "none", [], "")
            made = made if shift is None else made + shift
            return made if plus is None else plus + made
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, plus, packed, bias, *place, "add", 1.0, None, [], None
        )

    def _usable(self, x: torch.Tensor) -> torch.Tensor | None:
        packed = self._packed
        if packed is None or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        same = x.dtype == packed.dtype and x.ndim == 4 and self._packed_of == self._identity()
        return packed if same else None

    def _identity(self) -> tuple[int, int]:
        return self.weight.data_ptr(), self.weight._version

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._packed = None  # the weights go elsewhere
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # the copy can neither be pickled nor copied


def _laid_out(weight: torch.Tensor, padding: Any, stride: Any, dilation: Any, groups: int) -> torch.Tensor:
    reorder: Any = getattr(torch._C, "_nn").mkldnn_reorder_conv2d_weight  # noqa: B009  torch's stub lacks it
    return reorder(weight.to_mkldnn(), padding, stride, dilation, groups)


@functools.cache
def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether weights of that kind can be packed: tried once, as torch does not promise these functions."""
    if device != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return False
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        x, weight = torch.ones(1, 2, 3, 3, dtype=dtype), torch.ones(2, 2, 3, 3, dtype=dtype)
        packed = _laid_out(weight, (1, 1), (1, 1), (1, 1), 1)
        place = (1, 1), (1, 1), (1, 1), 1
        with torch.no_grad():
            made = torch.ops.mkldnn._convolution_pointwise.binary(
                x, x, packed, None, *place, "add", 1.0, None, [], None
            )
            plain = torch.ops.mkldnn._convolution_pointwise(x, packed, None, *place, "none", [], "")
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    return bool((made == plain + 1).all()) and made[0, 0, 1, 1].item() == 19  # of nine places, two channels
