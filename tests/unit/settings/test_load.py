"""From a file to settings: defaults, short forms, notations."""

from pathlib import Path

import pytest

from gateway.settings.load import SettingsError, config_hash, from_dict, from_text, load

SMALLEST = "pools: {default: {backends: [http://127.0.0.1:9001, http://127.0.0.1:9002]}}"


def test_the_smallest_file_has_every_default() -> None:
    """Two URLs are enough; the defaults are the documented ones, in seconds, bytes and shares."""
    settings = from_text(SMALLEST, {})
    pool = settings.pools["default"]
    assert [listener.address for listener in settings.listen] == ["0.0.0.0:8080"]
    assert (settings.admin, settings.log.level, settings.log.access) == ("127.0.0.1:9901", "info", "json")
    assert settings.limits.model_dump() == {
        "max_body": 64 << 20,
        "buffer_body": 8 << 20,
        "buffer_total": 512 << 20,
        "max_header": 32 << 10,
        "max_connections": 10_000,
        "header_timeout": 10.0,
        "body_timeout": 30.0,
        "keepalive_timeout": 75.0,
    }
    assert (settings.shutdown.drain, settings.routes, settings.trusted_proxies) == (30.0, (), ())
    assert (pool.policy, pool.panic_below) == ("least_latency", 0.5)
    assert [b.name for b in pool.backends] == ["127.0.0.1:9001", "127.0.0.1:9002"]
    assert (pool.backends[0].weight, pool.backends[0].max_in_flight) == (1.0, None)
    assert tuple(pool.health.model_dump().values()) == ("/health", 5.0, 2.0, 2, 3, "200-399", None)
    assert pool.outlier.model_dump() == {
        "consecutive_failures": 5,
        "failure_ratio": 0.5,
        "min_requests": 20,
        "window": 30.0,
        "ejection": 10.0,
        "max_ejection": 300.0,
        "max_ejected": 0.5,
        "enforce": True,
        "degraded": 0.3,
    }
    assert pool.concurrency.model_dump() == {"limit": None, "queue": 1000, "queue_timeout": 30.0}
    assert (pool.slow_start, pool.hedging) == (30.0, None)
    assert pool.affinity.model_dump() == {
        "header": None,
        "field": None,
        "prefix": 1024,
        "balance": 1.25,
        "max_penalty": 2.0,
    }
    assert tuple(pool.timeouts.model_dump().values()) == (2.0, 120.0, 60.0, 900.0)
    assert tuple(pool.retries.model_dump().values()) == (
        2,
        0.2,
        10,
        ("connect", "reset", "429", "502", "503", "504"),
    )
    assert tuple(pool.keepalive.model_dump().values()) == (60.0, 64)


def test_settings_cannot_be_changed() -> None:
    """Whoever holds settings can rely on them."""
    with pytest.raises(ValueError, match="frozen"):
        from_text(SMALLEST, {}).pools["default"].policy = "random"


def test_listeners_are_one_address_a_list_or_mappings() -> None:
    """The three ways to write `listen` mean the same."""
    for listen in ("127.0.0.1:80", ["127.0.0.1:80"], [{"address": "127.0.0.1:80"}]):
        settings = from_dict({"listen": listen, "pools": {"a": {"backends": ["http://h"]}}})
        assert [listener.address for listener in settings.listen] == ["127.0.0.1:80"]


def test_backends_without_names_get_the_shortest_free_one() -> None:
    """host:port, with the path or a number where that is taken, and never a name that was given."""
    urls = [
        "http://h",
        "http://h/a/",
        "http://h/a",
        "http://h/a",
        "https://[::1]",
        {"url": "http://x:1", "name": "h:80"},
    ]
    pool = from_dict({"pools": {"p": {"backends": urls}}}).pools["p"]
    assert [b.name for b in pool.backends] == [
        "h:80#2",
        "h:80/a",
        "h:80/a#2",
        "h:80/a#3",
        "[::1]:443",
        "h:80",
    ]
    assert pool.backends[1].url == "http://h/a"


def test_two_pools_may_use_the_same_backend() -> None:
    """A backend is named within its pool."""
    settings = from_dict({"pools": {p: {"backends": ["http://h:1"]} for p in ("a", "b")}})
    assert [pool.backends[0].name for pool in settings.pools.values()] == ["h:1", "h:1"]


@pytest.mark.parametrize(
    ("word", "on"),
    [(word, True) for word in ("on", "ON", "On", "true", "True", "yes", "'on'", '"true"')]
    + [(word, False) for word in ("off", "OFF", "Off", "false", "False", "no", "'off'", '"false"')],
)
def test_switches_take_words_with_and_without_quotes(word: str, on: bool) -> None:
    """on, true and yes are the same, and so are their opposites, quoted or not."""
    route = f"routes: [{{name: r, pool: default, replayable: {word}}}]"
    assert from_text(f"{SMALLEST}\n{route}", {}).routes[0].replayable is on


@pytest.mark.parametrize("off", ["off", "'off'", "false"])
def test_off_is_a_word_where_words_are_chosen(off: str) -> None:
    """`access: off` works as YAML 1.1's boolean, as 1.2's text and as `false`."""
    assert from_text(f"{SMALLEST}\nlog: {{access: {off}}}", {}).log.access == "off"


