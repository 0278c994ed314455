"""Who takes part in a flight, and how can it end for them?"""

import enum
from typing import Protocol


class Ending(enum.IntEnum):
    """How a flight ended, for those who had joined it."""

    UNDER_WAY = 0
    WHOLE = 1  # the answer was given to all, or is there to be given (`Flight.entry`)
    CUT = 2  # it broke off after some of it had been given
    REFUSED = 3  # it is for nobody else: each goes on alone
    FAILED = 4  # there was none: one goes on, the others join that one


class Taker(Protocol):
    """A client that takes pieces of an answer."""

    writable: bool
    lost: bool

    def relay(self, data: bytes) -> None: ...
    def cut_reply(self) -> None: ...
    def stalled(self, at: float) -> bool: ...


class Upstream(Protocol):
    """Where the pieces come from."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
