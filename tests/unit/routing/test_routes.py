"""The first route whose conditions all hold takes a request, and what is remembered changes nothing."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.messages import RequestHead
from gateway.routing.routes import MAX_REMEMBERED, Route, Routes, models_answer

POOL = (("p", 1.0),)
WORDS = st.text(alphabet="ab", max_size=5)
PATTERNS = st.text(alphabet="ab*", min_size=1, max_size=6)
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "/b", "/ab", "/%61", "//a"])
METHODS = st.sampled_from(["GET", "POST", "PUT"])


def head(method: str = "POST", path: str = "/", fields: tuple[tuple[bytes, bytes], ...] = ()) -> RequestHead:
    found = RequestHead()
    found.method, found.path, found.target = method, path, path.encode()
    found.parts = tuple(part for name, value in fields for part in (name, b": ", value, b"\r\n"))
    return found


@given(PATTERNS, WORDS)
@settings(max_examples=400)
def test_model_patterns(pattern: str, model: str) -> None:
    """`*` is any run of characters, also none; everything else is itself."""
    assert Route("r", POOL, model=pattern).takes_model(model) is fnmatchcase(model, pattern)


@pytest.mark.parametrize("odd", [".", "[a]", "?", "a+b", "(", "\\", "^$", "a\nb", "é"])
def test_model_patterns_are_no_expressions(odd: str) -> None:
    """Characters that mean something to others mean themselves here; a line break is a character."""
    assert Route("r", POOL, model=odd).takes_model(odd)
    assert Route("r", POOL, model=odd + "*").takes_model(odd + "\n!")
    assert not Route("r", POOL, model=odd + "*").takes_model("x" + odd)


def test_no_model() -> None:
    """A route with a model takes no request without one; a route without a model takes any."""
    assert not Route("r", POOL, model="*").takes_model(None)
    assert Route("r", POOL).takes_model(None)
    assert Route("r", POOL).takes_model("x")


def test_model_patterns_take_linear_time() -> None:
    """Many stars against a name that almost fits: no backtracking from one into another."""
    route = Route("r", POOL, model="*a" * 20 + "*b")
    assert not route.takes_model("a" * 256)
    assert route.takes_model("a" * 255 + "b")


@st.composite
def any_route(draw: st.DrawFn) -> Route:
    return Route(
        draw(st.text(alphabet="xyz", min_size=1, max_size=3)),
        POOL,
        path=draw(PATHS) + draw(st.sampled_from(["", "*"])),
        methods=frozenset(draw(st.sets(METHODS, max_size=2))),
        headers=tuple(draw(st.sampled_from([(), (), ((b"x-tier", b"gold"),)]))),
        model=draw(st.none() | PATTERNS),
    )


def holds(route: Route, path: str, fields: tuple[tuple[bytes, bytes], ...]) -> bool:
    """Whether path and fields are what `route` wants."""
    lower = [(name.lower(), value) for name, value in fields]
    if not all((name.lower(), value) in lower for name, value in route.headers):
        return False
    return path.startswith(route.path[:-1]) if route.path.endswith("*") else path == route.path


FIELDS = st.sampled_from([(), ((b"X-Tier", b"gold"),), ((b"x-tier", b"lead"), (b"x-tier", b"gold"))])


@given(
    st.lists(any_route(), min_size=1, max_size=5),
    st.lists(st.tuples(METHODS, PATHS, FIELDS, st.none() | WORDS), min_size=1, max_size=6),
)
@settings(max_examples=400, deadline=None)
def test_the_first_that_holds_in_all_points(routes: list[Route], requests: list[tuple]) -> None:  # type: ignore[type-arg]
    """Compared with the rule written out; asked again and again, for what is remembered must not differ."""
    table = Routes(routes, ["p"])
    for method, path, fields, model in requests * 2:
        here = [route for route in routes if holds(route, path, fields)]
        allowed = [route for route in here if not route.methods or method in route.methods]
        try:
            candidates, needs_model = table.candidates(head(method, path, fields))
            assert needs_model is (allowed[0].model is not None)
            found: object = table.choose(candidates, model)
        except GatewayError as error:
            found = error.kind
        taking = [route for route in allowed if route.takes_model(model)]
        if taking:
            assert found is taking[0]
        elif allowed:
            assert found == ("bad_request" if model is None else "model_not_found")
        elif any(not route.headers for route in here):
            assert found == "method_not_allowed"
        else:
            assert found in ("route_not_found", "method_not_allowed")


def test_one_pool_takes_everything() -> None:
    """Without routes and with one pool no body has to be read."""
    table = Routes([], ["only"])
    candidates, needs_model = table.candidates(head("GET", "/x"))
    assert not needs_model
    assert candidates[0].pools == (("only", 1.0),)
    assert not table.lists_models("GET", "/v1/models")


def test_several_pools_are_named_by_model() -> None:
    """Without routes the body's model is the pool's name, and nothing but it."""
    table = Routes([], ["a*", "b"])
    candidates, needs_model = table.candidates(head("POST", "/v1/chat/completions"))
    assert needs_model
    assert table.choose(candidates, "b").name == "b"
    for model, kind in [("c", "model_not_found"), (None, "bad_request")]:
        with pytest.raises(GatewayError) as caught:
            table.choose(candidates, model)
        assert caught.value.kind == kind


def test_models_are_listed_where_pools_are_named_by_them() -> None:
    """GET and HEAD of the list and its entries, in OpenAI's shape; 404 for others."""
    table = Routes([], ["b", "a"])
    assert table.models == ("a", "b")
    assert table.lists_models("GET", "/v1/models")
    assert table.lists_models("HEAD", "/v1/models/a")
    assert not table.lists_models("POST", "/v1/models")
    assert not table.lists_models("GET", "/v1/modelsx")
    listed = models_answer(table.models, "/v1/models")
    assert [entry["id"] for entry in listed["data"]] == ["a", "b"]  # type: ignore[attr-defined]
    assert models_answer(table.models, "/v1/models/b")["id"] == "b"
    with pytest.raises(GatewayError) as caught:
        models_answer(table.models, "/v1/models/c")
    assert caught.value.kind == "model_not_found"


