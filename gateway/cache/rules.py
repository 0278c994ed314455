"""May a request be answered from the cache at all, and may its answer be kept?

Pure. The rules of RFC 9111 for a shared cache, with one extension the operator opts into by naming the
method: answers to POST are kept under a key of the whole request, body included, and given to no other. Such
an answer needs explicit freshness (RFC 9110 9.3.3); the route's `ttl` is that, stated by the operator.
"""

from dataclasses import dataclass
from typing import Final

from gateway.cache.traits import NEGATIVE, POSITIVE, Traits
from gateway.cache.wishes import Wishes
from gateway.messages import RequestHead

#: Why a request goes past the cache. A closed set: the label of a metric, and a Cache-Status detail.
BYPASS_REASONS: Final = (
    "method",  # not among the route's methods
    "upgrade",  # it asks for another protocol
    "no_store",  # the client asks that nothing be kept
    "range",  # it asks for a part
    "conditional",  # a precondition that only the backend can judge
    "body",  # its body is streamed through, not held, so there is no key
    "sampled",  # its answer is one of many, drawn by chance
    "uncacheable",  # an answer under its key was not to be kept, less than HOLD_S ago
    "flights",  # too many requests are already waited for
    "audit",  # the auditor found answers of this route to differ, and turned its cache off
)
#: Why an answer is not kept, "stored" when it is. A closed set. `size` and `incomplete` are for whoever
#: collects the body to find.
STORE_REASONS: Final = (
    "stored", "request", "status", "partial", "set_cookie", "no_store", "private", "no_cache", "vary",
    "authorization", "expired", "size", "incomplete",
)  # fmt: skip
#: How long a key is remembered as not cacheable, so that requests for it do not wait for one another in
#: vain: Varnish's hit-for-miss, with its default.
HOLD_S: Final = 120.0
#: How long beyond its freshness an answer with a validator is kept, to be asked about: nginx's `inactive`.
KEEP_S: Final = 600.0

_READS = frozenset(("GET", "HEAD"))
_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "QUERY"))


@dataclass(frozen=True, slots=True)
class CacheRule:
    """One route's cache. Times in seconds, `max_entry` in bytes of body.

    `sampled`: "bypass" | "store"; `replay`: "instant" | "recorded". `shared_scope`: entries are not told
    apart by the client's credential. `negative_ttl_s` 0: no error is kept.
    """

    ttl_s: float = 3600.0
    stale_while_revalidate_s: float = 0.0
    stale_if_error_s: float = 0.0
    methods: frozenset[str] = frozenset(("GET", "HEAD", "POST"))
    sampled: str = "bypass"
    negative_ttl_s: float = 0.0
    max_entry: int = 2 * 1024 * 1024
    shared_scope: bool = False
    coalesce: bool = True
    replay: str = "instant"


class Verdict:
    """May this answer be kept, how old is it, and how long is it good for? Never changed once made.

    `hold`: what forbids it will hold for the next answer too, so its key is to be remembered for HOLD_S as
    not cacheable. `explicit`: the lifetime is the answer's own word, so what is left of it depends on when it
    is judged. All times in seconds; `keep_s` is `Entry.keep_s`.
    """

    # No slots: what is left at its default costs nothing to make.
    store: bool = False
    reason: str = "stored"
    hold: bool = False
    explicit: bool = False
    age_s: float = 0.0
    fresh_s: float = 0.0
    stale_while_s: float = 0.0
    stale_if_error_s: float = 0.0
    keep_s: float = 0.0
    vary: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"<Verdict {self.reason}, {self.age_s:g} of {self.fresh_s:g} s>"

    @property
    def shareable(self) -> bool:
        """Whether it may also answer those who wait for it (RFC 9111 4): kept, and fresh as it arrives."""
        return self.store and self.age_s < self.fresh_s


def _refused(reason: str, hold: bool) -> Verdict:
    verdict = Verdict()
    verdict.reason = reason
    verdict.hold = hold
    return verdict


_HELD = frozenset(("set_cookie", "no_store", "private", "no_cache", "vary", "authorization"))
_REFUSED: Final = {reason: _refused(reason, reason in _HELD) for reason in STORE_REASONS}
_BORN_EXPIRED: Final = _refused("expired", True)
# An error says nothing about the next answer.
_ERROR_REFUSED: Final = {reason: _refused(reason, False) for reason in STORE_REASONS}


