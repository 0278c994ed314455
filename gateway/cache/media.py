"""As what is a request's body to be compared: as JSON, as a form, or byte by byte?

Pure. Whatever of a Content-Type leaves a doubt makes it byte by byte, under the type's exact text: that is
never wrong, it only finds fewer repeats.
"""

import re
from typing import Final

JSON: Final = 1
UNSAID: Final = 2  # no Content-Type: JSON where the body begins with `{`
FORM: Final = 3  # multipart/*, with a boundary that leaves no doubt
BYTES: Final = 4

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rb"(%b)/(%b)" % (_TOKEN, _TOKEN))
# A quoted value with a backslash in it is read differently by different readers: none such.
_PARAMETER = re.compile(rb'[ \t]*;[ \t]*(?:(%b)=(?:(%b)|"([^"\\\r\n]*)"))?' % (_TOKEN, _TOKEN))
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 5.1.1
_UTF8 = (b"utf-8", b"utf8", b"us-ascii")


class Media:
    """A Content-Type as the key sees it: `kind` as above, `text` equal only for types that mean the same.

    `text` has a form's boundary left out, which is in `boundary` instead.
    """

    def __init__(self, kind: int, text: bytes, boundary: bytes) -> None:
        self.kind = kind
        self.text = text
        self.boundary = boundary

    def __repr__(self) -> str:
        return f"<Media {self.text.decode('latin-1')}>"


def read_media(content_type: bytes, plain: bool = True) -> Media:
    """What `content_type` (b"" for none) says; `plain` False where the body has a Content-Encoding.

    Names, and the value of `charset`, are compared in lower case, quoted values as if unquoted; the order of
    parameters counts. Never raises.
    """
    if not content_type:
        return Media(UNSAID if plain else BYTES, b"", b"")
    value = content_type.strip(b" \t")
    found = _TYPE.match(value)
    parameters = None if found is None else _parameters(value, found.end())
    if found is None or parameters is None:
        return Media(BYTES, b"?" + content_type, b"")  # no type begins with `?`
    family, kind = found[1].lower(), found[2].lower()
    boundary = b""
    if plain and family == b"multipart":
        boundaries = [told for name, told in parameters if name == b"boundary"]
        if len(boundaries) == 1 and _BOUNDARY.fullmatch(boundaries[0]):
            boundary = boundaries[0]
            parameters = [one for one in parameters if one[0] != b"boundary"]
    text = family + b"/" + kind + b"".join([b';%b="%b"' % one for one in parameters])
    if boundary:
        return Media(FORM, text, boundary)
    # In another character set an escape and the character it stands for are not the same bytes.
    known = all([told in _UTF8 for name, told in parameters if name == b"charset"])
    is_json = family == b"application" and (kind == b"json" or kind.endswith(b"+json"))
    return Media(JSON if plain and known and is_json else BYTES, text, b"")


def _parameters(value: bytes, at: int) -> list[tuple[bytes, bytes]] | None:
    """Names in lower case with their values, in order; None when they are not as RFC 9110 8.3.1 has them."""
    found: list[tuple[bytes, bytes]] = []
    while at < len(value):
        one = _PARAMETER.match(value, at)
        if one is None:
            return None
        if one[1] is not None:
            name, told = one[1].lower(), one[2] if one[2] is not None else one[3]
            found.append((name, told.lower() if name == b"charset" else told))
        at = one.end()
    return found
