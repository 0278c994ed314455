"""Who has seen how much of a prompt, and what everybody has anyway."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.fingerprints import EVIDENCE, HOLDERS, Fingerprints

MANY: tuple[str, ...] = ()  # more backends than a fingerprint has holders


def prompt(*blocks: str) -> tuple[int, ...]:
    """Fingerprints of a prompt of these blocks."""
    return tuple(hash(blocks[: depth + 1]) for depth in range(len(blocks)))


def test_the_part_that_was_seen() -> None:
    """Of four blocks two were sent to a, three to b, none to c; of another prompt none to anybody."""
    table = Fingerprints(100)
    table.record(prompt("1", "2"), "a")
    table.record(prompt("1", "2", "3"), "b")
    assert table.matches(prompt("1", "2", "3", "4"), 10, MANY) == {"a": 0.5, "b": 0.75}
    assert table.matches(prompt("2", "1"), 10, MANY) == {}
    assert table.matches((), 10, MANY) == {}


def test_the_last_holders_are_remembered() -> None:
    """No more than three, those that had it last."""
    table = Fingerprints(100)
    for name in ("a", "b", "c", "a", "d"):
        table.record(prompt("1"), name)
    assert table.matches(prompt("1"), 10, MANY) == dict.fromkeys("dac", 1.0)
    assert HOLDERS == 3


def test_what_all_of_a_few_have_is_left_out() -> None:
    """Both of two have the first block: what counts is the one only b has, of those beyond the first."""
    table = Fingerprints(100)
    table.record(prompt("1", "2"), "a")
    table.record(prompt("1", "3"), "b")
    assert table.matches(prompt("1", "3", "4"), 2, ("a", "b")) == {"b": 0.5}
    assert table.matches(prompt("1", "9"), 2, ("a", "b")) == {}
    # One that is gone does not make them all.
    assert table.matches(prompt("1", "9"), 2, ("a", "c")) == {"a": 0.5, "b": 0.5}


def test_a_system_prompt_ties_nobody() -> None:
    """After some requests that began alike and went on differently, only what came after it counts; whatever
    was asked before that time, and whatever was only asked again.
    """
    table = Fingerprints(10_000)
    for number in range(1000):
        table.record(prompt("before", str(number)), "a")
    for number in range(EVIDENCE + 1):
        table.record(prompt("you are", "helpful", str(number), "more"), "a")
        for _ in range(100):
            table.record(prompt("again"), "a")
    assert table.matches(prompt("you are", "helpful", "another"), 4, MANY) == {}
    assert table.matches(prompt("you are", "helpful", "3", "more"), 4, MANY) == {"a": 1.0}


def test_a_document_among_many_ties() -> None:
    """Twenty documents with twenty different questions each, in four backends: each stays where it is."""
    table = Fingerprints(10_000)
    for question in range(20):
        for document in range(20):
            table.record(prompt(f"doc {document}", "page 2", f"{question}"), f"b{document % 4}")
    assert table.matches(prompt("doc 7", "page 2", "new"), 4, MANY) == {"b3": 2 / 3}


def test_a_beginning_spreads_as_far_as_its_share_goes() -> None:
    """Two system prompts share 8 backends: with one or three holders each is wanted on more. With 4
    backends it is wanted on two; three have it, and it ties to those.
    """
    table = Fingerprints(10_000)
    for number in range(40):
        table.record(prompt("one", str(number)), "a")
        table.record(prompt("two", str(number)), "b")
    assert table.matches(prompt("one", "new"), 8, MANY) == {}
    for name in ("b", "c"):
        table.record(prompt("one"), name)
    assert table.matches(prompt("one", "new"), 8, MANY) == {}
    assert table.matches(prompt("one", "new"), 4, MANY) == dict.fromkeys("abc", 0.5)


def test_a_growing_conversation_never_becomes_common() -> None:
    """Hundreds of turns, each with all before it, and the only traffic there is: still tied to a."""
    table = Fingerprints(10_000)
    blocks = ["hello"]
    table.record(prompt(*blocks), "a")
    for turn in range(1, 200):
        blocks.append(str(turn))
        assert table.matches(prompt(*blocks), 4, MANY) == {"a": turn / (turn + 1)}
        table.record(prompt(*blocks), "a")


def test_the_table_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    """Of 40 prompts of five blocks the last fit; one asked for again and again stays as it was."""
    table = Fingerprints(50)
    table.record(prompt("kept", "too"), "b")
    for number in range(40):
        table.record(prompt(*(f"{number} {block}" for block in range(5))), "a")
        table.record(prompt("kept", "too"), "c")
        assert len(table) <= 50
    assert table.matches(prompt("kept", "too"), 10, MANY) == {"b": 1.0, "c": 1.0}
    assert table.matches(prompt("39 0"), 10, MANY) == {"a": 1.0}
    assert table.matches(prompt("29 0"), 10, MANY) == {}


def test_the_longest_beginnings_go_first() -> None:
    """Of a prompt that no longer fits its beginning is kept: it is what another prompt may share."""
    table = Fingerprints(3)
    table.record(prompt("1", "2", "3", "4", "5"), "a")
    assert table.matches(prompt("1", "2", "3", "4", "5"), 10, MANY) == {"a": 0.6}


@given(seed=st.integers(), most=st.integers(1, 30))
def test_asking_changes_nothing(seed: int, most: int) -> None:
    """Whatever was recorded: twice the same answer, parts above 0 and up to 1, names that were recorded."""
    rng = random.Random(seed)
    table = Fingerprints(most)
    for _ in range(60):
        asked = prompt(*(rng.choice("xyz") for _ in range(rng.randint(1, 6))))
        found = table.matches(asked, 5, MANY)
        assert found == table.matches(asked, 5, MANY)
        assert all(0.0 < part <= 1.0 for part in found.values())
        assert set(found) <= set("abcde")
        table.record(asked, rng.choice("abcde"))
        assert len(table) <= most
