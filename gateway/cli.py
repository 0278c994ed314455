"""What can be typed after `gateway`? Commands, their options and exit codes; what they do is elsewhere.

Exit codes: 0 done, 1 failed while running, 2 bad usage or bad configuration. What a command needs is
imported when it runs, so that `check` and `--help` are quick.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.top import options

if TYPE_CHECKING:
    from gateway.settings.schema import Settings

DONE, FAILED, BAD_USAGE = 0, 1, 2
DEFAULT_CONFIG = Path("config/gateway.yaml")
_SMALLEST = "pools: {default: {backends: [http://127.0.0.1:9001]}}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the process's own arguments) and return its exit code."""
    try:
        args = parser().parse_args(argv)
    except SystemExit as end:  # argparse ends the process for --help and for bad usage
        return end.code if isinstance(end.code, int) else BAD_USAGE
    command: Callable[[argparse.Namespace], int] = args.command
    return command(args)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="gateway",
        description="A reverse proxy for model servers.",
        epilog="example: gateway run -c config/gateway.yaml",
    )
    made.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, does: str, example: str, command: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        about = does[0].upper() + does[1:] + "."
        inner = commands.add_parser(name, help=does, description=about, epilog=f"example: {example}")
        inner.set_defaults(command=command)
        return inner

    run = add("run", "start the gateway and serve until SIGTERM or SIGINT", "gateway run -c my.yaml", _run)
    check = add(
        "check", "read a configuration and show every mistake in it", "gateway check -c my.yaml", _check
    )
    for inner in (run, check):
        inner.add_argument(
            "-c",
            "--config",
            type=Path,
            default=DEFAULT_CONFIG,
            metavar="FILE",
            help="the configuration (default: %(default)s)",
        )
    add(
        "schema",
        "print the JSON Schema of the configuration, for editors",
        "gateway schema > gateway.schema.json",
        _schema,
    )
    demo = add(
        "demo",
        "start local model servers and a gateway in front of them",
        "gateway demo --load --for 30s",
        _demo,
    )
    _demo_options(demo)
    simulate = add(
        "simulate",
        "try policies and settings on simulated backends, or on the traffic of an access log",
        "gateway simulate slot-fifo-0.7 --policy least_latency --seeds 5",
        _simulate,
    )
    _simulate_options(simulate)
    explain = add(
        "explain-cache",
        "say whether two request bodies share a key of the cache, and where they first differ",
        "gateway explain-cache a.json b.json --ignore user",
        _explain_cache,
    )
    _explain_options(explain)
    status = add("status", "say how a running gateway is", "gateway status --json | jq .status", _status)
    options.add_status(status)
    top = add("top", "watch a running gateway: throughput, latency, errors", "gateway top --pool chat", _top)
    options.add_top(top, _seconds)
    return made


def _demo_options(demo: argparse.ArgumentParser) -> None:
    add, number, port = demo.add_argument, _whole(1, 1_000_000), _whole(0, 65535)
    add("--backends", type=_whole(1, 32), default=3, metavar="N", help="model servers (default: %(default)s)")
    add(
        "--port",
        type=port,
        default=8080,
        metavar="P",
        help="the gateway's; 0: any free one (default: %(default)s)",
    )
    add("--admin-port", type=port, default=9901, metavar="P", help="the admin side's (default: %(default)s)")
    add(
        "--for",
        type=_seconds,
        dest="for_seconds",
        metavar="SECONDS",
        help="end after so long (default: at Ctrl-C, or when the load is done)",
    )
    add("--load", action="store_true", help="send chat requests, print who answered how fast, and end")
    add(
        "--requests",
        type=number,
        default=300,
        metavar="N",
        help="how many, with --load (default: %(default)s)",
    )
    add(
        "--concurrency",
        type=number,
        default=16,
        metavar="N",
        help="at once, with --load (default: %(default)s)",
    )


