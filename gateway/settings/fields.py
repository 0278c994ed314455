"""Which kinds of value does the configuration have? The types that stand in the schema."""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from gateway.settings import quantities
from gateway.settings.kinds import Kind, quantity

_URL_TEXT = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:/@+\[\]-]{0,127}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_RANGE = r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?"
_PATH = re.compile(r"/[!\"$-)+->@-~]*")  # printable ASCII without # * ?


def text(value: object) -> str:
    """Text, or a whole number as its digits; `1.10` is refused because YAML would make it 1.1."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(
            'text on one line; a value that YAML reads as something else stands in quotes: "1.10"'
        )
    return value


def _pattern(pattern: re.Pattern[str], accepted: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        found = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(found, str) or not pattern.fullmatch(found):
            raise ValueError(accepted)
        return found

    return read


def split_address(address: str) -> tuple[str, int]:
    """`("::1", 8080)` from `[::1]:8080`; `ValueError` when it is no `host:port`."""
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if not _HOST.fullmatch(host):
        raise ValueError
    return host, int(port)


def _address(value: object) -> str:
    try:
        if isinstance(value, str):
            split_address(value)
            return value
    except ValueError:
        pass
    raise ValueError("host:port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080 (port 0: any free port)")


def _url(value: object) -> str:
    accepted = "an http:// or https:// URL with a host, such as http://10.0.0.1:8000"
    if not isinstance(value, str) or not _URL_TEXT.fullmatch(value):
        raise ValueError(accepted)
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
        if host and ":" in host:
            ipaddress.IPv6Address(host)
        elif host and not _HOST.fullmatch(host):
            host = None
    except ValueError:
        raise ValueError(accepted) from None
    if url.scheme not in ("http", "https") or not host or port == 0 or url.netloc.endswith(":"):
        raise ValueError(accepted)
    if "@" in url.netloc or "?" in value or "#" in value:
        raise ValueError("a URL without user, password, query or fragment")
    return f"{url.scheme}://{url.netloc.lower()}{url.path.rstrip('/')}"


def _network(value: object) -> str:
    try:
        if isinstance(value, str):
            return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    raise ValueError("an address or a network such as 10.0.0.0/8 or fd00::/8, no bits set beyond its length")


_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_SWITCH |= {form: on for word, on in _SWITCH.items() for form in (word.capitalize(), word.upper())}


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCH:
        return _SWITCH[value]
    raise ValueError("on or off")


def _path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError("a path that starts with / and has no query, such as /health")
    return value


def _path_pattern(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value.removesuffix("*")):
        raise ValueError("a path that starts with /, with * only as its last character, such as /v1/*")
    return value


def _path_or_null(value: object) -> str | None:
    if value is None or value == "null":
        return None
    try:
        return _path(value)
    except ValueError as error:
        raise ValueError(f"{error}, or null for none") from None


def _trigger(value: object) -> str:
    if value in ("connect", "reset", "timeout"):
        return str(value)
    digits = re.fullmatch(r"[0-9]{3}", str(value))
    if digits and not isinstance(value, float) and (int(digits[0]) in (408, 425, 429) or digits[0][0] == "5"):
        return digits[0]
    raise ValueError("connect, reset, timeout, or one of the statuses 408, 425, 429, 500 to 599")


def _statuses(value: object) -> str:
    ranges = re.fullmatch(rf"{_RANGE}(?:,{_RANGE})*", "" if isinstance(value, float) else _tight(value))
    if ranges is None or any(int(low) > int(high or low) for low, high in re.findall(_RANGE, ranges[0])):
        raise ValueError("statuses such as 200, 200-399 or 200,204")
    return ranges[0]


def _tight(value: object) -> str:
    return str(value).replace(" ", "")


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0.001 <= number <= 1_000_000:
        raise ValueError("a number above 0, from 0.001 to 1000000")
    return number


_D = ("duration", quantities.parse_duration, quantities.DURATION_PATTERN, quantities.show_duration)
_S = ("size", quantities.parse_size, quantities.SIZE_PATTERN, quantities.show_size)
_TEXT_SCHEMA = {"type": ["string", "integer"]}
_ACCEPTED_NAME = "a name of letters, digits and . _ - : / @ +, such as gpu-1 or meta-llama/Llama-3-8B"

Duration = Annotated[float, quantity(*_D, least=0.001)]
DurationOrZero = Annotated[float, quantity(*_D)]
Size = Annotated[int, quantity(*_S, least=1)]
SizeOrZero = Annotated[int, quantity(*_S)]
Share = Annotated[
    float, quantity("share", quantities.parse_share, quantities.SHARE_PATTERN, quantities.show_share)
]
Switch = Annotated[
    bool,
    Kind(
        "`on` \\| `off`",
        _switch,
        {"enum": [True, False, *_SWITCH]},
        lambda on: "on" if on else "off",
    ),
]
Number = Annotated[
    float,
    Kind(
        "number",
        _number,
        {"anyOf": [{"type": "number", "minimum": 0.001}, {"type": "string", "pattern": "^[0-9.]+$"}]},
        lambda n: f"{n:g}",
    ),
]
Text = Annotated[str, Kind("text", text, _TEXT_SCHEMA)]
Name = Annotated[str, Kind("name", _pattern(_NAME, _ACCEPTED_NAME), _TEXT_SCHEMA)]
Address = Annotated[str, Kind("host:port", _address, {"type": "string", "pattern": ":[0-9]{1,5}$"})]
Url = Annotated[str, Kind("URL", _url, {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://[^?#@]+$"})]
Network = Annotated[str, Kind("network", _network, {"type": "string", "pattern": "^[0-9a-fA-F.:/]+$"})]
UrlPath = Annotated[str, Kind("path", _path, {"type": "string", "pattern": "^/[^?#*]*$"})]
UrlPathOrNull = Annotated[
    str | None,
    Kind(
        "path \\| null",
        _path_or_null,
        {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^/|^null$"}]},
    ),
]
PathPattern = Annotated[
    str, Kind("path, may end in `*`", _path_pattern, {"type": "string", "pattern": r"^/[^?#*]*\*?$"})
]
Method = Annotated[
    str,
    Kind(
        "method",
        lambda value: _pattern(_TOKEN, "an HTTP method such as POST")(value).upper(),
        {"type": "string", "pattern": '^[^\\s"(),/:;<=>?@\\[\\]{}\\\\]+$'},
    ),
]
HeaderName = Annotated[
    str,
    Kind(
        "header name",
        lambda value: _pattern(_TOKEN, "a header name such as x-tier")(value).lower(),
        {"type": "string"},
    ),
]
Trigger = Annotated[
    str,
    Kind(
        "`connect`, `reset`, `timeout` or status",
        _trigger,
        {
            "anyOf": [
                {"enum": ["connect", "reset", "timeout"]},
                {"type": "integer", "minimum": 408, "maximum": 599},
                {"type": "string", "pattern": "^[45][0-9]{2}$"},
            ]
        },
    ),
]
Statuses = Annotated[
    str,
    Kind(
        "statuses",
        _statuses,
        {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5][0-9]{2}[0-9, -]*$"},
            ]
        },
    ),
]
