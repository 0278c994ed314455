"""What comes next in a text? A small n-gram language model, trained when it is made.

Probabilities are interpolated absolute discounting (Ney, Essen and Kneser 1994; Chen and Goodman 1999):
P(w | h) = max(c(h w) - D, 0) / c(h) + D · N(h) / c(h) · P(w | h'), h' being h without its oldest token.
An answer starts at the sentence of the corpus that shares the rarest words with the prompt.
"""

import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

#: A word (at most eight letters a piece, with the space before it), one space, or one other character.
_TOKEN = re.compile(r" ?\w{1,8}|\s|[^\w\s]")
_WORD = re.compile(r"\w+")
_SENTENCE_ENDS = frozenset(".!?")

ORDER = 3  # tokens of context
DISCOUNT = 0.5
TOP_K = 40  # likeliest followers kept per context: the tail of " the" is long and improbable
NO_REPEAT = 8  # no run of this many tokens occurs twice in an answer, or greedy decoding would go in circles
OPENING = 3  # tokens of the chosen sentence that an answer begins with
MIN_TOKENS = 24  # an answer is not over before
GREEDY_BELOW = 1e-3
END = ""  # the end of a text, as a token

Context = tuple[str, ...]
Distribution = tuple[tuple[str, ...], tuple[float, ...]]


def tokenize(text: str) -> list[str]:
    """Pieces whose concatenation is `text`."""
    return _TOKEN.findall(text)