def test_memory_is_bounded() -> None:
    """Clients choose paths; neither many nor long ones are remembered without end."""
    table = Routes([Route("r", POOL)], ["p"])
    for number in range(3 * MAX_REMEMBERED):
        table.candidates(head("GET", f"/{number}"))
    table.candidates(head("GET", "/" + "x" * MAX_REMEMBERED))
    assert len(table._known) <= MAX_REMEMBERED
    assert all(len(path) <= MAX_REMEMBERED for _, path in table._known)


def test_a_refusal_is_not_remembered() -> None:
    """Each request that no route takes is refused, the second as the first."""
    table = Routes([Route("r", POOL, path="/a", methods=frozenset({"GET"}))], ["p"])
    for _ in range(2):
        for method, path, kind in [("POST", "/a", "method_not_allowed"), ("GET", "/b", "route_not_found")]:
            with pytest.raises(GatewayError) as caught:
                table.candidates(head(method, path))
            assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("path", "prefix", "target", "sent"),
    [
        ("/*", None, b"/a?b", b"/a?b"),
        ("/openai/*", "/", b"/openai/v1/x?y=/openai/", b"/v1/x?y=/openai/"),
        ("/openai/*", "/v2", b"/openai/x", b"/v2x"),
        ("/openai/*", "/v2/", b"/openai/x", b"/v2/x"),
        ("/openai*", "/", b"/openai/x", b"/x"),
        ("/openai*", "/v2/", b"/openai/%2e%2e//x", b"/v2/%2e%2e//x"),
        ("/a", "/b", b"/a", b"/b"),
        ("/a", "/b", b"/a?q=1", b"/b?q=1"),
        ("/*", "/base/", b"/x", b"/base/x"),
    ],
)
def test_prefixes(path: str, prefix: str | None, target: bytes, sent: bytes) -> None:
    """The matched part is replaced; everything behind it stays byte for byte."""
    assert Route("r", POOL, path=path, rewrite_prefix=prefix).target(target) == sent
