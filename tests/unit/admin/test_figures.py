"""Does a pool's picture show its figures, and none of its secrets?"""

import json
import random

import msgspec
import pytest

from gateway.admin.figures import bare_url, pool_figures
from gateway.admin.page import page
from gateway.balancing.least_requests import LeastRequests
from gateway.messages import Outcome
from gateway.pool.backend import BackendSpec
from gateway.pool.pool import Pool
from tests.unit.pool.asking import take


def make_pool() -> Pool:
    specs = [
        BackendSpec("http://10.0.0.1:8000", name="a", weight=2.0, labels={"zone": "x"}, max_in_flight=4),
        BackendSpec("http://10.0.0.2:8000", name="b"),
    ]
    return Pool("chat", specs, "least_requests", LeastRequests(), random.Random(1))


def test_figures_of_a_pool_at_work():
    """Counts, latency, score and terms are those of the pool; who is left out says why and has no score."""
    pool = make_pool()
    lease = take(pool, 1.0)
    lease.first_body_byte(1.25)
    lease.close(Outcome.OK, 2.0)
    used = lease.backend.name
    pool.drain("b" if used == "a" else "a", 2.0)
    figures = pool_figures(pool, 2.0)
    by_name = {backend["name"]: backend for backend in figures["backends"]}
    busy, idle = by_name[used], by_name["b" if used == "a" else "a"]
    assert (figures["name"], figures["policy"], figures["panic"]) == ("chat", "least_requests", False)
    assert busy["state"] == "up" and busy["excluded"] is None and busy["score"] is not None
    assert busy["latency_s"] == 0.25 and busy["outcomes"]["ok"] == 1 and busy["selected"] == 1
    assert busy["first_byte"] == {"count": 1, "sum_s": 0.25}
    nothing = {"count": 0, "sum_s": 0}
    told = {"prompt": 7, "cached": 0, "completion": 0, "first": nothing, "gaps": nothing}
    lease.backend.tokens.prompt = 7
    again = pool_figures(pool, 2.0)["backends"]
    assert next(backend["tokens"] for backend in again if backend["name"] == used) == told
    assert busy["duration"] == {"count": 1, "sum_s": 1.0}
    assert idle["state"] == "draining" and idle["score"] is None and idle["terms"] is None
    assert "drained by an operator" in idle["excluded"]
    assert by_name["a"]["labels"] == {"zone": "x"}
    assert (by_name["a"]["weight"], by_name["a"]["max_in_flight"]) == (2.0, 4)
    assert (by_name["a"]["limit"], by_name["b"]["limit"]) == (4, None)
    assert by_name["b"]["max_in_flight"] is None
    assert (idle["slowness"], idle["degraded"], idle["resting_s"]) == (1.0, False, 0.0)
    assert busy["slowness"] == round(pool.backend(used).slowness(2.0), 9)
    assert (figures["hedges"], figures["queued"]) == ({}, {"count": 0, "sum_s": 0.0})
    assert figures["queue"] == {"high": 0, "normal": 0, "low": 0}
    assert json.loads(msgspec.json.encode(figures)) == figures


def test_an_ejection_that_is_over_is_not_shown():
    """The picture is of now, though no request has asked for a backend since."""
    pool = make_pool()
    pool.eject(pool.backend("a"), 1.0)
    assert pool_figures(pool, 1.0)["backends"][0]["state"] == "ejected"
    assert pool_figures(pool, 10_000.0)["backends"][0]["state"] == "up"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://10.0.0.1:8000", "http://10.0.0.1:8000"),
        ("https://user:secret@host/v1?key=secret#secret", "https://host/v1"),
        ("http://secret@[::1]:8000/p", "http://[::1]:8000/p"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    """User, password, query and fragment stay inside."""
    assert bare_url(url) == shown


def test_the_page_escapes_what_it_shows():
    """A reason with markup in it is text; nothing on the page comes from elsewhere or runs."""
    html = page("1.0<b>", False, "<script>alert(1)</script>")
    assert "<script" not in html and "1.0&lt;b&gt;" in html and "&lt;script&gt;" in html
    assert "http:" not in html and "https:" not in html and "src=" not in html and "style>" not in html
    assert "not ready: " in html and "not ready" not in page("1.0", True, "ready")
