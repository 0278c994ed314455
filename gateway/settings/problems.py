"""What is wrong with a configuration, and where?"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Keys and list positions from the top of the file to a value.
Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_USERINFO = re.compile(r"//[^/\s]*@")
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is refused. `line` counts from 1; None without a file's text. `path` is dotted.

    `found` shows variables as `${NAME}`, never their values.
    """

    file: str
    line: int | None
    path: str
    found: str
    accepted: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        where = ": ".join(part for part in (place, self.path) if part)
        return f"{where}: found {self.found}; accepted: {self.accepted}".removeprefix(": ")


class SettingsError(Exception):
    """A configuration that is refused; `problems` holds every reason, in the order of the file's lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before it has a place. `found` None: whatever stands at `path`; `line` None: the path's."""

    path: Path
    accepted: str
    found: str | None = None
    line: int | None = None


def dotted(path: Path) -> str:
    """`pools.chat.backends[0].url`; a key with other characters is quoted: `pools["llama-3.1"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}"
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """What was found, short, on one line, without a password that stands in a URL."""
    if value is None:
        return "nothing (an empty value)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)[:_MOST_SHOWN]
    if isinstance(value, str):
        text = _USERINFO.sub("//***@", value)
        return json.dumps(text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…", ensure_ascii=False)
    size = "a" if value else "an empty"
    return f"{size} mapping" if isinstance(value, dict) else f"{size} list"