def _simulate_options(simulate: argparse.ArgumentParser) -> None:
    add, whole = simulate.add_argument, _whole(1, 1000)
    add("scenario", nargs="?", metavar="SCENARIO", help="one by name, or a YAML file; none lists the names")
    add(
        "--policy",
        action="append",
        metavar="P",
        help="may be given several times (default: that of --config, or every one there is)",
    )
    add(
        "--seeds",
        type=whole,
        default=3,
        metavar="N",
        help="how many simulations of each (default: %(default)s)",
    )
    add("--seed", type=_whole(0, 2**31), default=1, metavar="S", help="the first seed (default: %(default)s)")
    add("--gateways", type=whole, metavar="G", help="how many share the backends (default: the scenario's)")
    add("--duration", type=_seconds, metavar="S", help="how long (default: the scenario's)")
    add("--config", type=Path, metavar="FILE", help="take the pool's settings from this configuration")
    add("--pool", metavar="NAME", help="which of its pools (default: the only one)")
    add(
        "--replay",
        type=Path,
        metavar="LOG",
        help="replay an access log in JSON lines on the pool of --config",
    )
    add("--json", action="store_true", help="print data instead of tables")
    add("--plot", type=Path, metavar="OUT.png", help="draw it, too (needs matplotlib)")


def _explain_options(explain: argparse.ArgumentParser) -> None:
    add = explain.add_argument
    add("a", metavar="A", help="a file with a request's body; - reads standard input")
    add("b", metavar="B", help="another")
    add(
        "--ignore",
        default="user,stream_options",
        metavar="FIELDS",
        help="members of the JSON body that do not count, with commas between (default: %(default)s)",
    )
    add(
        "--content-type",
        default="application/json",
        metavar="TYPE",
        help="the requests' Content-Type (default: %(default)s)",
    )
    add("--json", action="store_true", help="print data instead of text")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    from gateway.settings.quantities import ACCEPTED_DURATION, parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r}: give {ACCEPTED_DURATION}, above 0")
    return seconds


def _settings(path: Path) -> "Settings | None":
    """The settings in the file; None after its mistakes were printed."""
    if not path.exists():
        _complain(f"gateway: there is no {path}; name a file with -c, or write one, at least: {_SMALLEST}")
        return None
    from gateway.settings.load import SettingsError, load

    try:
        return load(path, os.environ)
    except SettingsError as error:
        _complain(str(error))
        return None


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _run(args: argparse.Namespace) -> int:
    settings = _settings(args.config)
    if settings is None:
        return BAD_USAGE
    from gateway.app import run

    return run(settings, args.config)


def _check(args: argparse.Namespace) -> int:
    settings = _settings(args.config)
    if settings is None:
        return BAD_USAGE
    backends = sum(len(pool.backends) for pool in settings.pools.values())
    counts = ((len(settings.pools), "pool"), (backends, "backend"), (len(settings.routes), "route"))
    summary = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in counts)
    print(f"{args.config} is good: {summary}")
    return DONE


def _schema(_: argparse.Namespace) -> int:
    from gateway.settings.json_schema import text

    print(text(), end="")
    return DONE


def _demo(args: argparse.Namespace) -> int:
    from gateway.demo.run import main as demo

    return demo(args)


def _simulate(args: argparse.Namespace) -> int:
    from gateway.simulate import main as simulate

    return simulate(args)


def _status(args: argparse.Namespace) -> int:
    from gateway.top.status import main as status

    return status(args)


def _top(args: argparse.Namespace) -> int:
    from gateway.top.run import main as top

    return top(args)


def _explain_cache(args: argparse.Namespace) -> int:
    if args.a == args.b == "-":
        _complain("gateway: only one of the bodies can come from standard input")
        return BAD_USAGE
    bodies = []
    for name in (args.a, args.b):
        try:
            bodies.append(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
        except OSError as error:
            _complain(f"gateway: cannot read {name}: {error.strerror or error}")
            return BAD_USAGE
    from gateway.cache.explain import explain

    ignore = frozenset(filter(None, (field.strip() for field in args.ignore.split(","))))
    found = explain(bodies[0], bodies[1], args.content_type.encode("utf-8", "replace"), ignore)
    print(json.dumps(found.data(), indent=1) if args.json else found.text(args.a, args.b))
    return DONE if found.equal else FAILED
