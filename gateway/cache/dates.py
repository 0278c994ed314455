"""Which moment does an HTTP date name? RFC 9110 5.6.7's three forms, to the letter; all else is no date.

A date that has to be guessed is none: whoever reads an expiry leniently serves what has expired.
"""

import re

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_DAYS_OF = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTH = rb"(" + rb"|".join(_MONTHS) + rb")"
_CLOCK = rb"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_FIXDATE = re.compile(_DAY + rb", ([0-9]{2}) " + _MONTH + rb" ([0-9]{4}) " + _CLOCK + rb" GMT")
_RFC850 = re.compile(
    rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-"
    + _MONTH
    + rb"-([0-9]{2}) "
    + _CLOCK
    + rb" GMT"
)
_ASCTIME = re.compile(_DAY + rb" " + _MONTH + rb" ([0-9]{2}| [0-9]) " + _CLOCK + rb" ([0-9]{4})")

_DAY_S = 86400
#: Julian years: good to a day, which is enough to tell one century from another.
_YEAR_S = 31_557_600


def parse_date(value: bytes, now: float) -> float | None:
    """Seconds since the epoch; None for what is no HTTP date. `now` tells the century of a two-digit year."""
    found = _FIXDATE.fullmatch(value)
    if found is not None:
        day, month, year, hour, minute, second = found.groups()
        return _seconds(int(year), month, int(day), (hour, minute, second))
    found = _ASCTIME.fullmatch(value)
    if found is not None:
        month, day, hour, minute, second, year = found.groups()
        return _seconds(int(year), month, int(day), (hour, minute, second))
    found = _RFC850.fullmatch(value)
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    this_year = 1970 + int(now // _YEAR_S)
    full = this_year - this_year % 100 + int(year)
    if full > this_year + 50:  # RFC 9110 5.6.7: more than 50 years ahead means the century before
        full -= 100
    return _seconds(full, month, int(day), (hour, minute, second))


def _seconds(year: int, month_name: bytes, day: int, clock: tuple[bytes, bytes, bytes]) -> float | None:
    month = _MONTHS.index(month_name)
    hour, minute, second = int(clock[0]), int(clock[1]), int(clock[2])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    most = _DAYS_OF[month] + (1 if leap and month == 1 else 0)
    if not (1 <= day <= most and hour < 24 and minute < 60 and second <= 60):  # :60 is a leap second
        return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162  # 1970-01-01 is day 0
    days += sum(_DAYS_OF[:month]) + (1 if leap and month > 1 else 0) + day - 1
    return float(days * _DAY_S + hour * 3600 + minute * 60 + min(second, 59))
