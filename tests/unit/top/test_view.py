"""What keys do: selecting, sorting, filtering, pausing, draining with a question first."""

import pytest

from gateway.top.document import Decision
from gateway.top.history import History
from gateway.top.view import MAX_DECISIONS, Change, Quit, View
from tests.unit.top.documents import backend, overview, pool


@pytest.fixture
def view() -> View:
    made = View("http://gateway.test:9901", History())
    chat = pool("chat", backend("a", latency_s=0.1), backend("b", latency_s=0.3, state="draining"))
    made.heard(overview(at_s=1.0, pools=[chat, pool("embed", backend("a"), backend("c"))]))
    return made


def press(view: View, *keys: str) -> Quit | Change | None:
    done = None
    for key in keys:
        done = view.key(key)
    return done


def names(view: View) -> list[list[str]]:
    return [[row.backend.name for row in group] for group in view.groups()]


def test_quitting(view: View) -> None:
    """By q, whatever is shown."""
    assert press(view, "q") == press(view, "d", "q") == Quit()


def test_selecting(view: View) -> None:
    """Up and down over all pools, not beyond the ends; backends of one name in two pools are two."""
    chosen = []
    for key in ("up", "down", "down", "j", "down", "k", "home", "end"):
        press(view, key)
        row = view.chosen()
        assert row is not None
        chosen.append(row.key)
    a, b, other, c = ("chat", "a"), ("chat", "b"), ("embed", "a"), ("embed", "c")
    assert chosen == [a, b, other, c, c, other, a, c]


def test_the_selection_stays_with_its_backend(view: View) -> None:
    """Whatever the order is, and until the backend has gone."""
    press(view, "down", *["s"] * 7)  # by latency
    assert (view.sort, names(view)[0]) == ("latency", ["b", "a"])
    row = view.chosen()
    assert row is not None
    assert row.key == ("chat", "b")
    view.heard(overview(at_s=2.0, pools=[pool("chat", backend("a"))]))
    row = view.chosen()
    assert row is not None
    assert row.key == ("chat", "a")


def test_draining_asks_first(view: View) -> None:
    """Nothing but y does it; who drains already is undrained."""
    assert press(view, "x") is None
    assert view.asking == Change("chat", "a", "drain")
    for no in ("n", "enter", "x", "escape", "q"):
        assert press(view, no) is None
        assert (view.asking, view.said) == (None, "a was left as it is")
        press(view, "x")
    assert press(view, "y") == Change("chat", "a", "drain")
    assert view.asking is None
    assert press(view, "down", "x", "y") == Change("chat", "b", "undrain")


def test_the_question_is_about_who_was_selected(view: View) -> None:
    """Even if the order changes before it is answered."""
    press(view, *["s"] * 7, "r", "x")
    asked = view.asking
    assert asked == Change("chat", "a", "drain")
    chat = pool("chat", backend("a", latency_s=9.0), backend("b", latency_s=0.3))
    view.heard(overview(at_s=2.0, pools=[chat]))
    assert press(view, "y") == asked


def test_only_what_is_seen_is_drained(view: View) -> None:
    """Not from another panel."""
    assert press(view, "d", "x") is None
    assert view.asking is None
    empty = View("http://gateway.test:9901", History())
    assert press(empty, "x", "down", "f") is None
    assert (empty.asking, empty.groups()) == (None, [])


def test_filtering_by_pool(view: View) -> None:
    """One after the other, then all; Esc shows all."""
    seen = []
    for key in ("f", "f", "f", "tab", "escape"):
        press(view, key)
        seen.append(view.pool)
    assert seen == ["chat", "embed", None, "chat", None]
    press(view, "f", "f")
    assert names(view) == [["a", "c"]]


def test_sorting_goes_round(view: View) -> None:
    """Forth and back through all columns; r turns the order round until another is chosen."""
    press(view, "s")
    assert view.sort == "state"
    press(view, "left", "left", "r")
    assert (view.sort, view.backwards) == ("score", True)
    press(view, "right")
    assert (view.sort, view.backwards) == ("name", False)


def test_pausing_stands_still(view: View) -> None:
    """Figures stay as they are; that the gateway is there is noticed all the same."""
    press(view, "p")
    view.history.failed("gone", 1.0)
    view.heard(overview(at_s=2.0, pools=[]))
    view.decided([Decision("1")])
    assert (len(names(view)), view.decisions, view.history.silence) == (2, [], None)
    press(view, "p")
    view.heard(overview(at_s=3.0, pools=[]))
    assert names(view) == []


def test_decisions_are_known_once() -> None:
    """The newest first, at most so many; those told again after a break are not shown twice."""
    view = View("http://gateway.test:9901", History())

    def decision(n: int) -> Decision:
        return Decision(f"r{n}", "t")

    view.decided([decision(2), decision(1)])
    view.decided([decision(3), decision(2), decision(1)])
    assert [one.request_id for one in view.decisions] == ["r3", "r2", "r1"]
    for n in range(4, 2 * MAX_DECISIONS):
        view.decided([decision(n)])
    assert len(view.decisions) == MAX_DECISIONS
    assert view.decisions[0] == decision(2 * MAX_DECISIONS - 1)


def test_panels(view: View) -> None:
    """A key shows one, again or Esc goes back; scrolling there selects nobody."""
    for key, panel in (("d", "decisions"), ("t", "routes"), ("question_mark", "help")):
        press(view, key)
        assert view.panel == panel
        press(view, "down", "pagedown")
        assert (view.offset > 0, view.selected) == (True, None)
        press(view, key)
        assert (view.panel, view.offset) == ("backends", 0)
    press(view, "d", "escape")
    assert view.panel == "backends"
