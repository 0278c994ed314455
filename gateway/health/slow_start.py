"""How much of its weight does a backend get that has just come, or come back?

A model server that answers its health check may still have everything slow before it: the first requests
compile kernels, capture graphs, load adapters, fill caches. So its share rises with time, as Envoy's
(`slow_start_config`, linear by default, 10 % at the least) and HAProxy's (`slowstart`) do, but no faster than
it has proved itself by answers. Time alone is no proof: where little traffic comes, a window passes without
a request (Envoy's manual warns of it), and the first burst then meets a cold server at full weight.

Where the policy sees who is slow, answers are proof enough: one that answers as fast as its peers is not
cold, and one that is has its slow answers against it. Time would only hold back what is warm, and when all
are restarted in turn, what is held back here is too much elsewhere.
"""

#: Share at the start: enough to be asked at all (Envoy's `min_weight_percent`).
FLOOR = 0.1
#: Full weight from the ninth answer on: each one is worth as much as the floor.
ANSWERS = 10
#: After so many windows it is over whatever was answered: who is never asked must not stay a beginner.
PATIENCE = 3.0
#: Who is at most so many times as slow as the pool's median is warm: by a quarter they differ by chance, and
#: after a restart few are cold by less than a half.
USUAL = 1.25


class SlowStart:
    """The ramp of one backend. `window_s` is how long it takes when answers keep up; 0 turns it off.

    A new one is not ramping: a pool's first backends start with all their weight, since nobody else could
    take the work.
    """

    __slots__ = ("_answers", "_began", "window_s")

    def __init__(self, window_s: float = 30.0) -> None:
        self.window_s = window_s
        self._began: float | None = None
        self._answers = 0

    def __repr__(self) -> str:
        since = "over" if self._began is None else f"since {self._began:.1f}, {self._answers} answers"
        return f"<SlowStart {since}>"

    @property
    def ramping(self) -> bool:
        """Is it worth asking for the factor again?"""
        return self._began is not None

    def begin(self, now: float) -> None:
        """The backend may take work from `now` on, after a time in which it could not."""
        self._began = now if self.window_s > 0.0 else None
        self._answers = 0

    def succeeded(self) -> None:
        """A request was answered well."""
        if self._began is not None:
            self._answers += 1

    def factor(self, now: float, slowness: float | None = None) -> float:
        """What the weight is multiplied with at `now`, from 0.1 to 1.

        max(0.1, min(t / window, max((answers + 1) / 10, t / 3 windows))), t seconds after the beginning.
        Without the `t / window` while `slowness`, 1 for the pool's median, says that it is warm; None where
        nobody goes by it. Once the factor has been 1 it stays 1 until the next beginning.
        """
        began, window_s = self._began, self.window_s
        if began is None:
            return 1.0
        if window_s > 0.0:
            windows = (now - began) / window_s
            factor = max((self._answers + 1) / ANSWERS, windows / PATIENCE)
            if slowness is None or slowness > USUAL:
                factor = min(windows, factor)
            if factor < 1.0:
                return max(factor, FLOOR)
        self._began = None
        return 1.0