def test_words_like_no_stay_text_in_labels() -> None:
    """A zone called `no` is not false, nor is the key `on` true."""
    settings = from_text(
        "pools: {a: {backends: [{url: http://h, labels: {zone: no, on: off, rack: 7}}]}}", {}
    )
    assert settings.pools["a"].backends[0].labels == {"zone": "no", "on": "off", "rack": "7"}


def test_the_key_on_is_a_key() -> None:
    """`retries.on`, which YAML 1.1 would make the key true; statuses are kept as text."""
    settings = from_text(
        "pools: {a: {backends: [http://h], retries: {on: [reset, timeout, 503, '500']}}}", {}
    )
    assert settings.pools["a"].retries.on == ("reset", "timeout", "503", "500")


def test_path_null_turns_active_checks_off() -> None:
    """`null` is a value of its own, not the default."""
    assert (
        from_text("pools: {a: {backends: [http://h], health: {path: null}}}", {}).pools["a"].health.path
        is None
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [("200", "200"), ("'200'", "200"), ("200 - 299", "200-299"), ("'200,204'", "200,204")],
)
def test_expected_statuses(written: str, meant: str) -> None:
    """One status, a range, or several."""
    settings = from_text(f"pools: {{a: {{backends: [http://h], health: {{expect: {written}}}}}}}", {})
    assert settings.pools["a"].health.expect == meant


def test_defaults_give_way_to_what_was_written() -> None:
    """A short interval or a small body limit needs no second key to be allowed."""
    settings = from_text(
        "pools: {a: {backends: [http://h], health: {interval: 100ms}, outlier: {ejection: 1h}}}\n"
        "limits: {max_body: 1KiB}",
        {},
    )
    assert settings.pools["a"].health.timeout == 0.1
    assert settings.pools["a"].outlier.max_ejection == 3600.0
    assert (settings.limits.max_body, settings.limits.buffer_body) == (1024, 1024)


def test_routes_are_normalised() -> None:
    """Methods are upper case, header names lower case, and partial timeouts stay partial."""
    route = from_dict(
        {
            "pools": {"a": {"backends": ["http://h"]}, "b": {"backends": ["http://h"]}},
            "routes": [
                {
                    "name": "r",
                    "match": {
                        "path": "/v1/*",
                        "methods": ["post"],
                        "headers": {"X-Tier": "gold"},
                        "model": "m*",
                    },
                    "split": [{"pool": "a", "weight": 90}, {"pool": "b"}],
                    "rewrite": {"prefix": "/"},
                    "timeouts": {"total": "60s"},
                }
            ],
        }
    ).routes[0]
    assert (route.match.methods, route.match.headers) == (("POST",), {"x-tier": "gold"})
    assert [(part.pool, part.weight) for part in route.split or ()] == [("a", 90.0), ("b", 1.0)]
    assert (route.timeouts.total, route.timeouts.connect, route.pool) == (60.0, None, None)


def test_a_file_is_read_with_its_name_in_errors(tmp_path: Path) -> None:
    """A byte order mark does no harm; errors begin with the path that was given."""
    file = tmp_path / "g.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert load(file, {}).pools
    file.write_text("nope: 1\n" + SMALLEST)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{file}:1: nope: found an unknown key")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8, too large: each says so."""
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.yaml"
    latin.write_bytes(b"# ok\n# \xe9\n")
    large.write_bytes(b"#" * (1 << 20) + b"#")
    for file, says in (
        (tmp_path / "none.yaml", "no readable file"),
        (tmp_path, "no readable file"),
        (latin, f"{latin}:2: found bytes that are not UTF-8"),
        (large, "more than 1 MiB"),
    ):
        with pytest.raises(SettingsError, match="accepted") as caught:
            load(file, {})
        assert says in str(caught.value)


def test_a_ca_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """A relative `ca` starts at the file's folder; a file without certificates is refused."""
    trustme = pytest.importorskip("trustme")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    file = tmp_path / "g.yaml"
    file.write_text("pools: {a: {backends: [{url: 'https://h', tls: {ca: ca.pem}}]}}")
    tls = load(file, {}).pools["a"].backends[0].tls
    assert (tls.ca, tls.verify) == (str(tmp_path / "ca.pem"), True)
    for name in ("empty.pem", "missing.pem", "."):
        file.write_text(f"pools: {{a: {{backends: [{{url: 'https://h', tls: {{ca: {name}}}}}]}}}}")
        with pytest.raises(SettingsError, match=r"backends\[0\]\.tls\.ca: .*PEM"):
            load(file, {})


def test_the_hash_changes_with_the_settings_only() -> None:
    """Comments, order and notation leave the hash as it is; a value changes it."""
    one = from_text("listen: 127.0.0.1:80\n" + SMALLEST, {})
    same = from_text(
        f"# comment\n{SMALLEST}\nlisten: [{{address: 127.0.0.1:80}}]\nshutdown: {{drain: 30000ms}}", {}
    )
    other = from_text(f"{SMALLEST}\nlisten: 127.0.0.1:81", {})
    assert config_hash(one) == config_hash(same) != config_hash(other)
    assert len(config_hash(one)) == 12
    assert int(config_hash(one), 16) >= 0
