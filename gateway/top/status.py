"""Is the gateway well? `gateway status`: a screen for people, a document for programs, an exit code."""

import argparse
import asyncio
import io
import json
import os
import sys

from gateway.top.client import Admin, Refused, Unreachable, session
from gateway.top.document import Overview, narrowed, only
from gateway.top.options import BadUsage, admin_url
from gateway.top.report import screen

READY, NOT_READY, BAD_USAGE = 0, 1, 2


def main(args: argparse.Namespace) -> int:
    """`gateway status`: 0 ready, 1 not ready or not reachable, 2 bad usage."""
    try:
        url = admin_url(args)
        overview, body = asyncio.run(_ask(url))
        if args.pool is not None:
            overview = _narrowed(overview, args.pool)
    except BadUsage as error:
        return _complain(str(error), BAD_USAGE)
    except (Unreachable, Refused) as error:
        return _complain(str(error), NOT_READY)
    except KeyboardInterrupt:
        return NOT_READY
    if args.json:
        data = json.loads(body)
        text = json.dumps(data if args.pool is None else only(data, args.pool), indent=1)
    else:
        text = screen(overview, url)
    _print(text)
    return READY if _ready(overview, args.pool is not None) else NOT_READY


async def _ask(url: str) -> tuple[Overview, bytes]:
    async with session() as asked:
        return await Admin(url, asked).overview()


def _narrowed(overview: Overview, name: str) -> Overview:
    pool = overview.pool(name)
    if pool is None:
        names = ", ".join(pool.name for pool in overview.pools) or "none"
        raise BadUsage(f"--pool: there is no pool {name}; there are: {names}")
    return narrowed(overview, pool)


def _ready(overview: Overview, of_pool: bool) -> bool:
    return overview.status.ready and (not of_pool or any(pool.well for pool in overview.pools))


def _print(text: str) -> None:
    """Also to a terminal that cannot show every letter, and to a pipe whose reader has seen enough."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it is tried again at the exit


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"gateway status: {text}\n")
    return code
