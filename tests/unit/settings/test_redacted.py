"""Is the configuration shown whole, and without what must stay secret?"""

import json
from typing import Any

import pytest

from gateway.settings.describe import kind_in, models
from gateway.settings.load import config_hash, from_dict
from gateway.settings.redacted import HIDDEN, OPEN, SHOWN, WRITTEN, without_secrets

PLAIN: dict[str, Any] = {
    "listen": ["127.0.0.1:8080", "[::1]:8081"],
    "trusted_proxies": ["10.0.0.0/8"],
    "limits": {"max_body": "32MiB"},
    "cache": {"max_size": "1500B", "max_entry": "1KB", "ttl": "90s", "audit": {"share": "2.5%"}},
    "pools": {
        "chat": {
            "backends": [{"url": "http://10.0.0.1:8000", "labels": {"zone": "b"}, "max_in_flight": 4}],
            "hedging": {"after": "p99.9"},
            "concurrency": {"limit": "auto"},
            "health": {"path": None},
        }
    },
    "routes": [{"name": "r", "match": {"model": "llama-*"}, "pool": "chat", "cache": {"ttl": "250ms"}}],
}


def test_without_secrets_it_is_the_configuration() -> None:
    """Read as a file it gives the same settings: nothing is missing and every unit is right."""
    settings = from_dict(PLAIN)
    again = from_dict(json.loads(json.dumps(without_secrets(settings))))
    assert config_hash(again) == config_hash(settings)


def test_secrets_are_left_out() -> None:
    """Salt, values of header fields, also of those sent to a collector; user, password of a redis URL."""
    data = {
        **PLAIN,
        "cache": {
            "store": "redis",
            "salt": "s3cret-a",
            "redis": {"url": "rediss://s3cret-b:s3cret-c@r:6379/0"},
        },
        "routes": [{"name": "r", "match": {"headers": {"x-key": "s3cret-d"}}, "pool": "chat"}],
        "tracing": {"otlp": "https://otel:4318/v1/traces", "headers": {"authorization": "s3cret-e"}},
    }
    shown = without_secrets(from_dict(data))
    assert "s3cret" not in json.dumps(shown)
    assert shown["cache"]["salt"] == HIDDEN  # type: ignore[index]
    assert shown["cache"]["redis"]["url"] == "rediss://r:6379/0"  # type: ignore[index]
    assert shown["routes"][0]["match"]["headers"] == {"x-key": HIDDEN}  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis://:s3@r", "redis://r"),
        ("redis://r:6379/0?password=s3", HIDDEN),
        ("redis://:s3/cr@et@r:6379", HIDDEN),
        ("redis://:s3#cr@r", HIDDEN),
        ("unix:///run/redis.sock?password=s3", HIDDEN),
    ],
)
def test_redis_urls(url: str, shown: str) -> None:
    """Shown where scheme, server and database can be told for sure, else hidden altogether."""
    settings = from_dict({**PLAIN, "cache": {"store": "redis", "redis": {"url": url}}})
    assert without_secrets(settings)["cache"]["redis"]["url"] == shown  # type: ignore[index]


def test_every_key_with_text_was_thought_about() -> None:
    """What is hidden is exactly this; a new key with text of its own is hidden until it is listed."""
    hidden = set()
    for model in models():
        for key, field in model.model_fields.items():
            kind, name = kind_in(field), f"{model.__name__}.{key}"
            known = kind is None or kind.label in OPEN | WRITTEN | {"number", "whole number", "redis URL"}
            if not known and not kind.label.startswith("`") and name not in SHOWN:  # type: ignore[union-attr]
                hidden.add(name)
    assert hidden == {"Cache.salt", "Match.headers", "Tracing.headers"}
