"""What of a stranger's text may stand in a log? Short, printable, valid UTF-8."""

#: Longest text a client can put into one field of a log line.
MAX_TEXT = 256


def tame(text: str, limit: int = MAX_TEXT) -> str:
    """`text` cut at `limit` characters; beyond ASCII, what is not printable is written as an escape.

    ASCII control characters stay: JSON escapes them. What JSON lets through but a terminal may obey (C1
    controls, direction marks) or UTF-8 cannot carry (lone surrogates) becomes `\\x9b`, `\\u202e`, `\\ud800`.
    """
    if len(text) > limit:
        text = text[:limit]
    if text.isascii() or text.isprintable():
        return text
    return "".join([_escape(character) for character in text])


def one_line(text: str) -> str:
    """`text` with every character that is not printable, ASCII or not, as an escape: for bare lines."""
    return text if text.isprintable() else "".join([_escape(c, controls=True) for c in text])


def _escape(character: str, controls: bool = False) -> str:
    if character.isprintable() or (character.isascii() and not controls):
        return character
    return character.encode("unicode_escape").decode()
