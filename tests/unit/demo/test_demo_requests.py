"""Are OpenAI's request bodies read as OpenAI means them, and refused with a reason?"""

import json

import pytest

from gateway.demo.options import ServerOptions, from_command_line
from gateway.demo.requests import (
    ApiError,
    ChatRequest,
    CompletionRequest,
    chat_work,
    completion_work,
    decode,
    read_inputs,
)

HELLO = [{"role": "user", "content": "hello"}]


def chat(**fields: object) -> ChatRequest:
    return decode(json.dumps({"messages": HELLO} | fields).encode(), ChatRequest, "demo")


def test_parts_are_text_and_pictures_are_none() -> None:
    """Content may be a list of parts; those that are no text are passed over."""
    parts = [
        {"type": "text", "text": "what"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "is it"},
    ]
    asked = chat(messages=[{"role": "system", "content": None}, {"role": "user", "content": parts}])
    assert chat_work(asked).prompts == ("what\nis it",)


def test_defaults_and_nulls() -> None:
    """What is null counts as not given, what is unknown is passed over."""
    work = chat_work(chat(temperature=None, top_p=None, n=None, stop=None, stream=None, logit_bias={"1": 2}))
    assert work == chat_work(chat())
    assert (work.sampling.temperature, work.n, work.stream) == (1.0, 1, False)
    assert work.prompt_tokens == 1 + 4


def test_newer_name_of_the_limit_wins() -> None:
    """`max_completion_tokens` has replaced `max_tokens`."""
    assert chat_work(chat(max_tokens=5, max_completion_tokens=7)).sampling.max_tokens == 7


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hi there", [("hi there", 2)]),
        (["hi", "you all"], [("hi", 1), ("you all", 2)]),
        ([5, 6, 7], [("5 6 7", 3)]),
        ([[5, 6], [7]], [("5 6", 2), ("7", 1)]),
    ],
)
def test_inputs(given: str | list[str | int | list[int]], expected: list[tuple[str, int]]) -> None:
    """One text, texts, one token list and token lists are told apart."""
    assert read_inputs(given, "input") == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"messages": []}, "messages"),
    ],
)
def test_values_out_of_bounds_are_named(fields: dict[str, object], param: str) -> None:
    """A refusal says which field, what was found and what is accepted."""
    with pytest.raises(ApiError) as refused:
        chat_work(chat(**fields))
    assert (refused.value.status, refused.value.param) == (400, param)


@pytest.mark.parametrize("prompt", [[], [1, "a"], ["a", 1]])
def test_mixed_or_empty_prompts_are_refused(prompt: list[object]) -> None:
    """A list of inputs has one kind of entry, and at least one."""
    asked = decode(json.dumps({"prompt": prompt}).encode(), CompletionRequest, "demo")
    with pytest.raises(ApiError, match="prompt"):
        completion_work(asked)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"{}", b'{"messages": [{"content": "x"}]}'])
def test_what_is_no_request_is_400(body: bytes) -> None:
    """Broken JSON, another type and missing fields are the caller's fault."""
    with pytest.raises(ApiError) as refused:
        decode(body, ChatRequest, "demo")
    assert refused.value.status == 400


def test_other_model_is_404() -> None:
    """A server answers for its own model only, and says which one that is."""
    with pytest.raises(ApiError, match="this server has `demo`") as refused:
        chat(model="llama")
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")


def test_command_line() -> None:
    """Options on the command line are those of the dataclass."""
    options, exit_with_parent = from_command_line(
        [
            "--port",
            "9",
            "--slots",
            "2",
            "--startup-time",
            "1.5",
            "--no-allow-fault-header",
            "--exit-with-parent",
        ]
    )
    assert options == ServerOptions(port=9, slots=2, startup_time_s=1.5, allow_fault_header=False)
    assert exit_with_parent


@pytest.mark.parametrize("given", ["--slots 0", "--error-rate 0.6 --cut-rate 0.6", "--tokens-per-second -1"])
def test_impossible_options_end_with_2(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that cannot be is bad usage, and the message names it."""
    with pytest.raises(SystemExit) as ended:
        from_command_line(given.split())
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
