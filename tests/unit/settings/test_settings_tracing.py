"""Is tracing off unless it is written, and are the collector's credentials in no text?"""

from typing import Any

import pytest

from gateway.settings.load import SettingsError, from_dict
from gateway.settings.schema import Settings

URL = "http://127.0.0.1:4318/v1/traces"


def made(tracing: Any, environ: dict[str, str] | None = None) -> Settings:
    return from_dict({"pools": {"p": {"backends": ["http://127.0.0.1:1"]}}, "tracing": tracing}, environ)


def test_it_is_off_unless_written() -> None:
    """No block, no spans."""
    assert from_dict({"pools": {"p": {"backends": ["http://127.0.0.1:1"]}}}).tracing is None


def test_an_address_is_enough() -> None:
    """All requests, as `gateway`, for five seconds an export."""
    tracing = made({"otlp": URL}).tracing
    assert tracing is not None
    assert (tracing.otlp, tracing.sample, tracing.headers) == (URL, 1.0, {})
    assert (tracing.service_name, tracing.timeout) == ("gateway", 5.0)


def test_credentials_come_from_the_environment() -> None:
    """They are where they are needed, and in no representation."""
    fields = {"Authorization": "Bearer ${TOKEN}"}
    settings = made({"otlp": URL, "sample": "10%", "headers": fields}, {"TOKEN": "secret-1"})
    assert settings.tracing is not None and settings.tracing.sample == 0.1
    assert settings.tracing.headers == {"authorization": "Bearer secret-1"}
    assert "secret-1" not in repr(settings)


@pytest.mark.parametrize(
    ("tracing", "where"),
    [
        ({}, "tracing.otlp"),
        ({"otlp": "collector:4318"}, "tracing.otlp"),
        ({"otlp": "http://user:secret-1@collector/v1/traces"}, "tracing.otlp"),
        ({"otlp": URL, "sample": "200%"}, "tracing.sample"),
        ({"otlp": URL, "timeout": 0}, "tracing.timeout"),
        ({"otlp": URL, "headers": {"a b": "c"}}, "tracing.headers"),
        ({"otlp": URL, "headers": ["a: b"]}, "tracing.headers"),
        ({"otlp": URL, "sampling": 1}, "tracing.sampling"),
    ],
)
def test_mistakes_are_shown_where_they_are(tracing: dict[str, Any], where: str) -> None:
    """By the key."""
    with pytest.raises(SettingsError) as caught:
        made(tracing)
    assert where in str(caught.value)
