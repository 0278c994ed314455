"""What does a scenario file say, and what is wrong with it? All mistakes at once."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gateway.simulation.scenario import Path, Scenario, number_problem, problems


class ScenarioError(Exception):
    """What is wrong: (where, what) for each mistake, in order of the file's keys."""

    def __init__(self, mistakes: list[tuple[Path, str]]) -> None:
        super().__init__("\n".join(f"{dotted(path)}: {text}" for path, text in mistakes))
        self.mistakes = mistakes


def dotted(path: Path) -> str:
    """`("groups", 0, "speed")` as `groups[0].speed`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def read(data: object) -> Scenario:
    """The scenario in nested mappings and lists, whose keys are the attributes of `Scenario` and what it is
    made of. Raises ScenarioError with every mistake."""
    reader = _Reader()
    scenario = reader.record(Scenario, data, ())
    if reader.mistakes:
        raise ScenarioError(reader.mistakes)
    if mistakes := list(problems(scenario)):
        raise ScenarioError(mistakes)
    return scenario  # type: ignore[no-any-return]


class _Reader:
    """Builds values by the types of attributes, and collects what does not fit; what it then returns for
    such a value is never used."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[Path, str]] = []

    def record(self, cls: type[Any], data: object, path: Path) -> Any:
        if not isinstance(data, Mapping):
            return self._wrong(path, "give a mapping (key: value)")
        hints = get_type_hints(cls)
        values: dict[str, object] = {}
        for key, value in data.items():
            if key in hints:
                values[key] = self.value(hints[key], value, (*path, key))
            else:
                self._wrong((*path, str(key)), f"unknown; known are {', '.join(hints)}")
        for field in fields(cls):
            if field.name not in data and field.default is MISSING and field.default_factory is MISSING:
                self._wrong((*path, field.name), "missing")
        return None if self.mistakes else cls(**values)

    def value(self, kind: Any, data: object, path: Path) -> Any:
        origin, args = get_origin(kind), get_args(kind)
        if origin is Literal:
            return data if data in args else self._wrong(path, f"give one of {', '.join(map(str, args))}")
        if origin in (Union, types.UnionType):
            return None if data is None else self.value(args[0], data, path)
        if origin is tuple:
            return self._items(args, data, path)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(args, data, path)
        if is_dataclass(kind):
            return self.record(kind, data, path)  # type: ignore[arg-type]
        return self._plain(kind, data, path)

    def _items(self, args: tuple[Any, ...], data: object, path: Path) -> Any:
        if not isinstance(data, list):
            return self._wrong(path, "give a list")
        if args[-1] is Ellipsis:
            args = (args[0],) * len(data)
        if len(data) != len(args):
            return self._wrong(path, f"give a list of {len(args)}")
        return tuple(
            self.value(kind, item, (*path, number))
            for number, (kind, item) in enumerate(zip(args, data, strict=True))
        )

    def _mapping(self, args: tuple[Any, ...], data: object, path: Path) -> Any:
        if not isinstance(data, Mapping):
            return self._wrong(path, "give a mapping (key: value)")
        if args[1] is object:
            return dict(data)
        return {
            self.value(args[0], key, (*path, str(key))): self.value(args[1], value, (*path, str(key)))
            for key, value in data.items()
        }

    def _plain(self, kind: type, data: object, path: Path) -> Any:
        if kind is bool:
            return data if isinstance(data, bool) else self._wrong(path, "give true or false")
        if kind is str:
            return data if isinstance(data, str) else self._wrong(path, "give a text")
        number = isinstance(data, int | float) and not isinstance(data, bool) and isfinite(data)
        if not number or (kind is int and not isinstance(data, int)):
            return self._wrong(path, "give a whole number" if kind is int else "give a number")
        wrong = number_problem(str(path[-1]), data)  # type: ignore[arg-type]
        return self._wrong(path, wrong) if wrong else kind(data)

    def _wrong(self, path: Path, text: str) -> None:
        self.mistakes.append((path, text))
