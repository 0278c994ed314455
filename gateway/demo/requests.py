"""What does a client of the demo server ask for? OpenAI's request bodies, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from gateway.demo.embedding import DIMENSIONS
from gateway.demo.model import Sampling, tokenize

MAX_TOKENS = 8192
DEFAULT_MAX_TOKENS = 512
MAX_CHOICES = 16
MAX_INPUTS = 2048
MAX_STOPS = 4
TOKENS_PER_MESSAGE = 4  # role and separators, as in ChatML

Inputs = str | list[str | int | list[int]]  # a text, texts, one token list, or token lists


class ApiError(Exception):
    """An error in OpenAI's form. `kind` is its key in the statistics, and its `code` unless one is given."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code or kind
        self.retry_after_s = retry_after_s


def bad_request(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "bad_request", message, param=param)


class Part(msgspec.Struct):
    type: str = "text"
    text: str = ""


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Generate(msgspec.Struct, kw_only=True):
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: int | None = None
    ignore_eos: bool = False


class ChatRequest(_Generate, kw_only=True):
    messages: list[Message]
    max_completion_tokens: int | None = None


class CompletionRequest(_Generate, kw_only=True):
    prompt: Inputs
    echo: bool | None = None


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    input: Inputs
    model: str | None = None
    dimensions: int | None = None
    encoding_format: str | None = None


class SpeechRequest(msgspec.Struct, kw_only=True):
    input: str
    model: str | None = None
    voice: str | dict[str, str] = "alloy"
    response_format: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One generation: `prompts` × `n` answers. `kind` is "chat" or "completion"."""

    kind: str
    prompts: tuple[str, ...]
    n: int
    sampling: Sampling
    seed: int | None
    stream: bool
    include_usage: bool
    prompt_tokens: int
    echo: bool = False


AnyRequest = TypeVar("AnyRequest", ChatRequest, CompletionRequest, EmbeddingRequest, SpeechRequest)


def decode(body: bytes, kind: type[AnyRequest], model: str) -> AnyRequest:
    """`body` as `kind`. Raises ApiError: 400 when it is not that, 404 when it asks for another model."""
    try:
        asked = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the request body is not understood: {error}") from None
    check_model(asked.model, model)
    return asked


def check_model(asked: str | None, model: str) -> None:
    """A request that names no model means the one there is. Raises ApiError 404 for another one."""
    if asked is not None and asked != model:
        message = f"the model `{asked}` does not exist here; this server has `{model}`"
        raise ApiError(404, "not_found", message, param="model", code="model_not_found")


def chat_work(asked: ChatRequest) -> Work:
    """The model answers the last message; all of them count as prompt."""
    if not asked.messages:
        raise bad_request("`messages` is empty; send at least one", "messages")
    texts = [message.text for message in asked.messages]
    prompt_tokens = sum(len(tokenize(text)) + TOKENS_PER_MESSAGE for text in texts)
    limit = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    return _work("chat", asked, (texts[-1],), prompt_tokens, limit)


def completion_work(asked: CompletionRequest) -> Work:
    inputs = read_inputs(asked.prompt, "prompt")
    prompts = tuple(text for text, _ in inputs)
    tokens = sum(tokens for _, tokens in inputs)
    return _work("completion", asked, prompts, tokens, asked.max_tokens, echo=bool(asked.echo))


def read_inputs(given: Inputs, param: str) -> list[tuple[str, int]]:
    """Each input's text and its number of tokens; the tokens of a list stand for themselves."""
    if isinstance(given, str):
        return [(given, len(tokenize(given)))]
    if not given or len(given) > MAX_INPUTS:
        raise bad_request(f"`{param}` has {len(given)} entries; send 1 to {MAX_INPUTS}", param)
    if all(isinstance(entry, int) for entry in given):
        return [_tokens_as_text(given)]
    inputs = []
    for entry in given:
        if isinstance(entry, int):
            raise bad_request(f"`{param}` mixes tokens with other entries; send one kind", param)
        inputs.append((entry, len(tokenize(entry))) if isinstance(entry, str) else _tokens_as_text(entry))
    return inputs


def _tokens_as_text(tokens: Sequence[object]) -> tuple[str, int]:
    return " ".join(str(token) for token in tokens), len(tokens)


def _work(
    kind: str,
    asked: _Generate,
    prompts: tuple[str, ...],
    prompt_tokens: int,
    limit: int | None,
    *,
    echo: bool = False,
) -> Work:
    temperature = 1.0 if asked.temperature is None else asked.temperature
    top_p = 1.0 if asked.top_p is None else asked.top_p
    n = 1 if asked.n is None else asked.n
    limit = DEFAULT_MAX_TOKENS if limit is None else limit
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    _check("temperature", temperature, 0.0 <= temperature <= 2.0, "0 to 2")
    _check("top_p", top_p, 0.0 < top_p <= 1.0, "above 0, at most 1")
    _check("n", n, 1 <= n * len(prompts) <= MAX_CHOICES, f"1 to {MAX_CHOICES} for all prompts together")
    _check("max_tokens", limit, 1 <= limit <= MAX_TOKENS, f"1 to {MAX_TOKENS}")
    _check("stop", len(stop), len(stop) <= MAX_STOPS and all(stop), f"at most {MAX_STOPS} texts, none empty")
    sampling = Sampling(limit, temperature, top_p, stop, asked.ignore_eos)
    include_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    return Work(
        kind, prompts, n, sampling, asked.seed, bool(asked.stream), include_usage, prompt_tokens, echo
    )


def check_dimensions(asked: EmbeddingRequest) -> tuple[int, bool]:
    """How many dimensions, and whether as base64."""
    dimensions = DIMENSIONS if asked.dimensions is None else asked.dimensions
    _check("dimensions", dimensions, 1 <= dimensions <= DIMENSIONS, f"1 to {DIMENSIONS}")
    encoding = asked.encoding_format or "float"
    _check("encoding_format", encoding, encoding in {"float", "base64"}, "float or base64")
    return dimensions, encoding == "base64"


def _check(param: str, found: object, right: bool, accepted: str) -> None:
    if not right:
        raise bad_request(f"`{param}` is {found}; accepted: {accepted}", param)
