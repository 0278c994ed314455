"""What can be typed after `gateway status` and `gateway top`? The command line always imports this."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

DEFAULT_ADMIN = "http://127.0.0.1:9901"
VARIABLE = "GATEWAY_ADMIN"
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.5, 10.0  # those of GET /api/live
EXIT_CODES = (
    "Exit codes: 0 ready; 1 not ready, or not reachable; 2 bad usage. With --pool, ready means that a "
    "backend of that pool can take work, too."
)


def add_status(status: argparse.ArgumentParser) -> None:
    """The options of `gateway status`."""
    _add_gateway(status)
    status.add_argument("--pool", metavar="NAME", help="this pool alone")
    status.add_argument(
        "--json", action="store_true", help="print the document of GET /api/overview, for jq and the like"
    )
    status.description = f"{status.description} {EXIT_CODES}"


def add_top(top: argparse.ArgumentParser, seconds: Callable[[str], float]) -> None:
    """The options of `gateway top`; `seconds` reads a duration."""
    _add_gateway(top)
    top.add_argument("--pool", metavar="NAME", help="begin with this pool alone")
    top.add_argument(
        "--interval",
        type=lambda text: _interval(seconds(text)),
        default=1.0,
        metavar="SECONDS",
        help=f"how often, {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} (default: %(default)s)",
    )


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--admin",
        metavar="URL",
        help=f"the gateway's admin address (default: {VARIABLE} of the environment, or {DEFAULT_ADMIN})",
    )
    which.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="take the admin address from this configuration"
    )


def _interval(seconds: float) -> float:
    if not MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"give {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} seconds")
    return seconds


class BadUsage(Exception):
    """What was asked for cannot be; the text says why, and may be of several lines."""


def admin_url(args: argparse.Namespace) -> str:
    """Where the gateway's admin side is, by --admin, -c, the environment, or as usual. Raises BadUsage."""
    from gateway.top.client import address, reached

    if args.config is not None:
        listening = _configured(args.config)
        if listening.endswith(":0"):
            raise BadUsage(
                f"{args.config}: admin is {listening}, any free port; name the real one with --admin"
            )
        return reached(listening)
    source, text = "--admin", args.admin
    if text is None:
        source, text = VARIABLE, os.environ.get(VARIABLE) or DEFAULT_ADMIN
    try:
        return address(text)
    except ValueError as error:
        raise BadUsage(f"{source}: {error}") from None


def _configured(path: Path) -> str:
    from gateway.settings.load import SettingsError, load

    if not path.exists():
        raise BadUsage(f"there is no {path}; name the configuration with -c, or the address with --admin")
    try:
        return load(path, os.environ).admin
    except SettingsError as error:
        raise BadUsage(str(error)) from None
