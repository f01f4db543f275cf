"""A small convolutional classifier, trained on a data set's real pictures, that judges the labels of
generated ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..checkpoint.atomic import write_tensors
from ..data import ImageData
from ..errors import CheckpointError, DataError
from ..imaging.arrays import from_uint8
from ..networks.precision import channels_last

EPOCHS = 8
BATCH = 128
PEAK_LR = 4e-3
SHIFT = 1  # pixels
Report = Callable[[int, int], None]


def network(channels: int, classes: int) -> nn.Sequential:
    """The network: (N, channels, H, W) in [-1, 1] -> (N, classes) logits."""

    def stage(width_in: int, width_out: int, size: int) -> list[nn.Module]:
        conv = nn.Conv2d(width_in, width_out, size, stride=2, padding=size // 2, bias=False)
        return [conv, nn.BatchNorm2d(width_out), nn.ReLU()]

    model = nn.Sequential(
        *stage(channels, 32, 5),
        *stage(32, 64, 3),
        *stage(64, 128, 3),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128 * 16, classes),
    )
    channels_last(model)
    return model


def load_or_train(train: ImageData, seed: int, cache: Path, report: Report | None = None) -> nn.Module:
    """The classifier of these pictures, from the cache folder if it is there, otherwise newly trained.

    `report(done, total)` is called after every training step. Raises `DataError` without labels, or with
    fewer pictures than a batch.
    """
    if train.labels is None or len(train.images) < BATCH:
        raise DataError(
            f"A classifier is trained on labelled pictures, at least {BATCH}; these are {len(train.images)} "
            f"{'without' if train.labels is None else 'with'} labels."
        )
    key = f"{zlib.crc32(train.images.tobytes()) ^ zlib.crc32(train.labels.tobytes()):08x}-{seed}"
    path = cache / f"classifier-{key}.safetensors"
    if path.is_file():
        judge = network(train.images.shape[-1], len(train.names))
        try:
            judge.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise CheckpointError(
                f"The classifier in {path} cannot be read. Delete the file; it will be made again."
            ) from error
        return judge.eval()
    judge = _fit(train, seed, report)
    cache.mkdir(parents=True, exist_ok=True)
    write_tensors(path, {name: t.contiguous() for name, t in judge.state_dict().items()}, {})
    return judge.eval()


def _fit(train: ImageData, seed: int, report: Report | None) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = network(train.images.shape[-1], len(train.names)).train()
        count = len(train.images)
        total = EPOCHS * (count // BATCH)
        optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total)
        labels = torch.from_numpy(train.labels)
        done = 0
        for _ in range(EPOCHS):
            for chosen in torch.randperm(count).split(BATCH)[: count // BATCH]:
                x = from_uint8(train.images[chosen.numpy()]).contiguous(memory_format=torch.channels_last)
                offset = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
                loss = F.cross_entropy(judge(x.roll(offset, (2, 3))), labels[chosen], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                done += 1
                if report is not None:
                    report(done, total)
    return judge


@torch.no_grad()
def predict_classes(judge: nn.Module, images: np.ndarray) -> np.ndarray:
    """The predicted class (N,) of each of the pictures (N, H, W, C) uint8."""
    chunks = (images[k : k + 500] for k in range(0, len(images), 500))
    return torch.cat(
        [judge(from_uint8(part).contiguous(memory_format=torch.channels_last)).argmax(1) for part in chunks]
    ).numpy()
