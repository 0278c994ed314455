"""What may be read of the cache? The protocols that those who show figures have in common."""

from collections.abc import Mapping
from typing import Protocol

from gateway.cache.store import StoreFigures


class StoreView(Protocol):
    @property
    def figures(self) -> StoreFigures: ...


class FlightFigures(Protocol):
    """Answers under way."""

    @property
    def joined(self) -> int: ...
    @property
    def held_bytes(self) -> int: ...
    def __len__(self) -> int: ...


class CacheFigures(Protocol):
    """What is read of the cache; `shared` is the store behind memory, if there is one."""

    @property
    def memory(self) -> StoreView: ...
    @property
    def shared(self) -> StoreView | None: ...
    @property
    def flights(self) -> FlightFigures: ...
    @property
    def refreshes(self) -> Mapping[str, int]: ...
