"""Is an answer that was asked for before a deletion told from one that was asked for after it?"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.deletions import MAX_DELETED, Deletions


@given(st.lists(st.one_of(st.sampled_from([b"a", b"b", b"c"]), st.none())), st.integers(0, 20))
def test_a_deletion_is_seen_by_whoever_began_before_it(deleted: list[bytes | None], begun: int) -> None:
    """Of a single key (or of all, here None), and by nobody who began after it."""
    deletions = Deletions()
    for number, digest in enumerate(deleted):
        if number == begun:
            assert deletions.count == begun
        if digest is None:
            deletions.note_all()
        else:
            deletions.note(digest)
    later = deleted[begun:]
    for digest in (b"a", b"b", b"c", b"d"):
        assert deletions.since(begun, digest) is (digest in later or None in later)


def test_what_is_not_remembered_counts_as_deleted() -> None:
    """Memory is bounded; what falls out of it is no reason to keep an old answer."""
    deletions = Deletions()
    deletions.note(b"first")
    for number in range(MAX_DELETED * 2):
        deletions.note(b"%d" % number)
        assert len(deletions) <= MAX_DELETED
    assert deletions.since(0, b"first")
    assert not deletions.since(deletions.count, b"first")
