"""What happens to a request from its first byte to the last of its reply? The line, on one page.

route → body as far as it must be held → pool → attempts and relay (`forward.py`) → one place, at the end,
where every exchange is counted, whatever became of it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from random import Random
from typing import Protocol

from gateway import clock
from gateway.cached import look
from gateway.errors import ClientGone, GatewayError, body_too_large
from gateway.forward import Forward
from gateway.lanes import Lane, forwarding, request_tail
from gateway.messages import Exchange, Request, RequestHead
from gateway.own_replies import OwnReplies
from gateway.ports import Capture, Client, Observer, RouteCount
from gateway.refreshing import Refresher
from gateway.route_cache import RouteCache
from gateway.routing.body import read_body, replace_model
from gateway.routing.known import MAX_KNOWN, KnownBodies
from gateway.routing.routes import Route, Routes
from gateway.tracing import Tracer, without_trace
from gateway.visit import Visit

log = logging.getLogger(__name__)
now = clock.now

_NOT_TAKEN = frozenset(
    {"no_backend", "connect_error", "connect_timeout", "deadline", "queue_full", "queue_timeout", "shed"}
)  # a fallback pool may take it
_NEVER_OURS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NO_ROUTE = "-"  # the route label of requests that none took


@dataclass(frozen=True, slots=True)
class Paths:
    """One route with its lanes: one of `lanes` is drawn by `weights`, `fallbacks` are tried after it."""

    route: Route
    lanes: tuple[Lane, ...]
    weights: tuple[float, ...]
    fallbacks: tuple[Lane, ...]
    count: RouteCount
    several: bool  # whether there is something to draw or to fall back on
    cache: RouteCache | None = None

    def in_order(self, rng: Random) -> Sequence[Lane]:
        drawn = rng.random() * sum(self.weights)
        index = next(
            (i for i, edge in enumerate(accumulate(self.weights)) if drawn < edge), len(self.lanes) - 1
        )
        return (self.lanes[index], *self.fallbacks)


class BodyBounds(Protocol):
    """How large a body may be, and up to what size it is held; bytes."""

    @property
    def max_body(self) -> int: ...
    @property
    def buffer_body(self) -> int: ...


class Proxy:
    """Serves client connections; holds nothing of its own but references to what does."""

    def __init__(
        self,
        routes: Routes,
        paths: Mapping[str, Paths],
        observer: Observer,
        bounds: BodyBounds,
        trusted: Callable[[str], bool],
        make_id: Callable[[], str],
        rng: Random,
    ) -> None:
        self.routes = routes
        self.paths = paths
        self._observer = observer
        self._max_body = bounds.max_body
        self._buffer_body = bounds.buffer_body
        self._trusted = trusted
        self._make_id = make_id
        self._rng = rng
        self.refresher = Refresher(make_id)
        self.tracer: Tracer | None = None
        self._own = OwnReplies(routes)
        for path in paths.values():
            if path.cache is not None:
                path.cache.wants = observer.wants_decision
        #: Where answers are kept, bodies come again; elsewhere remembering them costs more than it saves.
        self._known = KnownBodies() if any(path.cache is not None for path in paths.values()) else None
        self._rewrites_models = any(route.rewrite_model is not None for route in routes)

    async def serve(self, client: Client) -> None:
        """Serve one connection until it ends; the script of every client connection."""
        try:
            while not client.closing:
                request = client.take_request()
                if request is None:
                    try:
                        request = await client.next_request()
                    except GatewayError as error:
                        self._refuse(client, error)
                        break
                    if request is None:
                        return
                await self._exchange(client, request)
            await client.linger()
        except ClientGone:
            return

    def _refuse(self, client: Client, error: GatewayError) -> None:
        """Answer a request whose head could not be read, or a connection too many."""
        request = Request(RequestHead(), None, now())
        record = Exchange("-", "-", self._make_id(), client.peer, request.started)
        record.route = NO_ROUTE
        self._own.error(client, request, record, error)
        self._account(client, request, record)

    async def _exchange(self, client: Client, request: Request) -> None:
        head = request.head
        record = Exchange(
            head.method, head.path, request.request_id or self._make_id(), client.peer, request.started
        )
        record.route = NO_ROUTE
        if self.tracer is not None:
            self.tracer.begin(request, record)
        try:
            if head.method not in _NEVER_OURS and self._own.answers(client, request, record):
                return
            routes, needs_model = self.routes.candidates(head)
            if not request.complete or request.received > self._max_body:
                await self._hold(client, request, needs_model)
            model, record.stream = self._facts(request)
            route = self.routes.choose(routes, model) if needs_model else routes[0]
            record.route, record.model = route.name, model
            paths = self.paths[route.name]
            paths.count.in_flight += 1
            try:
                if paths.cache is not None:
                    await self._visit(paths.cache, paths, client, request, record)
                else:
                    tail, target = self._outgoing(client, request, record, route, None)
                    exchange = Forward(paths.lanes[0], client, request, record, target, tail)
                    if paths.several:
                        await self._through(exchange, paths.in_order(self._rng))
                    else:
                        await exchange.run()
            finally:
                paths.count.in_flight -= 1
        except GatewayError as error:
            self._own.error(client, request, record, error)
        except ClientGone:
            record.status, record.error = 499, "client_closed"
            raise
        finally:
            self._account(client, request, record)

    async def _visit(
        self, cache: RouteCache, paths: Paths, client: Client, request: Request, record: Exchange
    ) -> None:
        """Answer with the help of the cache, asking a backend if it is this request's turn to."""
        lanes = paths.in_order(self._rng) if paths.several else paths.lanes
        visit = look(cache, client, request, record, lanes[0].pool.name, lanes[0].wait_s(request.head))
        if visit is None:
            return
        if visit.given:
            if visit.refreshes:
                self.refresher.begin(visit, partial(self._ask_anew, paths))
            return
        try:
            while visit.at_once() or await visit.turn():
                tail, target = self._outgoing(client, request, record, paths.route, visit.capture)
                exchange = Forward(lanes[0], client, request, record, target, tail, visit.capture)
                if len(lanes) > 1:
                    await self._through(exchange, lanes)
                else:
                    await exchange.run()
                if visit.settled():
                    return
        except GatewayError as error:
            if not visit.failed(error):
                raise
        finally:
            visit.close()

    async def _ask_anew(
        self, paths: Paths, client: Client, request: Request, record: Exchange, visit: Visit
    ) -> None:
        """Make a request of the gateway's own; 0 is its status if that fails."""
        lanes = paths.in_order(self._rng) if paths.several else paths.lanes
        try:
            while visit.at_once() or await visit.turn():
                tail, target = self._outgoing(client, request, record, paths.route, visit.capture)
                exchange = Forward(lanes[0], client, request, record, target, tail, visit.capture)
                await exchange.run()
                if visit.settled():
                    return
        except (GatewayError, ClientGone):
            record.status = 0
        finally:
            visit.close()

    async def ask_again(
        self,
        paths: Paths,
        client: Client,
        request: Request,
        record: Exchange,
        capture: Capture,
        pool: str,
    ) -> None:
        """Ask a backend of `pool` for what a client has been given; it is nobody's request, and not counted.

        Raises GatewayError when none answers.
        """
        lane = paths.lanes[0]
        for other in paths.lanes:
            if other.pool.name == pool:
                lane = other
        tail, target = self._outgoing(client, request, record, paths.route, capture)
        await Forward(lane, client, request, record, target, tail, capture).run()

    def _account(self, client: Client, request: Request, record: Exchange) -> None:
        ended = record.ended
        if not ended:
            ended = record.ended = now()
        record.bytes_in = request.received
        record.bytes_out = client.bytes_out
        overhead_s = ended - record.started - client.waited_s
        if overhead_s > 0.0:
            record.overhead_s = overhead_s
        if request.traceparent:
            record.traceparent = request.traceparent[:64].decode("latin-1")
        self._observer.finished(record)

    async def _hold(self, client: Client, request: Request, needs_model: bool) -> None:
        """Hold the body as far as the bounds allow; 413, or 503 when it must be held without room."""
        if max(request.received, request.content_length or 0) > self._max_body:
            raise body_too_large(self._max_body)
        must_hold = needs_model or self._rewrites_models
        request.streamed = not await client.read_body(
            request, self._max_body if must_hold else self._buffer_body
        )
        if must_hold and request.streamed:
            raise GatewayError(
                "buffers_full",
                "No room to hold this body now; try again soon.",
                retry_after_s=1.0,
                close=True,
            )

    def _facts(self, request: Request) -> tuple[str | None, bool]:
        """The model a held body names, and whether it asks for a stream."""
        pieces = request.body
        if not pieces or request.streamed:
            return None, False
        if len(pieces) > 1:
            pieces = request.body = [b"".join(pieces)]
        body, known = pieces[0], self._known
        if known is None or len(body) > MAX_KNOWN or body[:1] != b"{":
            return read_body(body, request.head.content_type)
        return known.facts(body, request.head.content_type)

    @staticmethod
    async def _through(exchange: Forward, lanes: Sequence[Lane]) -> None:
        """Try one pool after the other until one can take the request."""
        for lane in lanes[:-1]:
            try:
                return await exchange.through(lane).run()
            except GatewayError as error:
                if error.kind not in _NOT_TAKEN or exchange.client.replying:
                    raise
        await exchange.through(lanes[-1]).run()

    def _outgoing(
        self, client: Client, request: Request, record: Exchange, route: Route, capture: Capture | None
    ) -> tuple[bytes, bytes]:
        """The forwarded head behind its Host line, and the target, with the route's rewriting done."""
        target = request.head.target
        if route.rewrite_model is not None and request.body and not request.streamed:
            request.body = [replace_model(request.body[0], route.rewrite_model)]
        if route.rewrite_prefix is not None:
            target = route.target(target)
        fields = request.head.fields
        if capture is not None and capture.conditional is not None:
            fields = capture.conditional
        if record.trace is not None and record.trace.restarted:
            fields = without_trace(fields)
        lines = forwarding(client, request.head, self._trusted)
        return request_tail(request, fields, lines, record.request_id), target
