"""What does the manual of the configuration file say? `python -m gateway.settings.manual` prints it.

The text at its start is written by hand; the tables come from the schema's docstrings.
"""

import sys
from collections.abc import Iterator
from importlib import resources

from pydantic.fields import FieldInfo

from gateway.settings import describe
from gateway.settings.schema import Section, Settings


def manual() -> str:
    """The Markdown of docs/configuration.md."""
    start = resources.files("gateway.settings").joinpath("manual_start.md").read_text(encoding="utf-8")
    return start + "\n".join(_tables())


def _tables() -> Iterator[str]:
    for path, model in _places(Settings, ""):
        yield f"### `{path}`" if path else "### At the top"
        yield ""
        yield _flat(model.__doc__ or "")
        yield ""
        yield "| key | type | default | meaning |"
        yield "|---|---|---|---|"
        for name, field in model.model_fields.items():
            yield f"| `{name}` | {_type(field, _below(path, name))} | {_default(field)} | {_meaning(field)} |"
        yield ""


def _places(model: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    """Every mapping of the file with its dotted path, top down."""
    yield path, model
    for name, field in model.model_fields.items():
        inner = describe.model_in(field)
        if inner is not None:
            yield from _places(inner, _entry(field, _below(path, name)))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _entry(field: FieldInfo, path: str) -> str:
    if describe.is_named(field):
        return path + ".NAME"
    return path + "[]" if describe.is_list(field) else path


def _type(field: FieldInfo, path: str) -> str:
    if describe.model_in(field) is not None:
        place = _entry(field, path)
        anchor = "".join(letter for letter in place.lower() if letter.isalnum() or letter in "_-")
        link = f"[`{place}`](#{anchor})"
        if describe.is_named(field):
            return f"names, each with {link}"
        return f"list of {link}" if describe.is_list(field) else link
    kind = describe.kind_in(field)
    label = kind.label if kind else ""
    if describe.is_named(field):
        return f"name: {label}"
    return f"list of {label}" if describe.is_list(field) else label


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = describe.default(field)
    return f"`{default}`" if default else ""


def _meaning(field: FieldInfo) -> str:
    return _flat(field.description or "").replace("|", "\\|")


def _flat(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(manual())
