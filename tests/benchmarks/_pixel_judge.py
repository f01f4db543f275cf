"""A small network that names several things in a picture at once, such as the character and its look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm

from diffusion_studio.checkpoint.atomic import write_tensors
from diffusion_studio.imaging import arrays

BATCH, PEAK_LR = 128, 3e-3
GRAIN = 0.06  # the most noise that the judge is trained to look past, pixels in [-1, 1]


class Pictures(Protocol):
    """What a judge learns from: an array (N, side, side, 3) uint8, or what makes such pictures when asked for
    some.
    """

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: Any) -> np.ndarray: ...


class Judge(nn.Module):
    """(N, 3, side, side) in [-1, 1] -> for each head (N, its names) logits. What it looks at hardly moves, so
    places are kept.
    """

    def __init__(self, sizes: Sequence[int], side: int = 32) -> None:
        super().__init__()

        def stage(wide_in: int, wide: int, size: int, stride: int = 2) -> list[nn.Module]:
            return [
                nn.Conv2d(wide_in, wide, size, stride, size // 2, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU(),
            ]

        self.body = nn.Sequential(
            *stage(3, 48, 5),
            *stage(48, 96, 3),
            *stage(96, 128, 3),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128 * (side // 8) ** 2, 512, bias=False),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Dropout(0.2),
        )
        self.heads = nn.Linear(512, sum(sizes))
        self.sizes = list(sizes)
        self.to(memory_format=torch.channels_last)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 512) what the heads read."""
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.heads(self.features(x)).split(self.sizes, dim=1)


def trained(
    pictures: Pictures,
    sizes: Sequence[int],
    seen: np.ndarray,
    seed: int,
    epochs: int,
    shift: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> Judge:
    """A judge of what is `seen` (N, heads) in uint8 pictures; random in `seed` alone.

    `shift` is how many pixels a batch is moved at most, which wraps around.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(sizes, pictures.shape[1]).train()
        batches = len(pictures) // BATCH
        optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, epochs * batches)
        wanted = torch.from_numpy(seen)
        for epoch in range(epochs):
            for k, chosen in enumerate(torch.randperm(len(pictures)).split(BATCH)[:batches]):
                x = arrays.from_uint8(pictures[chosen.numpy()])
                if shift:
                    x = x.roll(torch.randint(-shift, shift + 1, (2,)).tolist(), (2, 3))
                x = (x + torch.rand(len(x), 1, 1, 1) * GRAIN * torch.randn(x.shape)).clamp(-1, 1)
                loss = sum(
                    F.cross_entropy(logits, wanted[chosen, head]) for head, logits in enumerate(judge(x))
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rates.step()
                if report is not None:
                    report(epoch * batches + k + 1, epochs * batches)
    return judge.eval()


def kept(
    path: Path,
    pictures: Pictures,
    sizes: Sequence[int],
    seen: np.ndarray,
    seed: int,
    epochs: int,
    shift: int = 0,
) -> Judge:
    """The judge in the file, or a new one, which is then kept there. The path must tell apart all that it
    learns from.
    """
    if path.is_file():
        judge = Judge(sizes, pictures.shape[1])
        judge.load_state_dict(load_file(path))
        return judge.eval()
    with tqdm(desc="training the judge", unit="batch") as bar:

        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        judge = trained(pictures, sizes, seen, seed, epochs, shift, tick)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, {name: tensor.contiguous() for name, tensor in judge.state_dict().items()}, {})
    return judge


@torch.no_grad()
def named(judge: Judge, pictures: np.ndarray) -> np.ndarray:
    """(N, heads) what the judge sees in uint8 pictures."""
    found = [
        torch.stack([logits.argmax(1) for logits in judge(arrays.from_uint8(pictures[k : k + 500]))], dim=1)
        for k in range(0, len(pictures), 500)
    ]
    return torch.cat(found).numpy()


@torch.no_grad()
def features(judge: Judge, pictures: np.ndarray) -> np.ndarray:
    """(N, 512) float32, what the heads read of uint8 pictures."""
    return torch.cat(
        [judge.features(arrays.from_uint8(pictures[k : k + 500])) for k in range(0, len(pictures), 500)]
    ).numpy()
