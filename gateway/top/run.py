"""What does `gateway top` need before it can show anything? A terminal, Textual, and an address."""

import argparse
import sys

from gateway.top.history import History
from gateway.top.options import BadUsage, admin_url
from gateway.top.view import View

DONE, BAD_USAGE = 0, 2
HINT = "needs Textual, which is not installed: pip install 'model-gateway[top]'"
NO_TERMINAL = "needs a terminal; for scripts there is: gateway status --json"


def main(args: argparse.Namespace) -> int:
    """`gateway top`: 0 when somebody quits it, 2 when it cannot be shown here."""
    try:
        url = admin_url(args)
    except BadUsage as error:
        return _complain(str(error))
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return _complain(NO_TERMINAL)
    try:
        from gateway.top.app import Top
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        return _complain(HINT)
    view = View(url, History(), pool=args.pool)
    Top(view, args.interval).run(mouse=False)
    return DONE


def _complain(text: str) -> int:
    sys.stderr.write(f"gateway top: {text}\n")
    return BAD_USAGE
