"""Reading what the admin side tells."""

import json

import pytest

from gateway.top.document import Strange, narrowed, only, read, read_decisions
from tests.unit.top.documents import backend, overview, pool, route


def test_counts_are_added_up() -> None:
    """Ended attempts without those whose client left; failures; who waits; who is well; cache."""
    outcomes = {"ok": 5, "client_error": 1, "server_error": 1, "reset": 1, "overloaded": 1, "cancelled": 9}
    its = pool(
        "p",
        backend("a", outcomes=outcomes),
        backend("b", state="starting", excluded="full: 1 of 1 in flight"),
        backend("c", state="draining", excluded="draining: drained by hand"),
        queue={"high": 1, "low": 2},
    )
    cached = route("r", cache={"hit": 1, "stale": 2, "coalesced": 3, "miss": 4, "bypass": 5}, in_flight=2)
    found = overview(routes=[cached, route("s", in_flight=5)], pools=[its])
    (read_pool,) = found.pools
    assert (read_pool.backends[0].ended, read_pool.backends[0].failed) == (9, 2)
    assert (read_pool.queued, read_pool.well) == (3, 2)
    assert [one.reason for one in read_pool.backends] == ["well", "full: 1 of 1 in flight", "drained by hand"]
    assert (found.routes[0].given, found.routes[0].asked, found.in_flight) == (6, 15, 7)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"status": "ok"}', b'{"at_s": "now"}', b"\xff\xfe"], ids=repr
)
def test_what_is_none_is_told(body: bytes) -> None:
    """Pages, other JSON, noise; never a half-read document."""
    with pytest.raises(Strange):
        read(body)
    with pytest.raises(Strange):
        read_decisions(body)


def test_one_pool_of_several() -> None:
    """Of the document read and of the one that is printed; all else stays."""
    found = overview(at_s=4.0, routes=[route("r")], pools=[pool("a"), pool("b")], cache={"entries": 3})
    b = found.pool("b")
    assert b is not None
    assert [one.name for one in narrowed(found, b).pools] == ["b"]
    assert (narrowed(found, b).at_s, narrowed(found, b).cache, narrowed(found, b).routes) == (
        4.0, found.cache, found.routes,
    )  # fmt: skip
    assert found.pool("c") is None
    data = json.loads('{"at_s": 1, "pools": [{"name": "a"}, {"name": "b"}], "new": true}')
    assert only(data, "b") == {"at_s": 1, "pools": [{"name": "b"}], "new": True}
