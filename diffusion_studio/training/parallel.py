"""Training in several processes, with torch.distributed. A single process is a world of size one.

Each process computes its share of every batch, and gradients are summed, so the run equals that of one
process up to the rounding of sums. Random numbers belong to a picture's place in the run and not to a process
(see `draws`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..errors import OptionError, Setting


@dataclass(frozen=True)
class World:
    """This process's number among all. `owned` is whether this program created the process group and must
    leave it.
    """

    rank: int = 0
    size: int = 1
    owned: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """This process's consecutive part of `count` items. The parts differ in length by at most one."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return range(start, start + each + (self.rank < more))

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one message."""
        if self.size == 1:
            return
        for p in parameters:  # an empty share, or a layer without gradient
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]  # all of them
        flat = self.add(torch.cat([g.reshape(-1) for g in gradients]))
        parts = flat.split([g.numel() for g in gradients])
        for part, gradient in zip(parts, gradients, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def gather(self, part: torch.Tensor, count: int) -> torch.Tensor:
        """The rows (count, ...) of all processes in order, given this process's rows. The tensor must be
        on a device that collectives support.
        """
        if self.size == 1:
            return part
        whole = part.new_zeros(count, *part.shape[1:])
        mine = self.share(count)
        whole[mine.start : mine.stop] = part
        return self.add(whole)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.owned and dist.is_initialized():
            dist.destroy_process_group()


def local_device(wanted: str) -> str:
    """The device name of this process. Under torchrun each process takes the CUDA device of its local
    rank, unless one is named.
    """
    local = os.environ.get("LOCAL_RANK")
    if local is None or wanted not in ("auto", "cuda") or not torch.cuda.is_available():
        return wanted
    if int(local) >= torch.cuda.device_count():
        raise OptionError(
            "device",
            f"Process {local} of this machine has no CUDA device of its own; there are "
            f"{torch.cuda.device_count()}. Start as many processes as devices, or choose ",
            Setting("device"),
            " cpu.",
        )
    return f"cuda:{local}"


def join(device: torch.device) -> World:
    """Join the processes that torchrun describes in the environment: nccl for CUDA devices, otherwise
    gloo. Without torchrun, a world of one.
    """
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or "RANK" not in os.environ:
        return World()
    if device.type not in ("cpu", "cuda"):
        raise OptionError(
            "device",
            f"Several processes compute on cpu or cuda, not on {device.type}. Set ",
            Setting("device"),
            " to cpu.",
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(dist.get_rank(), dist.get_world_size(), owned=True)
