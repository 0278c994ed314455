"""What happens to a request from its first byte to the last of its reply? The line, on one page.

route → body as far as it must be held → pool → attempts and relay (`forward.py`) → one place, at the end,
where every exchange is counted, whatever became of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

import msgspec

from gateway import clock
from gateway.errors import ClientGone, GatewayError
from gateway.forward import Forward, Lane, request_tail, retry_after_line
from gateway.messages import Exchange, Request
from gateway.ports import Client, Observer
from gateway.routing.body import BodyFacts, read_body, replace_model
from gateway.routing.routes import Route, Routes, models_answer

now = clock.now

_ALLOW = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
_JSON = b"Content-Type: application/json\r\n"
_NO_FACTS = BodyFacts()
NO_ROUTE = "-"  # the route label of requests that none took


@dataclass(frozen=True, slots=True)
class Paths:
    """One route with its lanes: `lanes` drawn by the running sums of `weights`, `fallbacks` tried after them."""

    route: Route
    lanes: tuple[Lane, ...]
    weights: tuple[float, ...]
    fallbacks: tuple[Lane, ...]

    def in_order(self, rng: Random) -> Sequence[Lane]:
        if len(self.lanes) == 1:
            return self.lanes if not self.fallbacks else self.lanes + self.fallbacks
        drawn = rng.random() * sum(self.weights)
        index = next(
            (i for i, edge in enumerate(accumulate(self.weights)) if drawn < edge), len(self.lanes) - 1
        )
        return (self.lanes[index], *self.fallbacks)


class Proxy:
    """Serves client connections; holds nothing of its own but references to what does."""

    def __init__(
        self,
        routes: Routes,
        paths: Mapping[str, Paths],
        observer: Observer,
        *,
        max_body: int,
        buffer_body: int,
        trusted: Callable[[str], bool],
        make_id: Callable[[], str],
        rng: Random,
    ) -> None:
        self.routes = routes
        self.paths = paths
        self._observer = observer
        self._max_body = max_body
        self._buffer_body = buffer_body
        self._trusted = trusted
        self._make_id = make_id
        self._rng = rng

    async def serve(self, client: Client) -> None:
        """Serve one connection until it ends; the script of every client connection."""
        try:
            while not client.closing:
                try:
                    request = await client.next_request()
                except GatewayError as error:
                    request = Request(now())
                    request.keep_alive = False
                    await self._exchange(client, request, error)
                    break
                if request is None:
                    return
                await self._exchange(client, request, None)
            await client.linger()
        except ClientGone:
            return

    async def _exchange(self, client: Client, request: Request, refused: GatewayError | None) -> None:
        record = Exchange(
            request.method or "-",
            request.path or "-",
            request.request_id or self._make_id(),
            client.peer,
            request.started,
        )
        record.route = NO_ROUTE
        try:
            if refused is not None:
                raise refused
            await self._answer(client, request, record)
        except GatewayError as error:
            self._reply_error(client, request, record, error)
        except ClientGone:
            record.status, record.error = 499, "client_closed"
            raise
        finally:
            self._account(client, request, record)

    def _account(self, client: Client, request: Request, record: Exchange) -> None:
        ended = now()
        record.ended = ended
        record.bytes_in = request.received
        record.bytes_out = client.bytes_out
        record.overhead_s = max(0.0, ended - record.started - client.waited_s)
        if request.traceparent:
            record.traceparent = request.traceparent[:64].decode("latin-1")
        self._observer.finished(record)

    async def _answer(self, client: Client, request: Request, record: Exchange) -> None:
        if request.method in ("TRACE", "OPTIONS", "HEAD", "GET") and self._answers_itself(
            client, request, record
        ):
            return
        candidates = self.routes.candidates(request.method, request.path, request.values)
        needs_model = candidates[0].model is not None
        must_hold = needs_model or candidates[0].rewrite_model is not None
        facts = await self._hold(client, request, must_hold)
        route = self.routes.choose(candidates, facts.model) if needs_model else candidates[0]
        record.route, record.model, record.stream = route.name, facts.model, facts.stream
        count = self._observer.route(route.name)
        count.in_flight += 1
        try:
            await self._forward(client, request, record, self.paths[route.name])
        finally:
            count.in_flight -= 1

    async def _hold(self, client: Client, request: Request, must_hold: bool) -> BodyFacts:
        """Hold the body as far as the bounds allow and read what it says; 413 and 503 when it must be held."""
        if not request.complete:
            if (request.content_length or 0) > self._max_body:
                raise GatewayError(
                    "body_too_large",
                    f"The request body is over the limit of {self._max_body} bytes.",
                    close=True,
                )
            whole = await client.read_body(request, self._max_body if must_hold else self._buffer_body)
            if not whole:
                if must_hold:
                    raise GatewayError(
                        "buffers_full",
                        "No room to hold this body now; try again soon.",
                        retry_after_s=1.0,
                        close=True,
                    )
                return _NO_FACTS
        pieces = request.body
        if not pieces:
            return _NO_FACTS
        if len(pieces) > 1:
            pieces = request.body = [b"".join(pieces)]
        return read_body(pieces[0], request.content_type)

    async def _forward(self, client: Client, request: Request, record: Exchange, paths: Paths) -> None:
        route = paths.route
        if route.rewrite_model is not None and request.body:
            request.body = [replace_model(request.body[0], route.rewrite_model)]
        tail = request_tail(request, self._forwarding(client, request), record.request_id)
        target = request.target if route.rewrite_prefix is None else route.target(request.target)
        lanes = paths.in_order(self._rng)
        for lane in lanes[:-1]:
            try:
                return await Forward(lane, client, request, record, target, tail).run()
            except GatewayError as error:
                if error.kind not in ("no_backend", "connect_error", "connect_timeout") or client.replying:
                    raise
        await Forward(lanes[-1], client, request, record, target, tail).run()

    def _forwarding(self, client: Client, request: Request) -> bytes:
        """The X-Forwarded-* lines; what the client claims counts only from a trusted address."""
        if not client.forwarding:
            client.forwarding = b"X-Forwarded-For: %b\r\n" % client.peer.encode()
        if request.claims is None or not self._trusted(client.peer):
            host = b"X-Forwarded-Host: %b\r\n" % request.host if request.host else b""
            return client.forwarding + b"X-Forwarded-Proto: http\r\n" + host
        claims = request.claims
        before = claims.get(b"x-forwarded-for")
        addresses = b"%b, %b" % (before, client.peer.encode()) if before else client.peer.encode()
        return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (
            addresses,
            claims.get(b"x-forwarded-proto", b"http"),
            claims.get(b"x-forwarded-host", request.host),
        )

    def _answers_itself(self, client: Client, request: Request, record: Exchange) -> bool:
        """Answer what no backend is asked: TRACE, OPTIONS *, the last hop of OPTIONS, the models of the pools."""
        method = request.method
        if method == "TRACE":
            raise GatewayError(
                "method_not_allowed", "TRACE is not answered here.", close=not request.complete
            )
        if method == "OPTIONS" and (request.path == "*" or request.max_forwards == 0):
            self._reply(client, request, record, 204, [_ALLOW], b"")
            return True
        if self.routes.lists_models(method, request.path):
            answer = models_answer(self.routes.models, request.path)
            self._reply(client, request, record, 200, [_JSON], msgspec.json.encode(answer))
            return True
        return False

    def _reply_error(self, client: Client, request: Request, record: Exchange, error: GatewayError) -> None:
        record.error = error.kind
        rule = error.rule
        record.status = rule.status
        if client.replying or client.lost:
            client.cut_reply()
            return
        if error.close:
            request.keep_alive = False
        fields = [_JSON, b"X-Gateway-Error: %b\r\n" % error.kind.encode()]
        if error.retry_after_s is not None:
            fields.append(retry_after_line(error.retry_after_s))
        if rule.status == 405:
            fields.append(_ALLOW)
        if record.backend:
            fields.append(b"X-Gateway-Backend: %b\r\n" % record.backend.encode())
        body: dict[str, Any] = {
            "message": error.message,
            "type": rule.type,
            "param": None,
            "code": error.kind,
        }
        self._reply(client, request, record, rule.status, fields, msgspec.json.encode({"error": body}))

    def _reply(
        self,
        client: Client,
        request: Request,
        record: Exchange,
        status: int,
        fields: list[bytes],
        body: bytes,
    ) -> None:
        record.status = status
        fields.append(b"X-Request-ID: %b\r\nVia: 1.1 gateway\r\n" % record.request_id.encode())
        with_body = status != 204 and request.method != "HEAD"
        client.begin_reply(request, status, fields, None if status == 204 else len(body), with_body)
        if with_body:
            client.relay(body)
        client.end_reply()
