"""Which version of its models does a backend say it is? A text made of its answer at /v1/models.

Pure. Servers put things into that list that change at every question or with their load (vLLM and SGLang
the time of the question as `created`, vLLM random permissions, llama.cpp whether a model is loaded just now);
what is left without them, names, paths, adapters, lengths and sizes, is the same until another model is
served.
"""

from hashlib import sha256

import msgspec

#: What such texts begin with: they are told apart from versions that answers name themselves.
MODELS = "models:"
#: The version of a backend that has no such list.
NO_LIST = "models:none"

#: Members that say nothing about the model, or not the same twice.
_FLEETING = frozenset(
    (
        "created", "permission", "permissions", "status", "state", "loaded", "in_use", "in_cache",
        "last_used", "uptime", "usage", "timings", "request_id", "stats", "metrics",
    )
)  # fmt: skip
_FLEETING_ENDS = ("_at", "_time")


def version_text(body: bytes) -> str | None:
    """The version that this answer tells of, beginning with MODELS; None when it is no list of models."""
    try:
        told = msgspec.json.decode(body)
        models = _models(told)
        if models is None:
            return None
        # Servers that keep them in a table list them in any order.
        texts = sorted([msgspec.json.encode(_lasting(model), order="sorted") for model in models])
    except (ValueError, RecursionError):
        return None
    return MODELS + sha256(b"\n".join(texts)).hexdigest()[:32]


def _models(told: object) -> list[object] | None:
    if isinstance(told, dict):
        data = told.get("data")
        told = told.get("models") if data is None else data
    return told if isinstance(told, list) else None


def _lasting(value: object) -> object:
    if isinstance(value, dict):
        return {name: _lasting(inner) for name, inner in value.items() if not _is_fleeting(name)}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def _is_fleeting(name: str) -> bool:
    return name in _FLEETING or name.endswith(_FLEETING_ENDS)
