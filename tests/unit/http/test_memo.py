"""A remembered head is found for the same bytes but for the length's digits, and for no others."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.memo import MAX_DIGITS, MAX_HEAD, HeadMemo
from tests.unit.http.corpus import REQUESTS, SPLINTERS, message

NAMES = ["Content-Length", "content-length"]
DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=MAX_DIGITS)


def head(before: str, name: str, digits: str, after: str) -> bytes:
    return message("POST / HTTP/1.1", before, f"{name}: {digits}", after)


@given(DIGITS, DIGITS, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_found_for_any_length(learned: str, asked: str, name: str, other: str) -> None:
    """The digits do not matter, nor which of the two usual spellings stands before them."""
    memo: HeadMemo[str] = HeadMemo()
    memo.learn(head("A: b", name, learned, "C: d"), "known", True)
    assert memo.find(head("A: b", other, asked, "C: d")) == ("known", int(asked))


@given(st.sampled_from(REQUESTS), st.data())
@settings(max_examples=600, deadline=None)
def test_a_hit_differs_in_digits_only(request_: bytes, data: st.DataObject) -> None:
    """Whatever is changed in a known head: a hit means that at most the digits and that spelling differ."""
    known = request_[: request_.index(b"\r\n\r\n") + 4]
    at = data.draw(st.integers(0, len(known)))
    until = data.draw(st.integers(at, min(len(known), at + 20)))
    asked = known[:at] + data.draw(st.sampled_from([b"", *SPLINTERS])) + known[until:]
    memo: HeadMemo[str] = HeadMemo()
    memo.learn(known, "known", b"content-length" in known.lower())
    found, length = memo.find(asked)
    if found is None:
        return

    def without_digits(head: bytes) -> bytes:
        before, field, after = head.replace(b"\r\ncontent-length: ", b"\r\nContent-Length: ").partition(
            b"\r\nContent-Length: "
        )
        return before + field + after.lstrip(b"0123456789") if field else before

    assert without_digits(asked) == without_digits(known)
    assert length is None or b"ength: %d\r" % length in asked or b"ength: 0" in asked


def test_other_spellings_are_not_remembered() -> None:
    """A length that `find` would not see is part of no key."""
    memo: HeadMemo[str] = HeadMemo()
    for line in ["Content-length: 3", "Content-Length:3", "CONTENT-LENGTH: 3"]:
        memo.learn(message("POST / HTTP/1.1", line), "known", True)
    assert len(memo) == 0


def test_no_length_is_not_length_zero() -> None:
    """A head with a length and the same without one are two heads."""
    memo: HeadMemo[str] = HeadMemo()
    memo.learn(message("POST / HTTP/1.1", "A: b"), "without", False)
    memo.learn(message("POST / HTTP/1.1", "A: b", "Content-Length: 0"), "with", True)
    assert memo.find(message("POST / HTTP/1.1", "A: b")) == ("without", None)
    assert memo.find(message("POST / HTTP/1.1", "A: b", "Content-Length: 7")) == ("with", 7)


def test_digits_are_checked() -> None:
    """Nothing but ASCII digits, and not too many of them."""
    memo: HeadMemo[str] = HeadMemo()
    memo.learn(message("POST / HTTP/1.1", "Content-Length: 3"), "known", True)
    for digits in ["", " 3", "3 ", "+3", "-3", "3,3", "0x3", "\xb2", "1" * (MAX_DIGITS + 1)]:
        assert memo.find(message("POST / HTTP/1.1", f"Content-Length: {digits}")) == (None, None)


def test_bounded() -> None:
    """The older half makes room; heads that are too long are not kept at all."""
    memo: HeadMemo[int] = HeadMemo(limit=10)
    for number in range(100):
        memo.learn(message(f"GET /{number} HTTP/1.1"), number, False)
        assert len(memo) <= 10
        assert memo.find(message(f"GET /{number} HTTP/1.1")) == (number, None)
    memo.learn(message("GET / HTTP/1.1", "A: " + "b" * MAX_HEAD), 1, False)
    assert memo.find(message("GET / HTTP/1.1", "A: " + "b" * MAX_HEAD)) == (None, None)
