"""What the visitors of an app may do: the owner's choices at `serve`. No gradio, so that the command line
can read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import OptionError

LARGEST, LARGEST_HOSTED = 20_000, 600  # MB of an upload
LIMIT_HOSTED = 300.0  # seconds of computing of one run
MAX_SIDE_HOSTED = 256  # of a stranger's model: memory grows with the square


@dataclass(frozen=True)
class Hosting:
    """`hosted`: strangers may come. `models` are folders to choose checkpoints from; `runs` is where
    training happens. One run may take `limit` seconds of computing, or any number.
    """

    hosted: bool = False
    models: tuple[Path, ...] = ()
    max_upload: int = LARGEST
    training: bool = True
    runs: Path = Path("runs")
    limit: float | None = None


def hosting(
    hosted: bool | None = None,
    models: list[str] | None = None,
    max_upload: int | None = None,
    training: bool | None = None,
    runs: str = "runs",
    limit: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Hosting:
    """With None taken as it suits: hosted in a Hugging Face Space, less where it is hosted. Raises
    `OptionError`.
    """
    hosted = "SPACE_ID" in environment if hosted is None else hosted
    folders = tuple(Path(one) for one in models or ())
    for folder in folders:
        if not folder.is_dir():
            raise OptionError(
                "models",
                f"{files.missing(folder, 'folder')} Give a folder of models with --models.",
            )
    largest = (LARGEST_HOSTED if hosted else LARGEST) if max_upload is None else max_upload
    if largest < 1:
        raise OptionError("max_upload", f"must be a number of MB of at least 1, got {largest}.")
    if limit is not None and not limit > 0:
        raise OptionError("limit", f"must be a number of seconds above 0, got {limit:g}.")
    if limit is None and hosted:
        limit = LIMIT_HOSTED
    trains = not hosted if training is None else training
    return Hosting(hosted, folders, largest, trains, Path(runs), limit)
