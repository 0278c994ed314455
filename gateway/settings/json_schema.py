"""How does an editor know the file? A JSON Schema made from the models, short forms included."""

import json
from typing import Any

from gateway.settings import describe
from gateway.settings.fields import Address, Url
from gateway.settings.kinds import Kind
from gateway.settings.schema import Backend, Listener, Section, Settings


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file: whatever loads is valid under it."""
    schema = _tidy(Settings.model_json_schema(mode="validation"))
    definitions = schema["$defs"]
    for model in describe.models():
        inside = schema if model is Settings else definitions[model.__name__]
        _fill(inside["properties"], model)
    for model, short in ((Backend, Url), (Listener, Address)):
        long = definitions[model.__name__]
        about = long.pop("description")
        definitions[model.__name__] = {"description": about, "anyOf": [_scalar(short), long]}
    listen = schema["properties"]["listen"]
    listed = {key: listen.pop(key) for key in ("type", "items", "minItems")}
    listen["anyOf"] = [_scalar(Address), listed]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gateway.yaml", **schema}


def text() -> str:
    """The schema as the file `config/gateway.schema.json` holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _scalar(annotated: Any) -> dict[str, Any]:
    kind: Kind = annotated.__metadata__[0]
    return kind.json_schema()


def _fill(properties: dict[str, Any], model: type[Section]) -> None:
    """Descriptions on one line, defaults as people write them."""
    for name, field in model.model_fields.items():
        inside = properties[name]
        inside["description"] = " ".join((field.description or "").split())
        inside.pop("default", None)
        default = describe.default(field)
        if default and not describe.is_list(field) and not describe.is_named(field):
            inside["default"] = None if default == "null" else default


def _tidy(value: Any) -> Any:
    """Without the titles that only repeat the keys."""
    if isinstance(value, dict):
        return {
            key: _tidy(inner) for key, inner in value.items() if key != "title" or not isinstance(inner, str)
        }
    return [_tidy(inner) for inner in value] if isinstance(value, list) else value
