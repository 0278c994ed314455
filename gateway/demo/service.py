"""What do the endpoints of one demo server share? Model, slots, statistics, dice, faults and pace."""

import asyncio
import enum
import random

from aiohttp import web

from gateway import clock
from gateway.demo.answers import JSON, encode
from gateway.demo.model import LanguageModel
from gateway.demo.options import ServerOptions
from gateway.demo.requests import ApiError, bad_request
from gateway.demo.stats import Slots, Stats

FAULT_HEADER = "x-demo-fault"
SLOW_FACTOR = 10.0
SLOW_LIMIT = 20.0  # tokens per second of a slow answer where the server has no limit
CUT_AFTER = 3  # pieces of a stream that are sent before it is cut
YIELD_EVERY = 32  # tokens computed in a row without letting others run, when nothing has to be waited for


class Fault(enum.StrEnum):
    """What goes wrong with one request."""

    NONE = "none"
    ERROR = "error"  # answered 500
    HANG = "hang"  # accepted and never answered
    CUT = "cut"  # the connection is closed in the middle of the answer
    OVERLOAD = "overload"  # answered 429 with Retry-After: 1
    SLOW = "slow"  # ten times slower


class Cut(Exception):
    """The connection was cut on purpose; there is nothing left to answer on."""


class Service:
    """One running demo server. `ready_at` is the `clock.now()` at which its start-up time is over."""

    def __init__(self, options: ServerOptions, model: LanguageModel) -> None:
        self.options = options
        self.model = model
        self.stats = Stats()
        self.slots = Slots(options.slots, self.stats)
        self.rng = random.Random(options.seed)
        self.created = int(clock.wall())
        self.ready_at = clock.now() + options.startup_time_s

    def __repr__(self) -> str:
        return f"<Service {self.options.name} {self.stats}>"

    @property
    def loading(self) -> bool:
        return clock.now() < self.ready_at

    def fault(self, request: web.Request) -> Fault:
        """The request's fault: from its header where that is allowed, else by the dice."""
        asked = request.headers.get(FAULT_HEADER)
        if asked is not None and self.options.allow_fault_header:
            if asked not in set(Fault):
                raise bad_request(f"{FAULT_HEADER} is {asked!r}; accepted: {', '.join(Fault)}")
            return Fault(asked)
        thrown = self.rng.random()
        options = self.options
        for rate, fault in (
            (options.error_rate, Fault.ERROR),
            (options.hang_rate, Fault.HANG),
            (options.cut_rate, Fault.CUT),
        ):
            if thrown < rate:
                return fault
            thrown -= rate
        return Fault.NONE

    async def admit(self, request: web.Request) -> None:
        """Let a request in; sets `request[FAULT]`. Raises ApiError, or hangs until the client leaves."""
        if self.loading:
            wait_s = int(self.ready_at - clock.now()) + 1
            raise ApiError(503, "loading", "the model is being loaded; try again", retry_after_s=wait_s)
        fault = request[FAULT] = self.fault(request)
        if fault is Fault.ERROR:
            raise ApiError(500, "error", "the demo server failed on purpose")
        if fault is Fault.OVERLOAD:
            message = "the demo server is overloaded on purpose; try again in 1 s"
            raise ApiError(429, "overload", message, code="rate_limit_exceeded", retry_after_s=1)
        if fault is Fault.HANG:
            await request.read()  # so that the client can send all of it, and its leaving is noticed
            await asyncio.Event().wait()

    def pace(self, request: web.Request, *, prefill: bool = False) -> "Pace":
        """The speed of reading (`prefill`) or writing tokens for this request."""
        speed = self.options.prefill_tokens_per_second if prefill else self.options.tokens_per_second
        if request[FAULT] is Fault.SLOW:
            speed = speed / SLOW_FACTOR if speed else SLOW_LIMIT
        return Pace(speed)

    async def prefill(self, request: web.Request, prompt_tokens: int) -> None:
        """Read the prompt: takes as long as its tokens need."""
        self.stats.prompt_tokens += prompt_tokens
        await self.pace(request, prefill=True).until(prompt_tokens)

    async def send_json(self, request: web.Request, answer: JSON) -> web.StreamResponse:
        """Answer with JSON, or with half of it where the request's fault is a cut."""
        body = encode(answer)
        if request[FAULT] is not Fault.CUT:
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        raise cut(request)


def cut(request: web.Request) -> Cut:
    """Close the request's connection abruptly; the caller raises what it gets."""
    if request.transport is not None:
        request.transport.abort()
    return Cut()


class Pace:
    """Says when a token is due: number k, k / speed seconds after the start."""

    __slots__ = ("_began", "_speed", "_yielded")

    def __init__(self, tokens_per_second: float) -> None:
        self._speed = tokens_per_second
        self._began = clock.now()
        self._yielded = 0

    async def until(self, tokens: int) -> None:
        """Wait until `tokens` tokens are due."""
        if self._speed:
            wait_s = self._began + tokens / self._speed - clock.now()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                return
        if tokens - self._yielded >= YIELD_EVERY:
            self._yielded = tokens
            await asyncio.sleep(0)


SERVICE = web.AppKey("service", Service)
FAULT = web.RequestKey("fault", Fault)
