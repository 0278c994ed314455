"""What is somebody looking at, and what does a key do? The state of the screen, without any screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.top.columns import SORTS, Row, ordered
from gateway.top.document import Backend, Decision, Overview, Pool
from gateway.top.history import History
from gateway.top.rates import BackendFlow, Figures

Key = tuple[str, str]  # of a backend: pool, name
Panel = Literal["backends", "routes", "decisions", "help"]
MAX_DECISIONS = 200  # that are kept


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Change:
    """Drain or undrain a backend."""

    pool: str
    backend: str
    what: Literal["drain", "undrain"]


@dataclass(slots=True)
class View:
    """What is shown of `history` for the gateway at `url`, and how; `key` changes it.

    `asking` is the change that waits for a yes, `said` what came of the last one. `pool` None shows all.
    """

    url: str
    history: History
    pool: str | None = None
    sort: str = "name"
    backwards: bool = False
    panel: Panel = "backends"
    selected: Key | None = None
    offset: int = 0
    page: int = 1  # how many lines the panel had when it was last shown
    paused: bool = False
    asking: Change | None = None
    said: str = ""
    decisions: list[Decision] = field(default_factory=list)

    # What came.

    def heard(self, overview: Overview) -> None:
        """The gateway has answered; while paused, that is all that is taken note of."""
        if self.paused:
            self.history.silence = None
            return
        self.history.add(overview)

    def decided(self, newest_first: Sequence[Decision]) -> None:
        """Some were recorded; after a break the gateway tells of those again that are known."""
        if not self.paused:
            known = {(decision.request_id, decision.time) for decision in self.decisions}
            new = [one for one in newest_first if (one.request_id, one.time) not in known]
            self.decisions = [*new, *self.decisions][:MAX_DECISIONS]

    # What is shown.

    @property
    def overview(self) -> Overview | None:
        return self.history.latest

    @property
    def figures(self) -> Figures | None:
        return self.history.figures

    def groups(self) -> list[list[Row]]:
        """The rows of each pool that is shown, in order."""
        overview, figures = self.overview, self.figures
        if overview is None:
            return []
        flows = figures.backends if figures else {}
        groups = []
        for pool in overview.pools:
            if self.pool in (None, pool.name):
                rows = [self._row(pool, backend, flows) for backend in pool.backends]
                groups.append(ordered(rows, self.sort, self.backwards))
        return groups

    def _row(self, pool: Pool, backend: Backend, flows: Mapping[Key, BackendFlow]) -> Row:
        key = (pool.name, backend.name)
        return Row(pool, backend, flows.get(key), self.history.course(*key))

    def chosen(self) -> Row | None:
        """The row of the selected backend: the first, until one was selected or when it has gone."""
        rows = [row for group in self.groups() for row in group]
        return next((row for row in rows if row.key == self.selected), rows[0] if rows else None)

    # Keys.

    def key(self, name: str) -> Quit | Change | None:
        """Somebody pressed the key `name`; what is to be done about it beyond this screen."""
        if self.asking is not None:
            change, self.asking = self.asking, None
            self.said = "" if name == "y" else f"{change.backend} was left as it is"
            return change if name == "y" else None
        self.said = ""
        if name in ("q", "ctrl+c"):
            return Quit()
        if name == "escape" and self.panel == "backends":
            self.pool = None
        elif name in _PANELS:
            self._show(_PANELS[name])
        elif name in _MOVES:
            self._move(name)
        elif name in ("x", "enter"):
            self._ask()
        elif name in ("p", "space"):
            self.paused = not self.paused
        elif name in ("s", "left", "right"):
            self._sort(-1 if name == "left" else 1)
        elif name in ("S", "r"):
            self.backwards = not self.backwards
        elif name in ("f", "tab"):
            self._next_pool()
        return None

    def _show(self, panel: Panel) -> None:
        self.panel = "backends" if self.panel == panel else panel
        self.offset = 0

    def _sort(self, step: int) -> None:
        self.sort = SORTS[(SORTS.index(self.sort) + step) % len(SORTS)]
        self.backwards = False

    def _next_pool(self) -> None:
        names = [pool.name for pool in self.overview.pools] if self.overview else []
        every: list[str | None] = [None, *names] if len(names) > 1 else [None]
        at = every.index(self.pool) if self.pool in every else -1
        self.pool = every[(at + 1) % len(every)]
        self.offset = 0

    def _ask(self) -> None:
        row = self.chosen()
        if self.panel == "backends" and row is not None:
            self.selected = row.key
            what: Literal["drain", "undrain"] = "undrain" if row.backend.state == "draining" else "drain"
            self.asking = Change(*row.key, what)

    def _move(self, name: str) -> None:
        step = _MOVES[name] if name not in ("pageup", "pagedown") else _MOVES[name] * max(1, self.page - 1)
        if self.panel != "backends":
            self.offset = max(0, self.offset + step)
            return
        keys = [row.key for group in self.groups() for row in group]
        row = self.chosen()
        if row is not None:
            at = max(0, min(len(keys) - 1, keys.index(row.key) + step))
            self.selected = keys[at]


_PANELS: dict[str, Panel] = {
    "d": "decisions", "t": "routes", "b": "backends", "question_mark": "help", "h": "help",
    "escape": "backends",
}  # fmt: skip
_EVER = 1 << 30
_MOVES = {
    "up": -1, "k": -1, "down": 1, "j": 1, "pageup": -1, "pagedown": 1, "home": -_EVER, "g": -_EVER,
    "end": _EVER, "G": _EVER,
}  # fmt: skip
