"""What does the YAML text say, and on which line does each value stand?

The text is composed into nodes and read from those, never constructed: no tag can make an object. Words
are resolved as YAML 1.2 has it, so `on`, `off`, `yes` and `no` are text (as keys too: `retries.on`), and
whoever wants a switch reads these words. Aliases and `<<` work, within bounds.
"""

import re
from dataclasses import dataclass, field

import yaml

from gateway.settings.problems import Finding, Path

MAX_BYTES = 1 << 20
#: Aliases are copied out when read; nine lines of them can ask for a thousand million values.
MAX_VALUES = 100_000
MAX_DEPTH = 32

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Document:
    """The data of a file. `lines`: where each path stands; `plain`: values written without quotes."""

    data: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    plain: set[Path] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of `path`, or of what holds it where it stands nowhere itself."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


class TooMuch(Exception):
    """The text is no acceptable YAML at all; `line` from 1 where known."""

    def __init__(self, found: str, accepted: str, line: int | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.accepted = accepted
        self.line = line


def scalar(text: str) -> object:
    """What an unquoted YAML word means: null, a boolean, a number, or the text itself."""
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def read(text: str) -> Document:
    """The document in `text`; TooMuch when it is no YAML, too large or too deep."""
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error, text) from None
    except yaml.YAMLError:
        raise TooMuch("a character that YAML does not allow", "printable UTF-8 text") from None
    except RecursionError:
        raise TooMuch("YAML nested too deeply", f"at most {MAX_DEPTH} levels") from None
    document = Document()
    if root is not None:
        document.data = _Reader(document).value(root, ())
    return document


def _unreadable(error: yaml.MarkedYAMLError, text: str) -> TooMuch:
    mark = error.problem_mark or error.context_mark
    said = ", ".join(part for part in (error.context, error.problem) if part)
    line = mark.line if mark else 0
    accepted = "well-formed YAML"
    if "${" in "".join(text.splitlines()[line : line + 1]):
        accepted += '; inside { } and [ ] a variable stands in quotes: "${NAME}"'
    return TooMuch(f"YAML that cannot be read ({said})", accepted, line + 1)


class _Reader:
    """Walks the nodes once, filling in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.left = MAX_VALUES

    def value(self, node: yaml.Node, path: Path) -> object:
        line = node.start_mark.line + 1
        self._count(len(path), line)
        self.document.lines.setdefault(path, line)
        if isinstance(node, yaml.ScalarNode) and self._known(node, "str", path):
            if node.style is None:
                self.document.plain.add(path)
                return scalar(node.value)
            return str(node.value)
        if isinstance(node, yaml.SequenceNode) and self._known(node, "seq", path):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and self._known(node, "map", path):
            return self._mapping(node, path)
        return None

    def _known(self, node: yaml.Node, kind: str, path: Path) -> bool:
        known = node.tag == f"tag:yaml.org,2002:{kind}"
        if not known:
            self._refuse(path, f"the tag {node.tag}", "a value without a tag (!…)")
        return known

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        self._fill(found, node, path, 0)
        return found

    def _fill(self, found: dict[str, object], node: yaml.MappingNode, path: Path, merges: int) -> None:
        """Put the node's pairs into `found`, then what `<<` brings in; neither overrides a key there."""
        merged: list[yaml.Node] = []
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            self._count(merges, line)
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(path, "a key that is a list or a mapping", "keys that are words", line)
            elif key.value == "<<" and key.style is None:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif key.value in first_lines:
                again = f"the key again (first on line {first_lines[key.value]})"
                self._refuse((*path, key.value), again, "each key once", line)
            else:
                first_lines[key.value] = line
                if key.value not in found:
                    self.document.lines[(*path, key.value)] = line
                    found[key.value] = self.value(value, (*path, key.value))
        for source in merged:
            if isinstance(source, yaml.MappingNode):
                self._fill(found, source, path, merges + 1)
            else:
                line = source.start_mark.line + 1
                self._refuse(
                    path, "<< with something else than a mapping", "<<: *name of an anchored mapping", line
                )

    def _count(self, depth: int, line: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch(f"more than {MAX_VALUES} values, aliases copied out", "a smaller file", line)
        if depth > MAX_DEPTH:
            raise TooMuch(
                "YAML nested too deeply", f"at most {MAX_DEPTH} levels, no alias inside itself", line
            )

    def _refuse(self, path: Path, found: str, accepted: str, line: int | None = None) -> None:
        self.document.findings.append(Finding(path, accepted, found, line))
