"""Does the openai SDK, unchanged, get what it expects from the demo server?"""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from gateway.demo.model import load_model
from gateway.demo.options import ServerOptions
from gateway.demo.server import Running, start

MODEL = load_model()
HELLO = [{"role": "user", "content": "What is a health check?"}]


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    running = await start(ServerOptions(tokens_per_second=0, prefill_tokens_per_second=0), MODEL)
    yield running
    await running.close()


@pytest.fixture
async def client(server: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as made:
        yield made


async def test_sdk_chat(client: openai.AsyncOpenAI) -> None:
    """A chat is answered with text, usage and a reason for the end; a seed makes it repeatable."""
    texts = set()
    for _ in range(2):
        made = await client.chat.completions.create(model="demo", messages=HELLO, seed=4, max_tokens=12)
        texts.add(made.choices[0].message.content)
        assert made.usage is not None
        assert made.usage.completion_tokens == 12
        assert made.usage.total_tokens == made.usage.prompt_tokens + 12
        assert made.choices[0].finish_reason == "length"
    assert len(texts) == 1


async def test_sdk_stream_is_the_whole_answer_in_pieces(client: openai.AsyncOpenAI) -> None:
    """Role, content and finish chunks, then usage; together the same text as without a stream."""
    asked: dict[str, Any] = {"model": "demo", "messages": HELLO, "temperature": 0, "max_tokens": 30}
    whole = await client.chat.completions.create(**asked)
    stream = await client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks[:-1]]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [c.finish_reason for c in choices if c.finish_reason] == [whole.choices[0].finish_reason]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


async def test_sdk_several_choices(client: openai.AsyncOpenAI) -> None:
    """`n` choices are separate texts, whole or streamed."""
    asked: dict[str, Any] = {"model": "demo", "messages": HELLO, "n": 3, "seed": 1, "max_tokens": 20}
    whole = await client.chat.completions.create(**asked)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    streamed = ["", "", ""]
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == [choice.message.content for choice in whole.choices]
    assert len(set(streamed)) > 1


async def test_sdk_completions(client: openai.AsyncOpenAI) -> None:
    """The older endpoint takes several prompts, echoes them and streams."""
    whole = await client.completions.create(
        model="demo", prompt=["one", "two"], echo=True, max_tokens=4, temperature=0
    )
    assert [choice.text[:3] for choice in whole.choices] == ["one", "two"]
    stream = await client.completions.create(
        model="demo", prompt="one", echo=True, max_tokens=4, temperature=0, stream=True
    )
    text = "".join([chunk.choices[0].text async for chunk in stream])
    assert text == whole.choices[0].text


async def test_sdk_embeddings(client: openai.AsyncOpenAI) -> None:
    """The SDK asks for base64; floats are the same vectors."""
    coded = await client.embeddings.create(model="demo", input=["hello", "world"], dimensions=64)
    plain = await client.embeddings.create(
        model="demo", input="hello", dimensions=64, encoding_format="float"
    )
    tokens = await client.embeddings.create(model="demo", input=[[1, 2, 3], [4]])
    assert coded.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert [len(each.embedding) for each in coded.data] == [64, 64]
    assert tokens.usage.prompt_tokens == 4
    assert len(tokens.data[1].embedding) == 256


async def test_sdk_models_and_errors(client: openai.AsyncOpenAI) -> None:
    """Models are listed; another model and a wrong value raise the SDK's own errors."""
    assert [model.id async for model in client.models.list()] == ["demo"]
    assert (await client.models.retrieve("demo")).id == "demo"
    with pytest.raises(openai.NotFoundError, match="this server has `demo`"):
        await client.models.retrieve("gpt/x")
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        await client.chat.completions.create(model="demo", messages=HELLO, temperature=9)


async def test_sdk_speech(client: openai.AsyncOpenAI, server: Running) -> None:
    """Sound comes as one WAV file; a form that is not made is refused."""
    sound = await client.audio.speech.create(
        model="demo", voice="alloy", input="hello there", response_format="wav"
    )
    body = sound.read()
    assert body[:4] + body[8:12] == b"RIFFWAVE"
    assert int.from_bytes(body[4:8], "little") == len(body) - 8
    with pytest.raises(openai.BadRequestError, match="wav, pcm"):
        await client.audio.speech.create(model="demo", voice="alloy", input="hi", response_format="mp3")
    assert server.stats.completed == 1