def words_of(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is chosen; names and meanings as in OpenAI's API, `ignore_eos` as in vLLM's."""

    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False


class LanguageModel:
    """Immutable once made, but for its memo of distributions, which the number of contexts bounds."""

    def __init__(self, corpus: str) -> None:
        """Train on `corpus`: paragraphs divided by empty lines. Raises ValueError when it has none."""
        texts = [tokenize(" " + " ".join(part.split())) for part in corpus.split("\n\n") if part.strip()]
        if not texts:
            raise ValueError("the corpus is empty; give at least one paragraph of text")
        self._counts: dict[Context, Counter[str]] = {}
        self._memo: dict[Context, Distribution] = {}
        self._starts: list[tuple[str, ...]] = []
        self._words: list[set[str]] = []
        for text in texts:
            self._count([*text, END])
            self._index(text)
        frequency = Counter(word for words in self._words for word in words)
        total = len(self._words)
        self._rarity = {word: math.log(total / count) for word, count in frequency.items()}

    def __repr__(self) -> str:
        return f"<LanguageModel {len(self._counts)} contexts, {len(self._starts)} sentences>"

    def _count(self, tokens: list[str]) -> None:
        counts = self._counts
        for at in range(1, len(tokens)):
            for order in range(1, min(ORDER, at) + 1):
                counts.setdefault(tuple(tokens[at - order : at]), Counter())[tokens[at]] += 1

    def _index(self, tokens: list[str]) -> None:
        begin = 0
        for at, token in enumerate(tokens):
            if token in _SENTENCE_ENDS:
                self._starts.append(tuple(tokens[begin : min(begin + OPENING, at)]))
                self._words.append(words_of("".join(tokens[begin : at + 1])))
                begin = at + 1

    def starts(self, prompt: str) -> list[tuple[str, ...]]:
        """Ways to begin an answer to `prompt`, best first; every sentence of the corpus is one."""
        asked = words_of(prompt)
        rarity = self._rarity
        salt = zlib.crc32(prompt.encode())  # decides between equals, so that strange prompts differ too
        ranked = sorted(
            range(len(self._starts)),
            key=lambda at: (
                -sum(rarity[word] for word in asked & self._words[at]) / len(self._words[at]) ** 0.5,
                zlib.crc32(at.to_bytes(4, "little"), salt),
            ),
        )
        return [self._starts[at] for at in ranked]

    def followers(self, tokens: list[str]) -> Distribution:
        """The likeliest next tokens after `tokens` and their probabilities, likeliest first.

        Empty when the last token has never been followed by anything.
        """
        for order in range(min(ORDER, len(tokens)), 0, -1):
            context = tuple(tokens[-order:])
            if context in self._memo:
                return self._memo[context]
            if context in self._counts:
                likeliest = Counter(self._distribution(context)).most_common(TOP_K)
                total = sum(p for _, p in likeliest)
                made = tuple(token for token, _ in likeliest), tuple(p / total for _, p in likeliest)
                self._memo[context] = made
                return made
        return (), ()

    def _distribution(self, context: Context) -> dict[str, float]:
        counts = self._counts[context]
        total = counts.total()
        if len(context) == 1:
            return {token: count / total for token, count in counts.items()}
        share = DISCOUNT * len(counts) / total
        mixed = {token: share * p for token, p in self._distribution(context[1:]).items()}
        for token, count in counts.items():
            mixed[token] += (count - DISCOUNT) / total
        return mixed

    def generate(self, prompt: str, sampling: Sampling, rng: random.Random) -> "Generation":
        return Generation(self, prompt, sampling, rng)


class Generation:
    """One answer being written: an iterator of pieces of text, one for each token.

    A piece is empty while a possible beginning of a stop string is held back. `tokens` counts what was
    written so far, `finish_reason` is None until the end, then "stop" or "length".
    """

    __slots__ = (
        "_held",
        "_model",
        "_rng",
        "_runs",
        "_sampling",
        "_starts",
        "_text",
        "finish_reason",
        "tokens",
    )

    def __init__(self, model: LanguageModel, prompt: str, sampling: Sampling, rng: random.Random) -> None:
        self._model = model
        self._sampling = sampling
        self._rng = rng
        starts = model.starts(prompt)
        greedy = sampling.temperature < GREEDY_BELOW
        first = 0 if greedy else rng.randrange(min(4, len(starts)))
        self._starts = starts[first:] + starts[:first]
        self._text: list[str] = []
        self._runs: set[tuple[str, ...]] = set()
        self._held = ""
        self.tokens = 0
        self.finish_reason: str | None = None

    def __repr__(self) -> str:
        return f"<Generation {self.tokens} tokens, {self.finish_reason or 'going on'}>"

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.finish_reason is not None:
            raise StopIteration
        token = self._next_token()
        if token == END:
            return self._finish("stop")
        self._text.append(token)
        self._runs.add(tuple(self._text[-NO_REPEAT:]))
        self.tokens += 1
        self._held += token.lstrip() if self.tokens == 1 else token
        if (cut := _first(self._held, self._sampling.stop)) is not None:
            self._held = self._held[:cut]
            return self._finish("stop")
        if self.tokens >= self._sampling.max_tokens:
            return self._finish("length")
        return self._release(_overlap(self._held, self._sampling.stop))

    def _finish(self, reason: str) -> str:
        self.finish_reason = reason
        return self._release(0)

    def _release(self, keep: int) -> str:
        at = len(self._held) - keep
        piece, self._held = self._held[:at], self._held[at:]
        return piece

    def _next_token(self) -> str:
        written = len(self._text)
        start = self._starts[0]
        if written < len(start):
            return start[written]
        for order in range(ORDER, 0, -1):
            tokens, weights = self._allowed(*self._model.followers(self._text[-order:]))
            if tokens:
                break
        else:
            return self._resume()
        token = self._choose(tokens, weights)
        if token == END and (self._sampling.ignore_eos or written < MIN_TOKENS):
            return self._resume()
        return token

    def _allowed(self, tokens: tuple[str, ...], weights: tuple[float, ...]) -> Distribution:
        """Without the tokens that would write a run a second time."""
        if len(self._text) < NO_REPEAT:
            return tokens, weights
        recent = tuple(self._text[1 - NO_REPEAT :])
        left = [at for at, token in enumerate(tokens) if (*recent, token) not in self._runs]
        if len(left) == len(tokens):
            return tokens, weights
        return tuple(tokens[at] for at in left), tuple(weights[at] for at in left)

    def _resume(self) -> str:
        """Where the text would end but must not: the first word of the next best sentence."""
        self._starts.append(self._starts.pop(0))
        return self._starts[0][0]

    def _choose(self, tokens: tuple[str, ...], weights: tuple[float, ...]) -> str:
        temperature, top_p = self._sampling.temperature, self._sampling.top_p
        if temperature < GREEDY_BELOW:
            return tokens[0]
        if temperature != 1.0:
            weights = tuple((w / weights[0]) ** (1.0 / temperature) for w in weights)
        if top_p < 1.0:
            weights = _nucleus(weights, top_p)
        return self._rng.choices(tokens[: len(weights)], weights)[0]


def _nucleus(weights: tuple[float, ...], top_p: float) -> tuple[float, ...]:
    """The fewest leading weights that hold `top_p` of the whole (Holtzman et al. 2020)."""
    enough = top_p * sum(weights)
    held = 0.0
    for at, weight in enumerate(weights, start=1):
        held += weight
        if held >= enough:
            return weights[:at]
    return weights


def _first(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the earliest stop string begins in `text`; None when there is none."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, default=None)


def _overlap(text: str, stops: tuple[str, ...]) -> int:
    """Characters at the end of `text` that may be the beginning of a stop string."""
    return max(
        (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])),
        default=0,
    )


def load_model() -> LanguageModel:
    """The model of the corpus that the package carries; takes some 50 ms."""
    return LanguageModel(files("gateway.demo").joinpath("corpus.txt").read_text(encoding="utf-8"))
