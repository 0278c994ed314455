"""A backend knows where it is and tells how it fares."""

import pytest

from gateway.pool.backend import Backend, BackendSpec, parse_url
from gateway.pool.ewma import PeakEwma


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "prefix"),
    [
        ("http://10.0.0.1:8000", "10.0.0.1", 8000, b"10.0.0.1:8000", ""),
        ("http://gpu.example", "gpu.example", 80, b"gpu.example", ""),
        ("https://gpu.example:443/", "gpu.example", 443, b"gpu.example", ""),
        ("https://gpu.example:80/models/a/", "gpu.example", 80, b"gpu.example:80", "/models/a"),
        ("http://[::1]:9001", "::1", 9001, b"[::1]:9001", ""),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, authority: bytes, prefix: str) -> None:
    """Default ports are left out of the Host header, IPv6 keeps its brackets there."""
    address = parse_url(url)
    assert (address.host, address.port, address.authority, address.prefix) == (host, port, authority, prefix)


@pytest.mark.parametrize("url", ["10.0.0.1:8000", "ftp://a", "http://", "http://me:pw@a", "http://a?x=1"])
def test_other_urls_are_refused_with_what_is_accepted(url: str) -> None:
    """The message names the URL."""
    with pytest.raises(ValueError, match="backend url"):
        parse_url(url)


def test_a_name_is_made_of_host_and_port() -> None:
    """Without a name of its own a backend is called by its address."""
    assert Backend("chat", BackendSpec("http://[::1]:9001/v2")).name == "[::1]:9001/v2"
    assert Backend("chat", BackendSpec("http://a", name="gpu-1")).name == "gpu-1"


@pytest.mark.parametrize(
    "spec", [BackendSpec("http://a", weight=0.0), BackendSpec("http://a", max_in_flight=0)]
)
def test_impossible_settings_are_refused(spec: BackendSpec) -> None:
    """A weight of 0 would divide by zero, a limit of 0 would be a backend that never works."""
    with pytest.raises(ValueError, match="must be"):
        Backend("chat", spec)


def test_repr_says_how_it_fares() -> None:
    """Name, state, load and latency on one line."""
    backend = Backend("chat", BackendSpec("http://a", name="gpu-1"))
    assert repr(backend) == "<Backend gpu-1 up, 0 in flight, never measured>"
    backend.in_flight = 3
    backend.latency.observe(0.041, 1.0)
    assert repr(backend) == "<Backend gpu-1 up, 3 in flight, 41 ms>"


def test_latency_read_by_policies_is_that_of_the_estimate() -> None:
    """The written-out reading equals `value_at` toward the pool's typical latency, at every age."""
    backend = Backend("chat", BackendSpec("http://a"))
    assert backend.latency_s(0.0) is None
    backend.latency.observe(4.0, 0.0)
    assert backend.latency_s(100.0) == 4.0
    peer = PeakEwma()
    peer.observe(0.5, 0.0)
    backend.typical.refresh([peer], 0.0)
    for now in (0.0, 0.1, 0.3, 5.0, 100.0):
        assert backend.latency_s(now) == backend.latency.value_at(now, toward=0.5)


def test_a_state_nobody_probes_is_up() -> None:
    """With no active check a backend is up from the beginning, and says why."""
    backend = Backend("chat", BackendSpec("http://a"))
    assert (backend.state, backend.why) == ("up", "no active check")
