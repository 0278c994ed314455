"""Which route takes a request? The first whose path, method, headers and model match.

Pure. With no routes configured they are implied: one pool takes everything; of several, the body's
`model` names the pool, and the gateway itself answers `GET /v1/models` with all of them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from gateway.errors import GatewayError
from gateway.messages import RequestHead

MAX_REMEMBERED = 1024  # paths whose routes are remembered, and the longest such path


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds of one exchange in seconds; None leaves the pool's own."""

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A match and where it leads.

    `path` exact, or a prefix when it ends in `*`; `methods` empty = all; `model` a pattern with `*`, None =
    any body; `pools` (name, weight): one, or several to split by weight; `fallback` pools tried in order.
    """

    name: str
    pools: tuple[tuple[str, float], ...]
    path: str = "/*"
    methods: frozenset[str] = frozenset()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    model: str | None = None
    fallback: tuple[str, ...] = ()
    rewrite_model: str | None = None
    rewrite_prefix: str | None = None
    timeouts: Timeouts = Timeouts()
    replayable: bool = True
    priority: Literal["high", "normal", "low"] = "normal"
    priority_header: Literal["any", "lower", "off"] = "any"
    _prefix: str | None = field(init=False, default=None)
    _model: re.Pattern[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.path.endswith("*"):
            object.__setattr__(self, "_prefix", self.path[:-1])
        if self.model is not None and "*" in self.model:
            object.__setattr__(self, "_model", _pattern(self.model))

    def takes_path(self, path: str) -> bool:
        prefix = self._prefix
        return path == self.path if prefix is None else path.startswith(prefix)

    def takes_model(self, model: str | None) -> bool:
        if self.model is None:
            return True
        if model is None:
            return False
        return model == self.model if self._model is None else self._model.fullmatch(model) is not None

    def target(self, target: bytes) -> bytes:
        """The request target with the matched prefix replaced, where the route rewrites it."""
        if self.rewrite_prefix is None:
            return target
        matched = self._prefix if self._prefix is not None else self.path
        rest = target[len(matched.encode()) :]
        prefix = self.rewrite_prefix.encode()
        if prefix.endswith(b"/") and rest.startswith(b"/"):
            rest = rest[1:]
        return prefix + rest


def _pattern(model: str) -> re.Pattern[str]:
    """`model` with its `*` as an expression that never backtracks over one, so that its time is linear."""
    first, *middle, last = (re.escape(part) for part in re.split(r"\*+", model))
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)


class Routes:
    """The routes in order; `match` answers which one takes a request."""

    __slots__ = ("_by_headers", "_known", "_lists_models", "_models", "_routes")

    def __init__(self, routes: Sequence[Route], pools: Sequence[str]) -> None:
        self._lists_models = False
        if not routes:
            if len(pools) == 1:
                routes = [Route(name=pools[0], pools=((pools[0], 1.0),))]
            else:
                routes = [Route(name=pool, pools=((pool, 1.0),), model=pool) for pool in pools]
                self._lists_models = True
        self._routes = tuple(routes)
        self._by_headers = any(route.headers for route in routes)
        self._known: dict[tuple[str, str], tuple[Sequence[Route], bool]] = {}
        self._models = tuple(sorted({r.model for r in self._routes if r.model and "*" not in r.model}))

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    @property
    def models(self) -> tuple[str, ...]:
        """Model names that routes match literally."""
        return self._models

    def lists_models(self, method: str, path: str) -> bool:
        """Whether the gateway answers this one itself: the models list, where pools are named by model."""
        return (
            self._lists_models
            and method in ("GET", "HEAD")
            and (path == "/v1/models" or path[:11] == "/v1/models/")
        )

    def candidates(self, head: RequestHead) -> tuple[Sequence[Route], bool]:
        """Routes that match but for the model, up to the first that needs none; whether the model is needed.

        Raises GatewayError: 404 route_not_found, 405 method_not_allowed.
        """
        key = (head.method, head.path)
        known = self._known.get(key)
        if known is None:
            found = self._match(head)
            known = (found, found[0].model is not None)
            if not self._by_headers and len(head.path) <= MAX_REMEMBERED:
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known

    def _match(self, head: RequestHead) -> list[Route]:
        found: list[Route] = []
        allowed: set[str] = set()
        for route in self._routes:
            if not route.takes_path(head.path):
                continue
            if route.methods and head.method not in route.methods:
                allowed |= route.methods
                continue
            if route.headers and not all(value in head.values(name) for name, value in route.headers):
                continue
            found.append(route)
            if route.model is None:
                break
        if found:
            return found
        if allowed:
            error = GatewayError("method_not_allowed", f"{head.method} is not allowed for this path.")
            error.allow = ", ".join(sorted(allowed))
            raise error
        raise GatewayError("route_not_found", "No route matches this request.")

    @staticmethod
    def choose(candidates: Sequence[Route], model: str | None) -> Route:
        """The first of `candidates` that takes `model`; GatewayError: 404, or 400 when it needs a model."""
        for route in candidates:
            if route.takes_model(model):
                return route
        if model is None:
            raise GatewayError(
                "bad_request",
                "The request names no model: its body has no member 'model', and it is needed here.",
            )
        raise GatewayError("model_not_found", f"The model '{model}' does not exist here.")


def models_answer(models: Sequence[str], path: str) -> dict[str, object]:
    """The body for `GET /v1/models` or `/v1/models/{id}` in OpenAI's shape; GatewayError 404 when unknown."""
    entries = [{"id": model, "object": "model", "created": 0, "owned_by": "gateway"} for model in models]
    if path == "/v1/models":
        return {"object": "list", "data": entries}
    name = unquote(path[len("/v1/models/") :])  # a model's name may hold a slash
    for entry in entries:
        if entry["id"] == name:
            return entry
    raise GatewayError("model_not_found", f"The model '{name[:256]}' does not exist here.")
