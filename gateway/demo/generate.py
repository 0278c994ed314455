"""How is an answer written, whole or token by token? The handlers of chat and text completions."""

import random
from collections.abc import Iterable

from aiohttp import web

from gateway import clock
from gateway.demo.answers import DONE, JSON, Answer, event
from gateway.demo.model import Generation
from gateway.demo.requests import (
    ChatRequest,
    CompletionRequest,
    Work,
    chat_work,
    completion_work,
    decode,
)
from gateway.demo.service import CUT_AFTER, FAULT, SERVICE, YIELD_EVERY, Fault, Pace, Service, cut

STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Decoder:
    """The choices of one request, written side by side, one token each a step."""

    def __init__(self, service: Service, work: Work, pace: Pace) -> None:
        self._pace = pace
        self.steps = 0
        self.choices: list[Generation] = [
            service.model.generate(prompt, work.sampling, self._dice(service, work.seed, choice))
            for prompt in work.prompts
            for choice in range(work.n)
        ]
        self._going = list(enumerate(self.choices))
        self._begun = [prompt if work.echo else "" for prompt in work.prompts for _ in range(work.n)]

    @staticmethod
    def _dice(service: Service, seed: int | None, choice: int) -> random.Random:
        return random.Random(service.rng.getrandbits(64) if seed is None else seed + choice)

    @property
    def tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    def step(self) -> list[tuple[int, str, str | None]]:
        """The next token of each unfinished choice: index, text, finish reason. Empty at the end."""
        first = self.steps == 0
        made = []
        for index, choice in self._going:
            text = self._begun[index] + next(choice) if first else next(choice)
            made.append((index, text, choice.finish_reason))
        self._going = [(index, choice) for index, choice in self._going if choice.finish_reason is None]
        self.steps += bool(made)
        return made

    async def due(self) -> None:
        """Wait until the tokens of the last step may be sent."""
        await self._pace.until(self.steps)


async def chat(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    asked = decode(await request.read(), ChatRequest, service.options.model)
    return await _answer(service, request, chat_work(asked))


async def completion(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    asked = decode(await request.read(), CompletionRequest, service.options.model)
    return await _answer(service, request, completion_work(asked))


async def _answer(service: Service, request: web.Request, work: Work) -> web.StreamResponse:
    prefix = "chatcmpl" if work.kind == "chat" else "cmpl"
    answer = Answer(
        work, f"{prefix}-{service.rng.getrandbits(96):024x}", int(clock.wall()), service.options.model
    )
    if work.stream:
        return await _stream(service, request, answer)
    return await _whole(service, request, answer)


async def _whole(service: Service, request: web.Request, answer: Answer) -> web.StreamResponse:
    async with service.slots:
        await service.prefill(request, answer.work.prompt_tokens)
        decoder = Decoder(service, answer.work, service.pace(request))
        texts: dict[int, str] = {}
        while made := decoder.step():
            for index, text, _ in made:
                texts[index] = texts.get(index, "") + text
            if decoder.steps % YIELD_EVERY == 0:
                await decoder.due()
        await decoder.due()
    service.stats.completion_tokens += decoder.tokens
    whole = answer.whole(
        ((index, texts[index], choice.finish_reason) for index, choice in enumerate(decoder.choices)),
        decoder.tokens,
    )
    return await service.send_json(request, whole)


async def _stream(service: Service, request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(headers=STREAM_HEADERS)
    await response.prepare(request)  # before a slot is free, as vLLM does it
    async with service.slots:
        await service.prefill(request, answer.work.prompt_tokens)
        decoder = Decoder(service, answer.work, service.pace(request))
        try:
            await _write_steps(request, response, answer, decoder)
        finally:
            service.stats.completion_tokens += decoder.tokens
    await response.write(_events(answer.closing(decoder.tokens)) + DONE)
    return response


async def _write_steps(
    request: web.Request, response: web.StreamResponse, answer: Answer, decoder: Decoder
) -> None:
    is_cut = request[FAULT] is Fault.CUT
    opening = _events(answer.opening(range(len(decoder.choices))))
    while made := decoder.step():
        await decoder.due()
        chunks = b"".join(_events(answer.pieces(*piece)) for piece in made)
        if opening or chunks:
            await response.write(opening + chunks)
            opening = b""
        if is_cut and decoder.steps >= CUT_AFTER:
            raise cut(request)
    if is_cut:
        raise cut(request)


def _events(chunks: Iterable[JSON]) -> bytes:
    return b"".join(map(event, chunks))
