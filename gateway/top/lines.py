"""What is a line of the screen? Pieces of text, each with its style, and how they are put side by side."""

from collections.abc import Iterable

from gateway.top import text

#: (text, style): a style is one of those below, or more of them with a space between.
Span = tuple[str, str]
Line = list[Span]

PLAIN, SOFT, STRONG = "", "dim", "bold"
GOOD, WARNING, BAD = "green", "yellow", "bold red"
ACCENT, CHOSEN = "cyan", "reverse"

STATES = {"up": GOOD, "starting": WARNING, "draining": WARNING, "ejected": BAD, "down": BAD}


def width_of(line: Iterable[Span]) -> int:
    """In cells."""
    return sum(text.cells(piece) for piece, _ in line)


def spaced(parts: Iterable[Line], width: int, gap: str = "  ") -> Line:
    """As many of the parts, from the first, as fit into `width`, with `gap` between them."""
    line: Line = []
    for part in parts:
        if not part:
            continue
        added = [(gap, PLAIN), *part] if line else part
        if line and width_of(line) + width_of(added) > width:
            break
        line += added
    return cropped(line, width)


def cropped(line: Iterable[Span], width: int) -> Line:
    """At most `width` cells of the line, without what a terminal would obey."""
    kept: Line = []
    for piece, style in line:
        shown = text.cut(text.clean(piece), width)
        if shown:
            kept.append((shown, style))
        width -= text.cells(shown)
    return kept


def ends(first: Line, last: Line, width: int) -> Line:
    """`first` at the left edge, and `last` at the right if there is room for both."""
    room = width - width_of(first) - width_of(last)
    return [*first, (" " * room, PLAIN), *last] if room > 0 else cropped(first, width)


def named(name: str, value: str, style: str = STRONG) -> Line:
    """A figure after its name."""
    return [(f"{name} ", SOFT), (value, style)]


def restyled(line: Iterable[Span], style: str) -> Line:
    """The line in one style."""
    return [(piece, style) for piece, _ in line]


def wrapped(words: str, width: int) -> list[str]:
    """`words` on as many lines as it takes."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if text.cells(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
