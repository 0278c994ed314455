"""A job that writes down what becomes of it."""

from gateway.simulation.engine import Engine
from gateway.simulation.machines import Job
from gateway.simulation.task import Task


class Noted(Job):
    """`story` is (time, what happened)."""

    def __init__(self, engine: Engine, task: Task) -> None:
        super().__init__(task)
        self.engine = engine
        self.story: list[tuple[float, str]] = []

    def note(self, what: str) -> None:
        self.story.append((round(self.engine.now, 9), what))

    def began(self) -> None:
        self.note("began")

    def ended(self) -> None:
        self.note("ended")

    def refused(self, status: int, retry_after_s: float | None) -> None:
        self.note(f"{status} {retry_after_s}")

    def broke(self) -> None:
        self.note("broke")

    def when(self, what: str) -> float:
        return next(at for at, told in self.story if told == what)


def work(engine: Engine, work_s: float, first_s: float = 0.0) -> Noted:
    """A job for a machine with slots."""
    return Noted(engine, Task(0, engine.now, work_s, first_s, stream=first_s > 0))


def tokens(engine: Engine, prompt: int, output: int) -> Noted:
    """A streamed job for a machine that batches."""
    return Noted(engine, Task(0, engine.now, prompt=prompt, output=output, stream=True))