def bypass_reason(
    rule: CacheRule, head: RequestHead, wishes: Wishes, streamed: bool, sampled: bool
) -> str | None:
    """Why the cache has no part in this request, a member of BYPASS_REASONS; None when it has.

    `streamed`: the body is not held whole. `sampled`: the answer is drawn by chance, without a seed.
    A request's `no-cache` is no bypass: its answer is new, and kept.
    """
    if head.method not in rule.methods:
        return "method"
    if wishes.obstacle:
        return wishes.obstacle
    if wishes.no_store:
        return "no_store"
    if streamed:
        return "body"
    if sampled and rule.sampled != "store":
        return "sampled"
    return None


def judge(
    rule: CacheRule, head: RequestHead, wishes: Wishes, traits: Traits, now: float, delay_s: float = 0.0
) -> Verdict:
    """Whether the answer to `head` with these traits may be kept, for how long, and how old it is.

    `now`: wall clock; `delay_s`: how long since it was asked for. That the answer is complete is for the
    caller to see to. Asked at the head, it tells whether others may wait for the rest; the entry is made
    from what it says when the answer is complete.
    """
    method = head.method
    refusal = _refusal(rule, method, wishes, traits)
    positive = traits.status in POSITIVE
    if refusal:
        return _REFUSED[refusal] if positive else _ERROR_REFUSED[refusal]
    verdict = Verdict()
    explicit = verdict.explicit = _time(verdict, rule, traits, now, delay_s, method)
    if traits.has_validator and traits.status == 200 and method in _READS:
        verdict.keep_s = KEEP_S
    beyond = max(verdict.stale_while_s, verdict.stale_if_error_s, verdict.keep_s)
    if verdict.age_s >= verdict.fresh_s + beyond:
        return _BORN_EXPIRED if explicit and positive and verdict.fresh_s <= 0.0 else _REFUSED["expired"]
    verdict.store = True
    verdict.vary = traits.vary
    return verdict


def _refusal(rule: CacheRule, method: str, wishes: Wishes, traits: Traits) -> str:
    if wishes.no_store or wishes.obstacle:
        return "request"
    refusal = _status_refusal(rule, method, traits.status) or traits.refusal
    if refusal:
        return refusal
    if _asks_first(traits, method) and not (traits.has_validator and method in _READS):
        return "no_cache"  # it could never be given
    # RFC 9111 3.5. For other methods the operator's word counts, who named both the method and the scope.
    if wishes.authorized and rule.shared_scope and method in _READS and not traits.authorized:
        return "authorization"
    return ""


def _status_refusal(rule: CacheRule, method: str, status: int) -> str:
    if status in POSITIVE:
        # A POST without an answer was done for what it does; a GET without content is an answer.
        return "status" if status == 204 and method not in _READS else ""
    if status in NEGATIVE and rule.negative_ttl_s > 0.0:
        return ""
    return "partial" if status == 206 else "status"


def _asks_first(traits: Traits, method: str) -> bool:
    """Whether the answer forbids being given unasked. An event stream's idiom does not, for computations."""
    return traits.no_cache and not (traits.unbuffered and method not in _READS)


def _time(verdict: Verdict, rule: CacheRule, traits: Traits, now: float, delay_s: float, method: str) -> bool:
    """Fill in age, lifetime and windows; whether the lifetime is the answer's own word."""
    explicit = True
    date_at = traits.date_at
    if traits.lifetime_s >= 0:
        fresh_s = float(traits.lifetime_s)
    elif traits.expires_at is not None:
        fresh_s = max(0.0, traits.expires_at - (date_at if date_at is not None else now))
    else:
        explicit = False
        fresh_s = rule.ttl_s
    age_s = float(traits.age_s)
    if explicit:
        # RFC 9111 4.2.3. The route's own ttl counts from here: a backend's wrong clock does not shorten it.
        age_s = max(age_s + delay_s, now - date_at if date_at is not None else 0.0)
    verdict.age_s = age_s
    asks_first = _asks_first(traits, method)
    verdict.fresh_s = 0.0 if asks_first else fresh_s
    if traits.status in NEGATIVE:
        # An error is never kept longer than the operator says, nor given stale.
        verdict.fresh_s = min(verdict.fresh_s, rule.negative_ttl_s) if explicit else rule.negative_ttl_s
    elif not traits.no_stale or (traits.unbuffered and not asks_first):
        swr, sie = traits.stale_while_s, traits.stale_if_error_s
        verdict.stale_while_s = float(swr) if swr >= 0 else rule.stale_while_revalidate_s
        verdict.stale_if_error_s = float(sie) if sie >= 0 else rule.stale_if_error_s
    return explicit


def invalidates(method: str, status: int) -> bool:
    """Whether a forwarded request makes what is kept for GET on its very target invalid (RFC 9111 4.4)."""
    return method not in _SAFE and 200 <= status < 400
