"""What is the client told about the cache's part in its answer? The Cache-Status and Age lines.

RFC 9211: caches are listed from the backend's side to the client's, and lines of a field add up in their
order. So these lines go behind the backend's own fields, and what a cache there said stays in front.
"""

from typing import Final

from gateway.cache.rules import BYPASS_REASONS

#: Why a request was forwarded (RFC 9211 2.2). A closed set.
FORWARDS: Final = ("bypass", "miss", "vary-miss", "request", "stale")
#: What became of the answer to a forwarded request, or "".
FATES: Final = ("", "stored", "collapsed")

_LINES: Final = {
    f"{forward} {fate}": f"Cache-Status: gateway; fwd={forward}{'; ' if fate else ''}{fate}\r\n".encode()
    for forward in FORWARDS
    for fate in FATES
}
_BYPASSES: Final = {
    reason: f"Cache-Status: gateway; fwd=bypass; detail={reason}\r\n".encode() for reason in BYPASS_REASONS
}


def forward_line(forward: str, fate: str = "", fwd_status: int = 0, detail: str = "") -> bytes:
    """The line of an answer that was asked for.

    `fate`: "stored", "collapsed" (another's request was waited for) or "". `fwd_status`: the backend's
    status where the client gets another one, such as the 304 behind a refreshed entry. `detail`: a token.
    """
    line = _LINES[f"{forward} {fate}"]
    if not fwd_status and not detail:
        return line
    more = b"; fwd-status=%d" % fwd_status if fwd_status else b""
    if detail:
        more += b"; detail=%b" % detail.encode("ascii")
    return line[:-2] + more + b"\r\n"


def bypass_line(reason: str) -> bytes:
    """The line of an answer in which the cache had no part, for a member of `rules.BYPASS_REASONS`."""
    return _BYPASSES[reason]


def hit_lines(age_s: float, fresh_s: float, detail: str = "") -> bytes:
    """Cache-Status and Age of an answer from the cache; its ttl is below 0 when it is stale.

    `detail`: a token, such as "stale" or "error" (what was asked for failed, and this stands in for it).
    """
    age = int(age_s)
    ttl = _whole(fresh_s - age_s)
    if detail:
        return b"Cache-Status: gateway; hit; ttl=%d; detail=%b\r\nAge: %d\r\n" % (ttl, detail.encode(), age)
    return b"Cache-Status: gateway; hit; ttl=%d\r\nAge: %d\r\n" % (ttl, age)


def _whole(seconds: float) -> int:
    """Whole seconds, rounded down: what is stale by half a second has a ttl of -1."""
    whole = int(seconds)
    return whole - 1 if whole > seconds else whole
