"""Where can a model be asked? An OpenAI-compatible HTTP server on aiohttp, with slots, a speed and faults."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from gateway.demo import endpoints, generate
from gateway.demo.answers import encode, error_body
from gateway.demo.model import LanguageModel, load_model
from gateway.demo.options import ServerOptions, from_command_line
from gateway.demo.requests import ApiError
from gateway.demo.service import FAULT, SERVICE, Cut, Fault, Service
from gateway.demo.stats import Stats

NAME_HEADER = "x-demo-server"
READY_LINE = "listening on "
GRACE_S = 2.0  # for requests in flight when the program is told to end
MAX_BODY = 64 * 1024 * 1024
_FORCED_S = 0.05
_POLL_S = 0.01

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in OpenAI's form, those of routing too."""
    try:
        return await handler(request)
    except ApiError as error:
        return _error_response(error)
    except web.HTTPException as error:
        kind = "not_found" if error.status == 404 else "bad_request"
        message = f"{error.reason}: {request.method} {request.path}"
        response = _error_response(ApiError(error.status, kind, message))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


def _error_response(error: ApiError) -> web.Response:
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return web.Response(
        status=error.status, body=encode(error_body(error)), content_type="application/json", headers=headers
    )


def counted(handler: Handler) -> Handler:
    """`handler` with its requests admitted, and counted exactly once however they end."""

    async def count(request: web.Request) -> web.StreamResponse:
        service = request.app[SERVICE]
        service.stats.begin()
        try:
            await service.admit(request)
            response = await handler(request)
        except Cut:
            service.stats.fail("cut")
            return web.Response()  # to nobody: the connection is closed
        except ApiError as error:
            service.stats.fail(error.kind)
            raise
        except (asyncio.CancelledError, ConnectionError, web.RequestPayloadError) as error:
            if request.get(FAULT) is Fault.HANG:
                service.stats.fail("hang")  # there is no other end to it
            else:
                service.stats.cancel()
            if isinstance(error, asyncio.CancelledError) or not _left(request):
                raise
            return web.Response()  # to nobody; raised, it would be logged as this server's error
        except web.HTTPException:
            service.stats.fail("bad_request")
            raise
        except Exception:
            service.stats.fail("internal")
            raise
        service.stats.complete()
        return response

    return count


def _left(request: web.Request) -> bool:
    """Has the request's client closed its connection?"""
    return request.transport is None or request.transport.is_closing()


def make_app(service: Service) -> web.Application:
    """The application that serves `service`."""
    app = web.Application(middlewares=[openai_errors], client_max_size=MAX_BODY)
    app[SERVICE] = service
    name = service.options.name

    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[NAME_HEADER] = name

    app.on_response_prepare.append(sign)
    route = app.router
    route.add_post("/v1/chat/completions", counted(generate.chat))
    route.add_post("/v1/completions", counted(generate.completion))
    route.add_post("/v1/embeddings", counted(endpoints.embeddings))
    route.add_post("/v1/audio/speech", counted(endpoints.speech))
    route.add_get("/v1/realtime", counted(endpoints.realtime), allow_head=False)
    route.add_route("*", "/echo", counted(endpoints.echo))
    route.add_route("*", "/echo/{rest:.*}", counted(endpoints.echo))
    route.add_get("/v1/models", endpoints.models)
    route.add_get("/v1/models/{id:.+}", endpoints.one_model)
    route.add_get("/health", endpoints.health)
    route.add_get("/stats", endpoints.stats)
    return app


class Running:
    """A demo server that listens. `url` has no slash at its end; `stats` are its live counts."""

    def __init__(self, service: Service, runner: web.AppRunner, site: web.TCPSite, url: str) -> None:
        self.service = service
        self.url = url
        self._runner = runner
        self._site = site

    def __repr__(self) -> str:
        return f"<Running {self.service.options.name} {self.url}>"

    @property
    def stats(self) -> Stats:
        return self.service.stats

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop listening, let requests in flight end for at most `grace_s`, cancel the rest."""
        if self._site in self._runner.sites:  # closing twice does no harm
            await self._site.stop()
        for _ in range(int(grace_s / _POLL_S)):
            if self.stats.in_flight == 0:
                break
            await asyncio.sleep(_POLL_S)
        await self._runner.cleanup()


async def start(options: ServerOptions | None = None, model: LanguageModel | None = None) -> Running:
    """Listen and serve. Raises OSError when the address cannot be used."""
    options = options or ServerOptions()
    service = Service(options, model or load_model())
    runner = web.AppRunner(
        make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=_FORCED_S
    )
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return Running(service, runner, site, f"http://{f'[{host}]' if ':' in host else host}:{port}")


async def serve(options: ServerOptions, *, exit_with_parent: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, or until standard input ends; the program's exit code."""
    try:
        running = await start(options)
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        _watch_stdin(loop, stop)
    print(f"{READY_LINE}{running.url}", flush=True)
    await stop.wait()
    await running.close(GRACE_S)
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` when the other end of standard input is gone: a pipe that only the parent holds."""
    stdin = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop.set()

    loop.add_reader(stdin, readable)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's loop where there is one, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m gateway.demo.server`."""
    options, exit_with_parent = from_command_line(argv)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(options, exit_with_parent=exit_with_parent))


if __name__ == "__main__":
    sys.exit(main())
