"""What holds for every test? The event loop of production, and no error that only a log has seen."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop

#: Whose errors fail a test anywhere: a failure that nobody retrieved, a callback that raised.
LOOP = "asyncio"
#: Whose errors fail an integration test as well: connections and tasks that crashed, handlers that raised.
CRASHES = ("gateway.app", "gateway.refreshing", "gateway.tasks", "aiohttp.server")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """All asynchronous tests run on uvloop, as the gateway does."""
    return {"uvloop": _new_loop}


def _new_loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    loop.set_exception_handler(_on_exception)
    return loop


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """uvloop takes the failure that pytest-timeout raises for a callback's own: end the test with it."""
    loop.default_exception_handler(context)
    if isinstance(context.get("exception"), pytest.fail.Exception):
        for task in asyncio.all_tasks(loop):
            task.cancel("the test's time is over")


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """What is imported by now stays: looking for garbage after each test need not look at it again."""
    gc.collect()
    gc.freeze()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []
        self._formatter = logging.Formatter("%(name)s: %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self._formatter.format(record))


@pytest.fixture(autouse=True)
def no_silent_errors(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Fail a test that passed while an error went to a log; one that expects errors clears the list."""
    integration = request.path.parent.name == "integration"
    loggers = [logging.getLogger(name) for name in (LOOP, *(CRASHES if integration else ()))]
    errors = _Errors()
    for logger in loggers:
        logger.addHandler(errors)
    try:
        yield errors.texts
        if integration:
            gc.collect()  # an exception is known never to be retrieved once its task or future is gone
    finally:
        for logger in loggers:
            logger.removeHandler(errors)
    if errors.texts:
        pytest.fail("errors nobody looked at:\n" + "\n".join(errors.texts), pytrace=False)
