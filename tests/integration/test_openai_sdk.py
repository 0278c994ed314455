"""Does the openai SDK, unchanged, get through the gateway what the model servers answer?"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from gateway.app import App
from gateway.demo.server import Running
from tests.harness import demo, gateway, outcomes, refusing, url

HELLO: Any = [{"role": "user", "content": "What is a health check?"}]


def sdk(base: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)


@contextlib.asynccontextmanager
async def one_pool() -> AsyncIterator[tuple[openai.AsyncOpenAI, openai.AsyncOpenAI, App]]:
    """A client of a gateway with two servers, a client of one of the servers, and the gateway."""
    async with (
        demo(name="one") as one,
        demo(name="two") as two,
        gateway(one.url, two.url) as app,
        sdk(url(app)) as through,
        sdk(one.url) as direct,
    ):
        yield through, direct, app


@contextlib.asynccontextmanager
async def two_pools() -> AsyncIterator[tuple[openai.AsyncOpenAI, Running, Running]]:
    """A client of a gateway with the pools `alpha` and `beta/large`, and the server in each."""
    async with demo(model="alpha") as alpha, demo(model="beta/large") as beta:
        health = {"path": None}
        pools = {
            "alpha": {"backends": [alpha.url], "health": health},
            "beta/large": {"backends": [beta.url], "health": health},
        }
        async with gateway(pools=pools) as app, sdk(url(app)) as client:
            yield client, alpha, beta


async def test_a_chat_is_the_same_as_without_the_gateway() -> None:
    """Text, usage and the reason for the end are those the server gave."""
    async with one_pool() as (through, direct, app):
        asked: dict[str, Any] = {"model": "demo", "messages": HELLO, "temperature": 0, "max_tokens": 20}
        got = await through.chat.completions.create(**asked)
        expected = await direct.chat.completions.create(**asked)
        assert outcomes(app) == {"ok": 1}
    assert got.choices == expected.choices
    assert got.usage == expected.usage
    assert got.usage is not None and got.usage.completion_tokens == 20


async def test_a_streamed_chat_is_the_whole_answer_in_pieces() -> None:
    """The pieces make up the text of the answer that is not streamed; the usage is the same."""
    async with one_pool() as (through, direct, _):
        asked: dict[str, Any] = {"model": "demo", "messages": HELLO, "temperature": 0, "max_tokens": 30}
        stream = await through.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        whole = await direct.chat.completions.create(**asked)
    text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 20
    assert chunks[-1].usage == whole.usage


async def test_completions_whole_and_streamed() -> None:
    """The older endpoint with several prompts, and as a stream."""
    async with one_pool() as (through, _, _):
        whole = await through.completions.create(
            model="demo", prompt=["one", "two"], echo=True, max_tokens=4, temperature=0
        )
        stream = await through.completions.create(
            model="demo", prompt="one", echo=True, max_tokens=4, temperature=0, stream=True
        )
        text = "".join([chunk.choices[0].text async for chunk in stream])
    assert [choice.text[:3] for choice in whole.choices] == ["one", "two"]
    assert text == whole.choices[0].text


async def test_embeddings_as_base64_and_as_floats() -> None:
    """Base64, which the SDK asks for by itself, and floats are the same vectors."""
    async with one_pool() as (through, direct, _):
        coded = await through.embeddings.create(model="demo", input=["hello", "world"])
        plain = await through.embeddings.create(
            model="demo", input=["hello", "world"], encoding_format="float"
        )
        expected = await direct.embeddings.create(model="demo", input=["hello", "world"])
    assert [each.embedding for each in coded.data] == [each.embedding for each in expected.data]
    for one, other in zip(coded.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert coded.usage == plain.usage


async def test_models_of_one_pool_are_the_server_s() -> None:
    """With one pool the list comes from a backend."""
    async with one_pool() as (through, _, app):
        assert [model.id async for model in through.models.list()] == ["demo"]
        assert (await through.models.retrieve("demo")).id == "demo"
        assert outcomes(app) == {"ok": 2}


async def test_models_of_several_pools_are_the_gateway_s() -> None:
    """With several pools the list holds each pool's name, and no backend is asked."""
    async with two_pools() as (client, alpha, beta):
        assert [model.id async for model in client.models.list()] == ["alpha", "beta/large"]
        assert (await client.models.retrieve("alpha")).id == "alpha"
        with pytest.raises(openai.NotFoundError) as error:
            await client.models.retrieve("gamma")
        assert error.value.code == "model_not_found"
        assert alpha.stats.requests == beta.stats.requests == 0


async def test_a_model_s_name_may_have_a_slash() -> None:
    """The SDK escapes the slash of `beta/large` in the path; it is the same model."""
    async with two_pools() as (client, _, _):
        assert (await client.models.retrieve("beta/large")).id == "beta/large"


async def test_the_model_picks_the_pool_and_an_unknown_one_is_not_found() -> None:
    """Each model's requests reach its own server; a model nobody has is the SDK's NotFoundError."""
    async with two_pools() as (client, alpha, beta):
        for model, count in (("alpha", 1), ("beta/large", 3)):
            for _ in range(count):
                made = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=2)
                assert made.model == model
        with pytest.raises(openai.NotFoundError, match="gamma") as error:
            await client.chat.completions.create(model="gamma", messages=HELLO)
        assert (error.value.code, error.value.type) == ("model_not_found", "invalid_request_error")
        assert error.value.response.headers["x-gateway-error"] == "model_not_found"
        assert (alpha.stats.completed, beta.stats.completed) == (1, 3)


async def test_speech_arrives_as_it_is_made() -> None:
    """Sound is streamed, and byte for byte that of the server."""
    spoken: dict[str, Any] = {"model": "demo", "voice": "alloy", "input": "hello there " * 20}
    async with one_pool() as (through, direct, _):
        async with through.audio.speech.with_streaming_response.create(
            **spoken, response_format="wav"
        ) as response:
            pieces = [piece async for piece in response.iter_bytes(4096)]
        expected = (await direct.audio.speech.create(**spoken, response_format="wav")).read()
    assert len(pieces) > 1
    assert b"".join(pieces) == expected
    assert expected[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("fault", "raised", "status"),
    [("overload", openai.RateLimitError, 429), ("error", openai.InternalServerError, 500)],
)
async def test_a_server_s_errors_are_the_sdk_s(
    fault: str, raised: type[openai.APIStatusError], status: int
) -> None:
    """What a backend refuses reaches the client as the backend said it, Retry-After included."""
    async with (
        demo() as server,
        gateway(server.url, pool={"retries": {"attempts": 1}}) as app,
        sdk(url(app)) as client,
    ):
        with pytest.raises(raised, match="on purpose") as error:
            await client.chat.completions.create(
                model="demo", messages=HELLO, extra_headers={"x-demo-fault": fault}
            )
    assert error.value.status_code == status
    assert error.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


async def test_nobody_there_is_the_sdk_s_server_error() -> None:
    """With no backend to reach, the SDK raises the error it retries by itself."""
    with refusing() as nobody:
        async with gateway(nobody) as app, sdk(url(app)) as client:
            with pytest.raises(openai.InternalServerError) as error:
                await client.chat.completions.create(model="demo", messages=HELLO)
    assert (error.value.status_code, error.value.code) == (502, "connect_error")
