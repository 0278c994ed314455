"""What does the schema say about a key? For error messages, the manual and the JSON Schema."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from gateway.settings.kinds import Kind
from gateway.settings.problems import Path
from gateway.settings.schema import Section, Settings


def models() -> Iterator[type[Section]]:
    """Every mapping the file can hold, each once, in the order of the manual."""
    waiting: list[type[Section]] = [Settings]
    seen: list[type[Section]] = []
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.append(model)
        yield model
        inner = (model_in(field) for field in model.model_fields.values())
        waiting[:0] = [found for found in inner if found is not None]


def model_in(field: FieldInfo) -> type[Section] | None:
    """The mapping that `field` holds, or holds a list or a mapping of."""
    return _model(field.annotation)


def _model(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, Section) else None
    for inner in reversed(get_args(annotation)):
        if (found := _model(inner)) is not None:
            return found
    return None


def kind_in(field: FieldInfo) -> Kind | None:
    """How the field's value, or one entry of its list, is read; None for mappings."""
    return next((entry for entry in field.metadata if isinstance(entry, Kind)), None) or _kind(
        field.annotation
    )


def _kind(annotation: Any) -> Kind | None:
    for entry in getattr(annotation, "__metadata__", ()):
        if isinstance(entry, Kind):
            return entry
    for inner in reversed(get_args(annotation)):
        if (found := _kind(inner)) is not None:
            return found
    return None


def is_list(field: FieldInfo) -> bool:
    """Whether the key holds a list."""
    return _holds(field.annotation, tuple)


def is_named(field: FieldInfo) -> bool:
    """Whether the key holds a mapping whose keys the user chooses."""
    return _holds(field.annotation, dict)


def _holds(annotation: Any, container: type) -> bool:
    if get_origin(annotation) is container:
        return True
    wrapped = get_origin(annotation) in (Annotated, Union, UnionType)
    return wrapped and any(_holds(inner, container) for inner in get_args(annotation))


def default(field: FieldInfo) -> str:
    """The default as the file would say it; empty when there is none."""
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Section):
        return ""
    kind = kind_in(field)
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return "[" + ", ".join(_entry(entry) for entry in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return kind.show(value) if kind else str(value)


def _entry(value: object) -> str:
    """An entry of a list; a mapping that has a short form, in that form."""
    return str(next(iter(value.model_dump().values()))) if isinstance(value, Section) else str(value)


def keys_at(path: Path) -> list[str]:
    """The keys that the mapping at `path` may have."""
    model, _ = _at(path)
    return list(model.model_fields) if model else []


def default_at(path: Path) -> str | None:
    """`2s (the default)` for a key that was left out."""
    _, field = _at(path)
    text = default(field) if field else ""
    return f"{text} (the default)" if text else None


def accepted_at(path: Path) -> str:
    """What belongs at `path`, for a key that must be there and is not."""
    _, field = _at(path)
    if field is None or model_in(field):
        listed = field is not None and is_list(field)
        return "a list with at least one entry" if listed else "a mapping with at least one entry"
    kind = kind_in(field)
    return f"a {kind.label}" if kind else "a value"


def _at(path: Path) -> tuple[type[Section] | None, FieldInfo | None]:
    """The model whose keys stand at `path`, and the field that `path` ends with; None where there is none.

    An entry of a list or of a mapping with names has a model and no field.
    """
    model: type[Section] | None = Settings
    inside: type[Section] | None = None  # the model of the entries, where path leads to a list or names
    field: FieldInfo | None = None
    for part in path:
        if inside is not None:
            model, inside, field = inside, None, None
        elif model is not None and part in model.model_fields:
            field = model.model_fields[str(part)]
            model = model_in(field)
            if is_list(field) or is_named(field):
                model, inside = None, model
        else:
            return None, None
    return model, field
