"""TensorBoard logging, if TensorBoard is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = "tensorboard"


class Board:
    """Curves and sample sheets under `folder`/tensorboard. Does nothing without a folder or without
    TensorBoard.

    Entries after `step`, by a session that was killed, are dropped.
    """

    def __init__(self, folder: Path | None = None, step: int = 0) -> None:
        self._writer = None
        if folder is not None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1)

    def scalars(self, step: int, **values: float) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def picture(self, step: int, picture: Image.Image | None) -> None:
        if self._writer is not None and picture is not None:
            self._writer.add_image("samples", np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
