"""Which backends have seen how much of this prompt? A bounded table of prompt beginnings and names.

A fingerprint stands for a prompt's first 1, 2, 3, … blocks (routing/affinity.py). A backend that was sent a
prompt has it, and all its shorter beginnings, in its own prefix cache; that is assumed, not asked.

A system prompt that most requests begin with must not tie them all to the backend that had it first. What
tells it from a conversation or a document is its many different continuations. A beginning with a share q of
all continuations, in a pool of n backends, is worth having on q x n of them; while fewer have it, that is no
reason to go to those few, and soon more will.
"""

from collections import OrderedDict
from collections.abc import Sequence

#: Names remembered with a beginning: those that had it last.
HOLDERS = 3
#: Continuations before their share says something.
EVIDENCE = 8


class _Beginning:
    """`names` had it, the latest first; `branches` of the table's prompts since `born` went on from it."""

    __slots__ = ("born", "branches", "names")

    def __init__(self, names: tuple[str, ...], born: int) -> None:
        self.names = names
        self.branches = 0
        self.born = born


class Fingerprints:
    """The `most` fingerprints used last. Names that are gone fade out as others take their place."""

    __slots__ = ("_branches", "_table", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._branches = 0  # prompts so far that went on as none had before
        self._table: OrderedDict[int, _Beginning] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return f"<Fingerprints {len(self._table)} of at most {self.most}>"

    def matches(self, prefixes: tuple[int, ...], count: int, few: Sequence[str]) -> dict[str, float]:
        """By name, the part of the prompt it has seen, of what is not everybody's: 0 < part <= 1.

        `count` is how many backends there are to choose from, `few` their names if those are at most HOLDERS,
        else nothing. Changes nothing.
        """
        find = self._table.get
        depths: dict[str, int] = {}
        common = 0
        for depth in range(len(prefixes), 0, -1):
            beginning = find(prefixes[depth - 1])
            if beginning is None:
                continue
            if self._is_common(beginning, count, few):
                common = depth
                break
            for name in beginning.names:
                depths.setdefault(name, depth)
        own = len(prefixes) - common
        return {name: (depth - common) / own for name, depth in depths.items()}

    def record(self, prefixes: tuple[int, ...], name: str) -> None:
        """The prompt goes to `name`."""
        table = self._table
        alone = (name,)
        new = continues = False  # is any beginning new; is the one a block longer
        # The longest first: of beginnings used together it is dropped first, being the least useful.
        for fingerprint in reversed(prefixes):
            beginning = table.get(fingerprint)
            if beginning is None:
                table[fingerprint] = _Beginning(alone, self._branches)
                new = continues = True
                continue
            beginning.branches += continues
            continues = False
            if beginning.names[0] != name:
                others = [other for other in beginning.names if other != name]
                beginning.names = (name, *others[: HOLDERS - 1])
            table.move_to_end(fingerprint)
        self._branches += new
        while len(table) > self.most:
            table.popitem(last=False)

    def _is_common(self, beginning: _Beginning, count: int, few: Sequence[str]) -> bool:
        """Have all of few backends had it, or is it worth having on more than have it?"""
        names, branches = beginning.names, beginning.branches
        if few and all([name in names for name in few]):
            return True
        return branches >= EVIDENCE and branches * count > len(names) * (self._branches - beginning.born)
