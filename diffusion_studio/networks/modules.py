"""An `nn.ModuleList` with the type of its elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class ModuleList(nn.ModuleList, Generic[M]):
    """`nn.ModuleList` for type checkers: `ModuleList[Level]` iterates over `Level`s. It behaves the same."""

    if TYPE_CHECKING:

        def __init__(self, modules: Iterable[M] = ()) -> None: ...

        def __iter__(self) -> Iterator[M]: ...

        def __getitem__(self, index: int) -> M: ...

        def append(self, module: M) -> ModuleList[M]: ...
