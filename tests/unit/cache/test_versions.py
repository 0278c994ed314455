"""Which versions are there: what is stored under which, and what may be given still."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.cache.entry import Entry
from gateway.cache.versions import MAX_DOUBTFUL, TRUST_S, Standing, Versions

CURRENT, ABSENT, GONE = Standing.CURRENT, Standing.ABSENT, Standing.GONE


def entry(version: str, backend: str = "a", at: float = 0.0, pool: str = "p") -> Entry:
    return Entry(
        200, b"", b"", at, 0.0, 60.0, 0.0, 0.0, 1.0, "r", pool, "m", backend, version
    )  # fmt: skip


@pytest.fixture
def versions() -> Versions:
    """A pool p of backends a and b, of which nothing is known."""
    made = Versions()
    made.expect("p", ["a", "b"])
    return made


def test_before_anybody_was_asked_nothing_is_given_or_stored(versions: Versions) -> None:
    """What a store has from before may be of another version; it is not thrown away either."""
    assert versions.version_of("p", "a", 10.0, 10.0) == ""
    assert versions.standing(entry("v1")) is ABSENT
    assert Versions().standing(entry("v1")) is ABSENT


def test_answers_are_stored_from_the_first_word_on(versions: Versions) -> None:
    """Only those to requests that were sent after it."""
    assert versions.noted("p", "a", "v1", 10.0, 11.0) is False
    assert versions.version_of("p", "a", 10.9, 12.0) == ""
    assert versions.version_of("p", "a", 11.0, 12.0) == "v1"
    assert versions.version_of("p", "b", 11.0, 12.0) == ""
    assert versions.standing(entry("v1", at=12.0)) is CURRENT


def test_a_backend_that_is_silent_is_not_believed_for_ever(versions: Versions) -> None:
    """What it said holds for storing for TRUST_S."""
    versions.noted("p", "a", "v1", 10.0, 11.0)
    assert versions.version_of("p", "a", 20.0, 10.0 + TRUST_S) == "v1"
    assert versions.version_of("p", "a", 20.0, 10.1 + TRUST_S) == ""
    assert versions.standing(entry("v1", at=12.0)) is CURRENT


def test_a_version_that_nobody_has_any_more_is_gone(versions: Versions) -> None:
    """Once the last backend has another one."""
    for name in ("a", "b"):
        versions.noted("p", name, "v1", 10.0, 11.0)
    assert versions.noted("p", "a", "v2", 20.0, 21.0) is True
    assert versions.standing(entry("v1", "b", 12.0)) is CURRENT
    versions.noted("p", "b", "v2", 22.0, 23.0)
    assert versions.standing(entry("v1", "b", 9.0)) is GONE
    assert versions.standing(entry("v2", "a", 22.0)) is CURRENT


def test_it_is_not_gone_while_somebody_has_not_been_asked(versions: Versions) -> None:
    """After a restart the first answer says nothing of the second backend."""
    versions.noted("p", "a", "v2", 10.0, 11.0)
    assert versions.standing(entry("v1")) is ABSENT
    versions.noted("p", "b", "v1", 12.0, 13.0)
    assert versions.standing(entry("v1", "b")) is CURRENT


def test_what_was_stored_between_two_words_that_differ_is_gone(versions: Versions) -> None:
    """The process may have been replaced at any moment between; also when the old version comes back."""
    versions.noted("p", "a", "v1", 10.0, 10.5)
    versions.noted("p", "a", "v1", 20.0, 20.5)
    versions.noted("p", "a", "v2", 30.0, 30.5)
    versions.noted("p", "a", "v1", 40.0, 40.5)
    assert versions.standing(entry("v1", at=19.0)) is CURRENT
    assert versions.standing(entry("v1", at=25.0)) is GONE
    assert versions.standing(entry("v1", at=41.0)) is CURRENT
    assert versions.standing(entry("v1", "b", at=25.0)) is CURRENT, "another backend was not replaced"


def test_several_doubtful_stretches_are_all_remembered(versions: Versions) -> None:
    """As one, from the first to the last: rather too much than too little."""
    for at, version in ((10.0, "v1"), (20.0, "v2"), (30.0, "v1"), (40.0, "v2"), (50.0, "v1")):
        versions.noted("p", "a", version, at, at + 0.5)
    assert versions.standing(entry("v1", at=15.0)) is GONE
    assert versions.standing(entry("v1", at=35.0)) is GONE
    assert versions.standing(entry("v1", at=51.0)) is CURRENT


def test_after_a_doubt_requests_count_from_the_next_word_on(versions: Versions) -> None:
    """One that was sent before may have been answered by either process."""
    versions.noted("p", "a", "v1", 10.0, 10.5)
    versions.doubted("p", "a")
    assert versions.version_of("p", "a", 11.0, 12.0) == ""
    assert versions.standing(entry("v1", at=10.6)) is ABSENT
    versions.noted("p", "a", "v1", 13.0, 13.5)
    assert versions.version_of("p", "a", 13.2, 14.0) == ""
    assert versions.version_of("p", "a", 13.5, 14.0) == "v1"
    assert versions.standing(entry("v1", at=10.6)) is CURRENT


def test_while_all_are_down_what_they_said_last_counts(versions: Versions) -> None:
    """Answers go on being given while backends are down, which is when they are needed most."""
    for name in ("a", "b"):
        versions.noted("p", name, "v1", 10.0, 11.0)
        versions.lost("p", name)
    assert versions.standing(entry("v1")) is CURRENT
    assert versions.version_of("p", "a", 12.0, 12.0) == "", "but nothing is stored"


def test_while_one_is_there_the_others_do_not_count(versions: Versions) -> None:
    """In a rolling upgrade the old version goes with its last backend that takes requests."""
    versions.noted("p", "a", "v2", 10.0, 11.0)
    versions.noted("p", "b", "v1", 10.0, 11.0)
    assert versions.standing(entry("v1", "b")) is CURRENT
    versions.lost("p", "b")
    assert versions.standing(entry("v1", "b")) is ABSENT


def test_removed_backends_are_forgotten(versions: Versions) -> None:
    """With their versions; those that stay are not."""
    versions.noted("p", "a", "v1", 10.0, 11.0)
    versions.noted("p", "b", "v2", 10.0, 11.0)
    versions.expect("p", ["b"])
    assert versions.standing(entry("v1")) is GONE
    assert versions.standing(entry("v2", "b")) is CURRENT
    assert versions.noted("p", "a", "v1", 12.0, 13.0) is False
    assert not versions.known("p", "a")


def test_doubts_are_bounded(versions: Versions) -> None:
    """A backend that is another one at every question takes no memory for it."""
    for number in range(3 * MAX_DOUBTFUL):
        versions.noted("p", "a", f"v{number}", float(number), number + 0.5)
    assert len(versions._doubtful) == MAX_DOUBTFUL


class Fleet(RuleBasedStateMachine):
    """Two backends whose processes are replaced unseen; requests and questions in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.versions = Versions()
        self.versions.expect("p", ["a", "b"])
        self.real = {"a": "v1", "b": "v1"}
        self.replaced: set[str] = (
            set()
        )  # since they were asked last; twice in between would not come to light
        self.stored: list[tuple[str, Entry]] = []  # what truly made it
        self.open: list[tuple[str, str, float, str]] = []

    names = st.sampled_from(["a", "b"])

    @rule(name=names, version=st.sampled_from(["v1", "v2", "v3"]))
    def replace(self, name: str, version: str) -> None:
        self.now += 1
        if name in self.replaced:
            return
        self.replaced.add(name)
        self.real[name] = version
        self.open = [one for one in self.open if one[0] != name]  # its connections are cut

    @rule(name=names)
    def question(self, name: str) -> None:
        asked, self.now = self.now, self.now + 1
        self.replaced.discard(name)
        self.versions.noted("p", name, self.real[name], asked, self.now)

    @rule(name=names)
    def down(self, name: str) -> None:
        self.now += 1
        self.versions.lost("p", name)

    @rule(name=names)
    def up(self, name: str) -> None:
        self.now += 1
        self.versions.doubted("p", name)

    @rule(name=names)
    def request(self, name: str) -> None:
        self.now += 1
        self.open.append((name, self.real[name], self.now, ""))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def head(self, data: st.DataObject) -> None:
        self.now += 1
        position = data.draw(st.integers(0, len(self.open) - 1))
        name, real, sent, _ = self.open[position]
        self.open[position] = (name, real, sent, self.versions.version_of("p", name, sent, self.now))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.now += 1
        name, real, sent, version = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if version and self.versions.version_of("p", name, sent, self.now) == version:
            self.stored.append((real, entry(version, name, self.now)))

    @invariant()
    def nothing_false_is_given_once_it_can_be_known(self) -> None:
        """What is given under a version that its process did not have: only until the next question."""
        for real, kept in self.stored:
            if real == kept.fingerprint or self.versions.standing(kept) is not CURRENT:
                continue
            said = self.versions._said("p", kept.backend)
            assert said is not None
            assert kept.stored_at >= said.asked, "the backend has been asked since, and it came to light"


Fleet.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestFleet = Fleet.TestCase
