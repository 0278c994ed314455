"""Which requests are taken for those of a strange page?"""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.admin.guard import foreign, is_loopback

OWN = "127.0.0.1:9901"


def why(path: str = "/api/live", host: str = OWN, origin: str | None = None, loopback: bool = True) -> str:
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    return foreign(make_mocked_request("GET", path, headers=headers), loopback)


def test_own_pages_and_tools_pass() -> None:
    """curl and Prometheus send no origin; the console's own is the address it came from."""
    assert why() == ""
    assert why(origin=f"http://{OWN}") == ""
    assert why(host="localhost:9901", origin="http://localhost:9901") == ""
    assert why(host="gateway.internal", origin="http://gateway.internal", loopback=False) == ""


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8000", "http://[::1", ""]
)
def test_another_origin_is_refused(origin: str) -> None:
    """On loopback or not, for streams and everything else."""
    assert "another origin" in why(origin=origin)
    assert "another origin" in why("/metrics", origin=origin, loopback=False)


def test_a_rebound_name_reads_nothing_of_the_api() -> None:
    """A page whose own name points here sends no origin with a GET: its host gives it away."""
    assert "local" in why(host="evil.example:9901")
    assert "local" in why(host="evil.example:9901", origin="http://evil.example:9901")
    assert "local" in why(host="127.0.0.1.evil.example")
    assert "local" in why(host="[::1")


def test_figures_are_read_by_any_name() -> None:
    """A scraper on the same machine may know it by a name of its own."""
    assert why("/metrics", host="gateway.local:9901") == ""


def test_local_names() -> None:
    """Addresses of the loopback network and names that can only be local."""
    assert all(map(is_loopback, ("localhost", "a.localhost", "127.8.0.1", "::1")))
    assert not any(map(is_loopback, ("", "evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0")))
