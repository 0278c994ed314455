"""What is common to every proxy that a benchmark starts? Its process, its directory, and how it answers."""

from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Self

from benchmarks.rig import proc


class Failed(Exception):
    """A candidate did not start, or answered wrongly; the message says what it said."""


class Started:
    """A started candidate (`process` None: no proxy at all); ended, and `work` cleared, on leaving."""

    def __init__(self, name: str, work: Path) -> None:
        self.name = name
        self.work = work
        self.process: proc.Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.stop()
        rmtree(self.work, ignore_errors=True)

    def complaint(self) -> str:
        return self.process.complaint() if self.process else ""

    def check_alive(self) -> None:
        """Raise `Failed` if the process has ended."""
        if self.process is not None and not self.process.running():
            raise Failed(f"{self.name} has ended: {self.complaint()}")
