"""What is refused: everything at once, each with its line, its key, what was found and what is accepted."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settings.load import SettingsError, from_dict, from_text
from gateway.settings.problems import dotted
from gateway.settings.schema import Settings

EVERYTHING_WRONG = """\
listen: [127.0.0.1:8080, 127.0.0.1:8080]
log: {level: inf}
limits: {max_body: 1MiB, buffer_body: 2MiB, max_header: big}
admin: 0.0.0.0:8080
pools:
  chat:
    policy: least_latancy
    backends:
      - ftp://x
      - {url: http://h:1, name: a, weight: 0}
      - {url: http://h:2, name: a, max_in_flight: 0}
      - url: http://h:3
        tls: {verify: off}
    health:
      intervall: 3s
      timeout: 9s
      rise: 0
    retries: {attempts: many, on: [connect, 404]}
    panic_below: 70
    policy: random
  empty: {backends: []}
  none: {}
  "":
routes:
  - name: x
    pool: chatt
    split: [{pool: chat}]
    match: {path: v1/*, methods: POST}
  - {name: x, match: {model: 1.5}}
  - {name: all, pool: chat, fallback: [chat, nowhere]}
  - {pool: chat, replayable: maybe, timeouts: {total: 0}}
shutdwn: 3
"""


def refused(text: str) -> list[tuple[int | None, str, str]]:
    """(line, path, found) of every problem in `text`."""
    with pytest.raises(SettingsError) as caught:
        from_text(text, {}, file="f.yaml")
    return [(problem.line, problem.path, problem.found) for problem in caught.value.problems]


def refused_dict(**data: Any) -> list[str]:
    """`path: accepted` of every problem of `data`, with one good pool `a` unless it has pools."""
    with pytest.raises(SettingsError) as caught:
        from_dict({"pools": {"a": {"backends": ["http://h"]}}} | data)
    return [f"{problem.path}: {problem.accepted}" for problem in caught.value.problems]


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    """Wrong values, unknown keys, doubles and contradictions, whatever else is wrong around them."""
    assert refused(EVERYTHING_WRONG) == [
        (1, "listen[1]", '"127.0.0.1:8080"'),
        (2, "log.level", '"inf"'),
        (3, "limits.buffer_body", '"2MiB"'),
        (3, "limits.max_header", '"big"'),
        (4, "admin", '"0.0.0.0:8080"'),
        (7, "pools.chat.policy", '"least_latancy"'),
        (9, "pools.chat.backends[0].url", '"ftp://x"'),
        (10, "pools.chat.backends[1].weight", "0"),
        (11, "pools.chat.backends[2].max_in_flight", "0"),
        (11, "pools.chat.backends[2].name", '"a"'),
        (13, "pools.chat.backends[3].tls", "a mapping"),
        (15, "pools.chat.health.intervall", "an unknown key"),
        (16, "pools.chat.health.timeout", '"9s"'),
        (17, "pools.chat.health.rise", "0"),
        (18, "pools.chat.retries.attempts", '"many"'),
        (18, "pools.chat.retries.on[1]", "404"),
        (19, "pools.chat.panic_below", "70"),
        (20, "pools.chat.policy", "the key again (first on line 7)"),
        (21, "pools.empty.backends", "an empty list"),
        (22, "pools.none.backends", "nothing"),
        (23, 'pools[""]', '""'),
        (23, 'pools[""]', "nothing (an empty value)"),
        (25, "routes[0]", "both pool and split"),
        (26, "routes[0].pool", '"chatt"'),
        (28, "routes[0].match.path", '"v1/*"'),
        (28, "routes[0].match.methods", '"POST"'),
        (29, "routes[1].match.model", "1.5"),
        (29, "routes[1].name", '"x"'),
        (29, "routes[1]", "neither pool nor split"),
        (30, "routes[2]", "a route that matches every request, so that no later one is ever reached"),
        (30, "routes[2].fallback[0]", '"chat"'),
        (30, "routes[2].fallback[1]", '"nowhere"'),
        (31, "routes[3].name", "nothing"),
        (31, "routes[3].timeouts.total", "0"),
        (31, "routes[3].replayable", '"maybe"'),
        (32, "shutdwn", "an unknown key"),
    ]


def test_a_problem_reads_as_one_line() -> None:
    """file:line, key, found, accepted."""
    with pytest.raises(SettingsError) as caught:
        from_text("pools:\n  a:\n    backends:\n      - url: ftp://x\n", {}, file="f.yaml")
    assert str(caught.value) == (
        'f.yaml:4: pools.a.backends[0].url: found "ftp://x"; '
        "accepted: an http:// or https:// URL with a host, such as http://10.0.0.1:8000"
    )


@pytest.mark.parametrize(
    ("data", "accepted"),
    [
        ({"pool": {}}, "did you mean 'pools'?"),
        ({"log": {"level": "warn"}}, "did you mean 'warning'?"),
        ({"pools": {"a": {"backends": [{"url": "http://h", "wieght": 1}]}}}, "did you mean 'weight'?"),
        ({"pools": {"a": {"backends": ["http://h"], "helth": {}}}}, "did you mean 'health'?"),
        ({"routes": [{"name": "r", "pool": "aa"}]}, "did you mean 'a'?"),
        ({"routes": [{"name": "r", "pool": "a", "match": {"method": []}}]}, "did you mean 'methods'?"),
    ],
)
def test_close_misspellings_get_a_suggestion(data: dict[str, Any], accepted: str) -> None:
    """Keys, words and names of pools alike."""
    assert refused_dict(**data)[0].endswith(accepted)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "http://",
        "h:80",
        "http://h:0",
        "http://h:99999",
        "http://h:",
        "http://h:x",
        "http://[::1",
        "http://[::zz]",
        "http://h/?q",
        "http://h#f",
        "http://u@h",
        "http://h h",
        "http://h\n",
        "http://ä",
        "http://-",
        "",
        None,
        7,
    ],
)
def test_urls_that_lead_nowhere_are_refused(url: object) -> None:
    """A backend's URL has http or https, a host, a port that can be, and nothing after its path."""
    (problem,) = refused_dict(pools={"a": {"backends": [{"url": url}]}})
    assert problem.startswith("pools.a.backends[0].url: a")


@pytest.mark.parametrize(
    "address", ["8080", ":8080", "h:", "h:x", "h:70000", "::1:80", "[::1]", "h h:1", 8080, None, ""]
)
def test_addresses_are_host_and_port(address: object) -> None:
    """Anything else is refused; IPv6 stands in brackets."""
    assert refused_dict(admin=address)[0].startswith("admin: host:port")


def test_addresses_that_clash() -> None:
    """The admin side has a port of its own, also when one of the two is the default; port 0 never clashes."""
    assert refused_dict(listen="127.0.0.1:9901") == [
        "listen: a port that admin (127.0.0.1:9901 unless given) does not use"
    ]
    assert refused_dict(admin="127.0.0.1:8080") == ["admin: a port that listen does not use"]
    assert refused_dict(listen=[{"address": "h:1"}, "h:1"]) == ["listen[1]: each address once"]
    both = from_dict({"listen": "h:0", "admin": "h:0", "pools": {"a": {"backends": ["http://h"]}}})
    assert both.admin == "h:0"


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/40", "example.org", 10, ""])
def test_networks_must_be_exact(network: object) -> None:
    """Bits beyond a network's length are more likely a mistake than meant: it decides who is trusted."""
    assert refused_dict(trusted_proxies=["10.0.0.0/8", network])[0].startswith(
        "trusted_proxies[1]: an address"
    )


def test_contradictions_within_a_section() -> None:
    """What was written for two keys has to fit together."""
    assert refused_dict(limits={"buffer_body": "10MiB", "buffer_total": "1MiB"}) == [
        "limits.buffer_total: a size of at least buffer_body"
    ]
    pool = {"backends": ["http://h"], "outlier": {"ejection": "10s", "max_ejection": "5s"}}
    assert refused_dict(pools={"a": pool}) == [
        "pools.a.outlier.max_ejection: a duration of at least ejection"
    ]


def test_certificates_without_checking_are_refused() -> None:
    """`ca` with `verify: off` would look safe and not be."""
    trustme = pytest.importorskip("trustme")
    with trustme.CA().cert_pem.tempfile() as ca:
        tls = {"ca": ca, "verify": False}
        (problem,) = refused_dict(pools={"a": {"backends": [{"url": "https://h", "tls": tls}]}})
    assert problem.startswith("pools.a.backends[0].tls.verify: on, because ca is given")


def test_a_route_that_takes_everything_must_be_the_last() -> None:
    """A route with nothing to narrow it ends the list; one that is narrowed may stand anywhere."""
    last = {"name": "last", "pool": "a"}
    for match in ({}, {"path": "/*"}, {"methods": [], "headers": {}, "model": None}):
        assert refused_dict(routes=[{"name": "r", "pool": "a", "match": match}, last]) == [
            "routes[0]: this route in the last place, or with a match that narrows it"
        ]
    for match in ({"path": "/v1/*"}, {"methods": ["GET"]}, {"model": "*"}, {"headers": {"a": "b"}}):
        good = {
            "pools": {"a": {"backends": ["http://h"]}},
            "routes": [{"name": "r", "pool": "a", "match": match}, last],
        }
        assert len(from_dict(good).routes) == 2


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("pools", "chat", "backends", 0, "url"), "pools.chat.backends[0].url"),
        (("pools", "llama-3.1", "policy"), 'pools["llama-3.1"].policy'),
        ((), ""),
    ],
)
def test_paths_are_dotted(path: tuple[str | int, ...], text: str) -> None:
    """Keys with other characters than a word's are quoted."""
    assert dotted(path) == text


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("${X:-1}")
_keys = st.sampled_from(
    [
        "listen",
        "admin",
        "pools",
        "routes",
        "backends",
        "url",
        "health",
        "timeout",
        "pool",
        "split",
        "match",
        "name",
    ]
) | st.text(max_size=3)
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_keys, _anything, max_size=4))
def test_any_data_is_settings_or_refused(data: dict[str, Any]) -> None:
    """No shape of data leads to another exception, and a refusal has a reason."""
    try:
        assert isinstance(from_dict(data), Settings)
    except SettingsError as error:
        assert error.problems
        assert all(problem.found and problem.accepted for problem in error.problems)
