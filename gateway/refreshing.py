"""How is an answer asked for anew behind a stale one? By a client of the gateway's own, not counted."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway import clock
from gateway.messages import Exchange, Request
from gateway.ports import Client
from gateway.visit import Visit

log = logging.getLogger(__name__)

MAX_REFRESHES = 64  # at once


class Detached(Client, Protocol):
    """A client of the gateway's own, for what no client waits for."""

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...


Detach = Callable[[str, Callable[[BaseException | None], None]], Detached]
Ask = Callable[[Client, Request, Exchange, Visit], Coroutine[Any, Any, None]]


class Refresher:
    """Owns the refreshes under way; `detach` makes their clients, without it there are none."""

    def __init__(self, make_id: Callable[[], str]) -> None:
        self.detach: Detach | None = None
        self._make_id = make_id
        self._clients: set[Detached] = set()

    def __repr__(self) -> str:
        return f"<Refresher {len(self._clients)} under way>"

    def begin(self, visit: Visit, ask: Ask) -> None:
        """Ask anew, by `ask`, for what a client was given stale; its route does not count it."""
        cache = visit.route.cache
        if self.detach is None or cache.refreshing >= MAX_REFRESHES:
            return
        asked, before = visit.request, visit.record
        request = Request(asked.head, asked.content_length, clock.now())
        request.body, request.received, request.complete = asked.body, asked.received, True
        record = Exchange(asked.head.method, asked.head.path, self._make_id(), before.client, request.started)
        record.route, record.model, record.stream = before.route, before.model, before.stream
        cache.refreshing += 1

        def ended(error: BaseException | None) -> None:
            client.end()
            self._clients.discard(client)
            cache.refreshing -= 1
            if error is not None:
                log.error("a refresh of a kept answer crashed", exc_info=error)
            failed = error is not None or not 0 < record.status < 400
            cache.refreshes["stored" if visit.kept else "failed" if failed else "refused"] += 1

        client = self.detach(before.client, ended)
        self._clients.add(client)
        visit.detach(client, request, record)
        client.start(ask(client, request, record, visit))

    def abort(self) -> None:
        """End all of them."""
        for client in list(self._clients):
            client.abort()
