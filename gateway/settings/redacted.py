"""What does the configuration in force look like to somebody who must not learn its secrets?

Text is left out unless its kind or its key is listed here as no secret, so a new key is a secret until
somebody has thought about it. Numbers, switches and words out of a list are shown.
"""

import re
from collections.abc import Mapping

from gateway.settings.describe import kind_in
from gateway.settings.kinds import Kind
from gateway.settings.schema import Backend, Section, Settings

HIDDEN = "(hidden)"

#: Keys with text of a user's own that is no secret.
SHOWN = frozenset((
    "Affinity.field", "Backend.labels", "BackendTls.ca", "Cache.ignore", "Cache.path", "Match.model",
    "Redis.namespace", "Rewrite.model", "RouteCache.ignore", "Tracing.service_name",
))  # fmt: skip
#: Kinds whose readers take nothing that could hold a secret; choices begin with a backquote.
OPEN = frozenset((
    "header name", "host:port", "method", "name", "network", "path", "path \\| null", "path, may end in `*`",
    "statuses", "text \\| `header:NAME` \\| `models`", "URL", "whole number \\| `auto` \\| null",
))  # fmt: skip
#: Kinds that are shown as the file would write them.
WRITTEN = frozenset(("duration", "size", "share", "percentile"))

_REDIS = re.compile(
    r"(?P<scheme>rediss?://)(?:[^/?#@]*@)?(?P<server>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])"
    r"(?P<rest>(?::[0-9]+)?(?:/[0-9]*)?)"
)


def without_secrets(settings: Settings) -> dict[str, object]:
    """The settings as plain data, in the units the file is written in; what may be a secret is `HIDDEN`."""
    return _section(settings)


def _section(section: Section) -> dict[str, object]:
    shown: dict[str, object] = {}
    for key, field in type(section).model_fields.items():
        if key == "tls" and isinstance(section, Backend) and section.url.startswith("http:"):
            continue  # which would be refused in a file
        value = getattr(section, key)
        shown[key] = _value(value, kind_in(field), f"{type(section).__name__}.{key}")
    return shown


def _value(value: object, kind: Kind | None, key: str) -> object:
    if isinstance(value, Section):
        return _section(value)
    if isinstance(value, Mapping):
        return {name: _value(inner, kind, key) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_value(inner, kind, key) for inner in value]
    if isinstance(value, str):
        return value if _is_open(kind, key) else _bare_redis(value) if _is_redis(kind) else HIDDEN
    if isinstance(value, (int, float)) and kind is not None and kind.label in WRITTEN:
        return kind.show(value)
    return value


def _is_open(kind: Kind | None, key: str) -> bool:
    return key in SHOWN or (kind is not None and (kind.label in OPEN or kind.label.startswith("`")))


def _is_redis(kind: Kind | None) -> bool:
    return kind is not None and kind.label == "redis URL"


def _bare_redis(url: str) -> str:
    """A redis URL without user, password and options; nothing of one whose parts cannot be told for sure."""
    found = _REDIS.fullmatch(url)
    return f"{found['scheme']}{found['server']}{found['rest']}" if found else HIDDEN
