"""What else does the demo server answer? Models, embeddings, sound, echo, health and statistics."""

import hashlib

from aiohttp import WSMsgType, web

from gateway.demo.answers import model_card, usage
from gateway.demo.audio import FRAME_S, SECONDS_PER_TOKEN, frame_count, tone, wav_header
from gateway.demo.embedding import embed, to_base64
from gateway.demo.model import tokenize
from gateway.demo.requests import (
    EmbeddingRequest,
    SpeechRequest,
    bad_request,
    check_dimensions,
    check_model,
    decode,
    read_inputs,
)
from gateway.demo.service import CUT_AFTER, FAULT, SERVICE, Fault, Service, cut

FRAMES_PER_MESSAGE = 4
FRAMES_PER_TOKEN = SECONDS_PER_TOKEN / FRAME_S


async def embeddings(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    asked = decode(await request.read(), EmbeddingRequest, service.options.model)
    inputs = read_inputs(asked.input, "input")
    dimensions, as_base64 = check_dimensions(asked)
    tokens = sum(count for _, count in inputs)
    async with service.slots:
        await service.prefill(request, tokens)
        vectors = [embed(text, dimensions) for text, _ in inputs]
    data = [
        {"object": "embedding", "index": index, "embedding": to_base64(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    bill = {key: value for key, value in usage(tokens, 0).items() if key != "completion_tokens"}
    answer = {"object": "list", "data": data, "model": service.options.model, "usage": bill}
    return await service.send_json(request, answer)


async def speech(request: web.Request) -> web.StreamResponse:
    """A tone as long as the text, sent frame by frame: `wav` (default) or `pcm`."""
    service = request.app[SERVICE]
    asked = decode(await request.read(), SpeechRequest, service.options.model)
    form = asked.response_format or "wav"
    if form not in {"wav", "pcm"}:
        raise bad_request(f"`response_format` is {form}; accepted: wav, pcm", "response_format")
    tokens = len(tokenize(asked.input))
    frames = frame_count(tokens)
    response = web.StreamResponse(headers={"content-type": f"audio/{form}"})
    await response.prepare(request)
    async with service.slots:
        await service.prefill(request, tokens)
        if form == "wav":
            await response.write(wav_header(frames))
        pace = service.pace(request)
        for count, frame in enumerate(tone(str(asked.voice), frames), start=1):
            await pace.until(int(count / FRAMES_PER_TOKEN))
            await response.write(frame)
            if request[FAULT] is Fault.CUT and count >= min(CUT_AFTER, frames):
                raise cut(request)
    return response


async def realtime(request: web.Request) -> web.StreamResponse:
    """WebSocket: a text message comes back, then `?frames=` (4) binary frames of sound, then the text `done`.

    A binary message comes back as it is.
    """
    asked = request.query.get("frames", str(FRAMES_PER_MESSAGE))
    if not asked.isascii() or not asked.isdigit() or int(asked) > 1000:
        raise bad_request(f"`frames` is {asked!r}; accepted: 0 to 1000", "frames")
    socket = web.WebSocketResponse()
    if not socket.can_prepare(request):
        raise bad_request("this is a WebSocket endpoint; send an upgrade request")
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
            for frame in tone(message.data, int(asked)):
                await socket.send_bytes(frame)
                if request[FAULT] is Fault.CUT:
                    raise cut(request)
            await socket.send_str("done")
    return socket


async def echo(request: web.Request) -> web.StreamResponse:
    """What arrived, as it arrived: method, path with query, headers in order, SHA-256 of the body."""
    service = request.app[SERVICE]
    digest = hashlib.sha256()
    length = 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        length += len(piece)
    answer = {
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
        "sha256": digest.hexdigest(),
        "length": length,
        "name": service.options.name,
    }
    return await service.send_json(request, answer)


async def models(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    return web.json_response({"object": "list", "data": [model_card(service.options.model, service.created)]})


async def one_model(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    check_model(request.match_info["id"], service.options.model)
    return web.json_response(model_card(service.options.model, service.created))


async def health(request: web.Request) -> web.Response:
    if request.app[SERVICE].loading:
        return web.json_response({"status": "loading"}, status=503)
    return web.json_response({"status": "ok"})


async def stats(request: web.Request) -> web.Response:
    service: Service = request.app[SERVICE]
    about = {"name": service.options.name, "model": service.options.model, "slots": service.options.slots}
    return web.json_response(about | service.stats.snapshot())
