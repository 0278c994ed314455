"""When do two bodies ask for the same? A digest that is equal for those that do, however they are spelled.

Pure. JSON is parsed and written again: members sorted at every depth, no white space, escapes and numbers in
one spelling. Numbers are equal when their values are: 1, 1.0 and 1e0; 0 and -0. Whole numbers count exactly
however long, up to Python's 4300 digits; those with a point or an exponent count as the double next to them,
and from 2^63 on are never equal to one written without. 1, true and "1" differ. What is no object is
read likewise. Doubtful JSON is compared byte by byte: members that stand twice, NaN, a number beyond double,
broken UTF-8, lone surrogates, more than 256 levels.
"""

import re
from hashlib import sha256

import msgspec

from gateway.cache.form import read_form
from gateway.cache.media import FORM, JSON, UNSAID, Media, read_media
from gateway.cache.sampling import is_sampled, may_be_sampled

MAX_DEPTH = 256  # levels; chat requests have some ten, and the decoder ends at the interpreter's 1000 or so
TWICE = "a member stands twice"

_WHOLE = 2.0**63  # 1e308 as a whole number would be 309 digits: a body must not grow fiftyfold here
_MEASURED = 8  # floats whose spelling is measured; counting colons costs as much as four

_ESCAPED_COLON = re.compile(rb"(?<!\\)(?:\\\\)*\\u003[aA]")
_encode = msgspec.json.Encoder(order="sorted").encode


class Canonical:
    """A body as the key sees it.

    `text` is all that counts of it, never equal for two forms: its first byte tells them apart. `form` is
    json, multipart, raw or empty; `sampled` says that its answer is drawn by lot; `why` says why a body that
    should be json or multipart is raw, else "".
    """

    def __init__(self, text: bytes, form: str, sampled: bool, why: str) -> None:
        self.text = text
        self.form = form
        self.sampled = sampled
        self.why = why

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text."""
        return sha256(self.text).digest()

    def __repr__(self) -> str:
        return f"<Canonical {self.form} {self.digest.hex()[:8]}>"


class Uncertain(ValueError):
    """This JSON is to be compared byte by byte; the text says why, without quoting the body."""


class Canonicaliser:
    """Reads bodies, less the members of a top-level object that are named in `ignore`."""

    def __init__(self, ignore: frozenset[str]) -> None:
        self.ignore = tuple(sorted(ignore))
        self._floats = 0  # numbers with a point or an exponent in what is being read
        self._saved = 0  # bytes by which their spelling became shorter
        self._decode = msgspec.json.Decoder(float_hook=self._number).decode

    def _number(self, text: str) -> object:
        value = float(text)
        if value - value != 0.0:  # infinite
            raise ValueError("a number beyond double precision's range")
        number: object = value
        if -_WHOLE < value < _WHOLE:
            whole = int(value)
            if whole == value:
                number = whole
        self._floats += 1
        if self._floats <= _MEASURED:
            self._saved += len(text) - len(_encode(number))
        return number

    def read(self, body: bytes, media: Media) -> Canonical:
        """Never raises."""
        if not body:
            return _EMPTY
        if media.kind == JSON or (media.kind == UNSAID and body.startswith(b"{")):
            return self._read_json(body)
        if media.kind == FORM:
            form = read_form(body, media.boundary)
            if form.why:
                # The boundary, which is not in the media's text, says how the bytes are read.
                return Canonical(_raw(b"b", body) + media.boundary, "raw", form.sampled, form.why)
            return Canonical(b"m" + form.digest, "multipart", form.sampled, "")
        return Canonical(_raw(b"r", body), "raw", False, "")

    def _read_json(self, body: bytes) -> Canonical:
        try:
            value = self.parse(body)
            sampled = isinstance(value, dict) and is_sampled(value)
            removed = self._remove_ignored(value)
            encoded = _encode(value)
            self._check(body, encoded, removed)
            if len(body) > 2 * MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
                raise Uncertain(f"more than {MAX_DEPTH} levels")
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            why = str(error) if not isinstance(error, UnicodeError) else "not UTF-8"
            return Canonical(_raw(b"r", body), "raw", may_be_sampled(body), why)
        return Canonical(b"j" + encoded, "json", sampled, "")

    def parse(self, body: bytes) -> object:
        """The value of a JSON text; of members that stand twice, the last. Raises as msgspec does."""
        self._floats = self._saved = 0
        return self._decode(body)

    def _remove_ignored(self, value: object) -> bytes:
        """Takes what is ignored out of `value`; what was taken out, as JSON, b"" for nothing."""
        if not isinstance(value, dict):
            return b""
        taken: dict[str, object] | None = None
        for name in self.ignore:
            if name in value:
                if taken is None:
                    taken = {}
                taken[name] = value.pop(name)
        return b"" if taken is None else bytes(_encode(taken))

    def _check(self, body: bytes, encoded: bytes, removed: bytes) -> None:
        """Raise Uncertain unless every member of `body` is in `encoded` or `removed`.

        The decoder silently takes the last of members that stand twice. But nothing is longer in our
        spelling than in the body, other than floats, whose difference is known; and a lost member takes more
        bytes with it than its floats have. So when the lengths agree, none is missing. Else the colons are
        counted. Every member has one of its own; those within strings are the same here and there, but for
        the escaped ones.
        """
        size = len(encoded) + self._saved
        if removed:
            size += len(removed) - 2 + (1 if len(encoded) > 2 else 0)  # its braces; a comma between
        if size == len(body) and self._floats <= _MEASURED:
            return
        colons = body.count(b":")
        if b"\\" in body and b"\\u003" in body:
            colons += len(_ESCAPED_COLON.findall(body))
        if colons != encoded.count(b":") + removed.count(b":"):
            raise Uncertain(TWICE)


def _is_deeper(value: object, levels: int) -> bool:
    """Whether there are more than so many levels of objects and lists in `value`."""
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, (dict, list)) and (levels == 1 or _is_deeper(inner, levels - 1)):
                return True
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, (dict, list)) and (levels == 1 or _is_deeper(inner, levels - 1)):
                return True
    return False


def _raw(kind: bytes, body: bytes) -> bytes:
    """Bytes as they are, told by 33 of them."""
    return kind + sha256(body).digest()


_EMPTY = Canonical(b"e", "empty", False, "")


def canonical_body(body: bytes, content_type: bytes, ignore: frozenset[str]) -> Canonical:
    """What `body`, without Content-Encoding, is under its Content-Type (b"" for none). Never raises."""
    return Canonicaliser(ignore).read(body, read_media(content_type))
