"""HTTP dates name one moment, in three forms, and nothing else is a date."""

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.dates import parse_date
from tests.heads import NOW, NOW_DATE


@pytest.mark.parametrize(
    "value",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_the_rfc_are_one_moment(value: bytes) -> None:
    """RFC 9110 5.6.7's own examples."""
    assert parse_date(value, NOW) == 784_111_777.0


def test_now_is_now() -> None:
    """The date the other tests of the cache go by."""
    assert parse_date(NOW_DATE, NOW) == NOW


@given(st.integers(min_value=-2_208_988_800, max_value=253_402_300_799))
def test_every_second_from_1900_to_9999_is_read_as_it_was_written(second: int) -> None:
    """Leap years, centuries and month ends included; the standard library writes, we read."""
    moment = datetime.fromtimestamp(second, UTC)
    assert parse_date(formatdate(second, usegmt=True).encode(), NOW) == second
    assert parse_date(moment.strftime("%a %b %e %H:%M:%S %Y").encode(), NOW) == second


@given(st.integers(min_value=int(NOW) - 49 * 31_557_600, max_value=int(NOW) + 49 * 31_557_600))
def test_two_digits_mean_the_year_nearest_to_now(second: int) -> None:
    """RFC 9110 5.6.7: more than 50 years ahead is the century before."""
    text = datetime.fromtimestamp(second, UTC).strftime("%A, %d-%b-%y %H:%M:%S GMT")
    assert parse_date(text.encode(), NOW) == second


def test_a_leap_second_is_the_end_of_its_minute() -> None:
    """RFC 9110 5.6.7 allows :60."""
    before = parse_date(b"Sat, 31 Dec 2016 23:59:59 GMT", NOW)
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW) == before


@pytest.mark.parametrize(
    "value",
    [
        b"", b"0", b"-1", b"now", b"1994-11-06T08:49:37Z",
        b"Thu, 18 Aug 2050 02:01:18 UTC", b"Thu, 18 Aug 2050 02:01:18 +0000", b"Thu, 18 Aug 2050 02:01:18",
        b"Thu, 18 Aug 2050 2:01:18 GMT", b"Thu, 18 Aug 50 02:01:18 GMT", b"Thu 18 Aug 2050 02:01:18 GMT",
        b"Thu, 18-Aug-2050 02:01:18 GMT", b"Thu, 18 Aug 2050 02.01.18 GMT", b"Thu, 18  Aug 2050 02:01:18 GMT",
        b"THU, 18 AUG 2050 02:01:18 GMT", b"Thu, 18 Aug 2050 02:01:18 GMT ", b"Thu, 31 Jun 2050 02:01:18 GMT",
        b"Thu, 29 Feb 2100 00:00:00 GMT", b"Thu, 00 Aug 2050 02:01:18 GMT", b"Thu, 18 Aug 2050 24:00:00 GMT",
        b"Thu, 18 Aug 2050 02:60:18 GMT", b"Thu, 18 Aug 2050 02:01:61 GMT",
        b"Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
    ],
)  # fmt: skip
def test_what_has_to_be_guessed_is_no_date(value: bytes) -> None:
    """RFC 9111 5.3: an Expires that is no date has expired; so nothing is read leniently."""
    assert parse_date(value, NOW) is None


@given(st.binary(max_size=40), st.floats(min_value=0, max_value=1e11))
def test_any_bytes_are_a_date_or_none(value: bytes, now: float) -> None:
    """Nothing raises."""
    parse_date(value, now)
