"""Does a request's way through the cache leave nothing behind?"""

import asyncio
import gc
import weakref

import pytest

from gateway.cache.cache import Cache
from gateway.cache.entry import Key
from gateway.cache.key import KeyMaker
from gateway.cache.memory import MemoryStore
from gateway.cache.rules import CacheRule
from gateway.cache.scope import parse_scope
from gateway.cache.wishes import Wishes
from gateway.messages import Exchange, Request, RequestHead
from gateway.route_cache import RouteCache
from gateway.telemetry.metrics import RouteStats
from gateway.visit import Visit


class Client:
    """One that waits for nothing."""

    needed = False
    lost = False
    replying = False

    def wake(self) -> None: ...


def leading_visit() -> Visit:
    """One that has been told to ask a backend."""
    cache = Cache(MemoryStore(1 << 20), None, lambda name, work: work.close(), 1 << 20)
    keys = KeyMaker("chat", frozenset(), parse_scope("credential"), b"")
    route = RouteCache(CacheRule(), keys, cache, RouteStats("chat"), "", b"")
    request = Request(RequestHead(), None, 0.0)
    record = Exchange("POST", "/", "id", "127.0.0.1", 0.0)
    visit = Visit(route, Client(), request, record, Wishes(), Key(b"k" * 32, "chat", ""))  # type: ignore[arg-type]
    assert asyncio.run(visit.turn())
    return visit


@pytest.mark.parametrize("followed", [False, True])
def test_a_visit_is_gone_once_it_is_closed(followed: bool) -> None:
    """Nothing that it made refers back to it: each miss would else be memory until the collector comes by."""
    visit = leading_visit()
    flight = visit.flight
    assert flight is not None
    if followed:
        flight.join(print)
    gone = [weakref.ref(visit), weakref.ref(visit.capture)]
    gc.disable()
    try:
        visit.close()
        if followed:
            flight.leave(print, None)
        del visit, flight
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()
