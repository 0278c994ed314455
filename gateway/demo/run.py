"""What does the gateway look like at work? Local model servers, the gateway in front, a load."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

from gateway.demo import load
from gateway.demo.children import Child, ChildFailed, spawn
from gateway.demo.server import loop_factory
from gateway.tasks import Tasks

HOST = "127.0.0.1"
SPEEDS = (240.0, 160.0, 80.0)  # tokens per second of the first, second and third server, and so on
SLOTS = 4
MODEL = "demo"


class CannotStart(Exception):
    """The gateway did not come up; the text says what to do."""


class Gateway(Protocol):
    """What the demo needs of `gateway.app.App`."""

    @property
    def listen_addresses(self) -> list[tuple[str, int]]: ...
    @property
    def admin_address(self) -> tuple[str, int] | None: ...
    async def start(self) -> None: ...
    async def drain(self) -> None: ...
    async def close(self) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gateway demo`."""
    add = parser.add_argument
    add("--backends", type=int, default=3, metavar="N", help="model servers to start (default: %(default)s)")
    add(
        "--port", type=int, default=8080, help="where clients connect (default: %(default)s; 0: any free one)"
    )
    add(
        "--admin-port", type=int, default=9901, help="metrics and API (default: %(default)s; 0: any free one)"
    )
    add("--for", type=float, default=None, dest="for_seconds", metavar="SECONDS", help="end after this long")
    add("--load", action="store_true", help="send a load, print who answered how fast, and end")
    add("--requests", type=int, default=300, metavar="N", help="of the load (default: %(default)s)")
    add("--concurrency", type=int, default=16, metavar="N", help="of the load (default: %(default)s)")


def settings_data(children: Sequence[Child], port: int, admin_port: int) -> dict[str, Any]:
    """The configuration of the demo, in the shape of the YAML file."""
    return {
        "listen": f"{HOST}:{port}",
        "admin": f"{HOST}:{admin_port}",
        "log": {"level": "warning", "access": "off"},
        "limits": {"max_connections": 1000},
        "shutdown": {"drain": "2s"},
        "pools": {
            "default": {
                "backends": [{"name": child.name, "url": child.url} for child in children],
                "health": {"interval": "1s"},
            }
        },
    }


def make_gateway(data: dict[str, Any]) -> Gateway:
    """The gateway of the configuration `data`, not started. Imported here: the servers do not need it."""
    from gateway.app import App
    from gateway.settings.load import from_dict

    return App(from_dict(data))


async def start_gateway(gateway: Gateway) -> None:
    """Raises CannotStart with what to do about it."""
    from gateway.app import StartError

    try:
        await gateway.start()
    except StartError as error:
        raise CannotStart(str(error)) from None


def port_problem(port: int, option: str) -> str | None:
    """Why the demo cannot listen on `port`, and what to do; None when it can."""
    if port == 0:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            return f"port {port} cannot be used ({error.strerror}); choose another with {option}"
        except OverflowError:
            return f"port {port} does not exist; choose one of 0 to 65535 with {option}"
    return None


def problem(args: argparse.Namespace) -> str | None:
    """What is wrong with the options; None when nothing is."""
    for name in ("backends", "requests", "concurrency"):
        if getattr(args, name) < 1:
            return f"--{name} is {getattr(args, name)}; give at least 1"
    if args.for_seconds is not None and args.for_seconds <= 0:
        return f"--for is {args.for_seconds}; give more than 0 seconds"
    if args.port and args.port == args.admin_port:
        return f"port {args.port} is given twice; --port and --admin-port must differ"
    return port_problem(args.port, "--port") or port_problem(args.admin_port, "--admin-port")


def guide(base: str, admin: str | None, children: Sequence[Child]) -> str:
    """Where to point a client, and where to look."""
    lines = [f"{child.name}: {child.url}, {child.tokens_per_second:.0f} tokens/s" for child in children]
    lines += [
        "",
        f"The gateway listens on {base}. Try:",
        "",
        f"  curl -N {base}/v1/chat/completions -H 'content-type: application/json' \\",
        f"""    -d '{{"model": "{MODEL}", "stream": true, "messages": """
        """[{"role": "user", "content": "What is a health check?"}]}'""",
        "",
        f"  export OPENAI_BASE_URL={base}/v1 OPENAI_API_KEY=none",
        '  python -c "import openai; print(openai.OpenAI().chat.completions.create('
        f"model='{MODEL}', messages=[{{'role': 'user', 'content': 'hello'}}]).choices[0].message.content)\"",
    ]
    if admin:
        lines += ["", f"Console: {admin}/   Metrics: {admin}/metrics   Backends: {admin}/api/pools"]
        lines += [f"In another terminal: gateway top --admin {admin}"]
    return "\n".join(lines)


def url_of(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def demo(args: argparse.Namespace) -> int:
    """Run the demo until a signal, `--for` or the end of the load; the program's exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, stop.set)
    async with AsyncExitStack() as stack:
        children = await _children(args.backends, stack)
        gateway = make_gateway(settings_data(children, args.port, args.admin_port))
        stack.push_async_callback(gateway.close)
        await start_gateway(gateway)
        base = url_of(gateway.listen_addresses[0])
        admin = gateway.admin_address
        print(guide(base, url_of(admin) if admin else None, children), flush=True)
        code = await _serve(args, base, stop)
        await gateway.drain()
    return code


async def _children(count: int, stack: AsyncExitStack) -> list[Child]:
    """Start the model servers side by side; `stack` ends those that came up, even if others did not."""
    started = await asyncio.gather(
        *(spawn(f"demo-{n + 1}", SPEEDS[n % len(SPEEDS)], SLOTS, MODEL) for n in range(count)),
        return_exceptions=True,
    )
    children = [child for child in started if isinstance(child, Child)]
    for child in children:
        stack.push_async_callback(child.stop)
    for failed in started:
        if isinstance(failed, BaseException):
            raise failed
    return children


async def _serve(args: argparse.Namespace, base: str, stop: asyncio.Event) -> int:
    """Wait for the end, with the load going on meanwhile; 1 when the whole load failed."""
    tasks = Tasks()
    code = 0

    async def send_load() -> None:
        nonlocal code
        try:
            options = load.LoadOptions(base, args.requests, args.concurrency, model=MODEL)
            print(f"\nSending {options.requests} requests, {options.concurrency} at once …", flush=True)
            report = await load.run(options)
            print(report.render(), flush=True)
            code = 0 if report.ok else 1
        finally:
            if args.for_seconds is None:
                stop.set()

    if args.load:
        _ = tasks.spawn("demo load", send_load())
    else:
        print("\nStop with Ctrl-C.", flush=True)
    try:
        await asyncio.wait_for(stop.wait(), args.for_seconds)
    except TimeoutError:
        pass
    finally:
        await tasks.close()
    return code


def main(args: argparse.Namespace) -> int:
    """`gateway demo`: 0 done, 1 failed while running."""
    wrong = problem(args)
    if wrong is None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                return runner.run(demo(args))
        except (CannotStart, ChildFailed, OSError) as error:
            wrong = str(error)
    print(f"gateway demo: {wrong}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    command_line = argparse.ArgumentParser(prog="gateway demo")
    add_arguments(command_line)
    sys.exit(main(command_line.parse_args()))
