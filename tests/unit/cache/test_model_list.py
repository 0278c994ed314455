"""The version text: the same at every question, another with every other model."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.model_list import MODELS, NO_LIST, version_text


def vllm(created: int, permission: str, **other: Any) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {
                "id": "llama",
                "object": "model",
                "created": created,
                "owned_by": "vllm",
                "root": "/models/llama-3",
                "parent": None,
                "max_model_len": 8192,
                "permission": [
                    {"id": f"modelperm-{permission}", "object": "model_permission", "created": created}
                ],
                **other,
            }
        ],
    }


def llama_cpp(created: int, loaded: str, **meta: Any) -> dict[str, Any]:
    return {
        "models": [{"name": "m.gguf", "modified_at": str(created), "details": {"format": "gguf"}}],
        "object": "list",
        "data": [
            {
                "id": "m.gguf",
                "object": "model",
                "created": created,
                "owned_by": "llamacpp",
                "status": {"value": loaded},
                "meta": {"vocab_type": 1, "n_vocab": 32000, "n_params": 7_000_000, "size": 4_000_000, **meta},
            }
        ],
    }


def sglang(created: int, root: str) -> dict[str, Any]:
    card = {"id": "qwen", "object": "model", "created": created, "owned_by": "sglang", "root": root}
    return {"object": "list", "data": [{**card, "max_model_len": 32768}]}


def tgi(name: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": name}]}


def text(value: object) -> str | None:
    return version_text(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (vllm(1, "a"), vllm(2, "b")),
        (llama_cpp(1, "loaded"), llama_cpp(2, "unloaded")),
        (sglang(1, "/q"), sglang(2, "/q")),
        (tgi("m"), tgi("m")),
    ],
    ids=["vllm", "llama.cpp", "sglang", "tgi"],
)
def test_it_is_the_same_at_every_question(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Times, permissions and what is loaded just now make no difference."""
    assert text(one) == text(other)
    assert (text(one) or "").startswith(MODELS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (vllm(1, "a"), vllm(1, "a", root="/models/llama-3.1")),
        (vllm(1, "a"), vllm(1, "a", max_model_len=4096)),
        (vllm(1, "a"), vllm(1, "a", parent="base")),
        (llama_cpp(1, "loaded"), llama_cpp(1, "loaded", n_params=8_000_000)),
        (sglang(1, "/q"), sglang(1, "/r")),
        (tgi("m"), tgi("n")),
        (tgi("m"), {"object": "list", "data": []}),
    ],
)
def test_another_model_is_another_version(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Name, path, parent, length and size do."""
    assert text(one) != text(other)


def test_an_adapter_more_is_another_version() -> None:
    """The list as a whole counts."""
    more = vllm(1, "a")
    more["data"] = [*more["data"], {**more["data"][0], "id": "lora", "parent": "llama"}]
    assert text(more) != text(vllm(1, "a"))


def test_order_makes_no_difference() -> None:
    """Neither of the models nor of their members."""
    models = [{"id": "a", "root": "r"}, {"id": "b", "root": "s"}]
    turned = [dict(reversed(model.items())) for model in reversed(models)]
    assert text({"data": models}) == text({"data": turned})


def test_ollamas_own_list_and_a_bare_one_are_read_too() -> None:
    """`models` where there is no `data`, and a list by itself."""
    assert text({"models": [{"name": "a"}]}) == text([{"name": "a"}]) != text([{"name": "b"}])


@pytest.mark.parametrize("body", [b"", b"{", b'"a"', b"{}", b'{"data": 3}', b"[" * 100_000, b"\xff"])
def test_what_is_no_list_has_no_version(body: bytes) -> None:
    assert version_text(body) is None


def test_no_list_is_told_apart_from_every_list() -> None:
    assert NO_LIST.startswith(MODELS)
    assert text([]) != NO_LIST


facts = st.dictionaries(
    st.sampled_from(["id", "root", "parent", "max_model_len", "meta"]), st.integers() | st.text()
)
fleeting = st.dictionaries(
    st.sampled_from(["created", "permission", "status", "modified_at", "loaded"]), st.integers()
)


@given(st.lists(facts), st.lists(facts), st.lists(fleeting, min_size=20, max_size=20), st.randoms())
def test_it_tells_facts_apart_and_nothing_else(one: Any, other: Any, noise: Any, rng: Any) -> None:
    """Equal exactly where the models are the same, whatever else is said and in whatever order."""
    noisy = [{**model, **extra} for model, extra in zip(other, noise, strict=False)] + other[20:]
    rng.shuffle(noisy)

    def key(models: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps(model, sort_keys=True) for model in models)

    assert (text({"data": one}) == text({"data": noisy})) == (key(one) == key(other))
