"""What has this demo server done, and what is it doing? Counts, and the slots that requests wait for."""

import asyncio


class Stats:
    """Counts of one server. Always: requests = completed + cancelled + all errors + in_flight."""

    __slots__ = (
        "cancelled",
        "completed",
        "completion_tokens",
        "errors",
        "in_flight",
        "prompt_tokens",
        "queued",
        "requests",
        "running",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0  # accepted and not ended: those queued and running are among them
        self.queued = 0  # waiting for a slot
        self.running = 0  # holding a slot
        self.completed = 0
        self.cancelled = 0  # the client left first
        self.errors: dict[str, int] = {}  # by kind
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def __repr__(self) -> str:
        return f"<Stats {self.snapshot()}>"

    def begin(self) -> None:
        self.requests += 1
        self.in_flight += 1

    def complete(self) -> None:
        self.in_flight -= 1
        self.completed += 1

    def cancel(self) -> None:
        self.in_flight -= 1
        self.cancelled += 1

    def fail(self, kind: str) -> None:
        self.in_flight -= 1
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def snapshot(self) -> dict[str, int | dict[str, int]]:
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "queued": self.queued,
            "running": self.running,
            "completed": self.completed,
            "cancelled": self.cancelled,
            "errors": dict(self.errors),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Slots:
    """`async with slots:` holds one of `count` places; who waits gets one in order of arrival."""

    __slots__ = ("_places", "_stats")

    def __init__(self, count: int, stats: Stats) -> None:
        self._places = asyncio.Semaphore(count)
        self._stats = stats

    async def __aenter__(self) -> None:
        self._stats.queued += 1
        try:
            await self._places.acquire()
        finally:
            self._stats.queued -= 1
        self._stats.running += 1

    async def __aexit__(self, *_: object) -> None:
        self._stats.running -= 1
        self._places.release()
