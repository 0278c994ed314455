"""Does the small language model write text that can be counted, repeated, stopped and cut short?"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import clock
from gateway.demo.model import LanguageModel, Sampling, load_model, tokenize, words_of

MODEL = load_model()
PROMPT = "What is a health check?"
GREEDY = Sampling(temperature=0.0)


def write(prompt: str = PROMPT, sampling: Sampling = GREEDY, seed: int = 1) -> str:
    return "".join(MODEL.generate(prompt, sampling, random.Random(seed)))


@given(st.text())
def test_tokens_hold_the_whole_text(text: str) -> None:
    """Tokens put together again are the text, whatever it contains."""
    assert "".join(tokenize(text)) == text


def test_tokens_are_words_and_their_parts() -> None:
    """English has somewhat more tokens than words: long words are split, points stand alone."""
    assert tokenize("Reading the configuration, twice.") == [
        "Reading",
        " the",
        " configur",
        "ation",
        ",",
        " twice",
        ".",
    ]


def test_training_is_quick() -> None:
    """A server can learn its words at every start."""
    began = clock.cpu_s()
    load_model()
    assert clock.cpu_s() - began < 0.3


def test_greedy_text_is_the_same_whatever_the_dice() -> None:
    """At temperature 0 the answer depends on the prompt alone."""
    assert write(seed=1) == write(seed=2) != write("Tell me about caches.")


def test_same_seed_same_text() -> None:
    """Sampling is repeatable with the same dice, and varied with others."""
    sampling = Sampling(temperature=1.0)
    assert write(sampling=sampling, seed=5) == write(sampling=sampling, seed=5)
    assert len({write(sampling=sampling, seed=seed) for seed in range(8)}) > 4


def test_answer_is_about_the_question() -> None:
    """An answer starts with a sentence that shares rare words with the prompt."""
    assert {"health", "check"} <= words_of(write(PROMPT))


@given(st.text(max_size=40), st.integers(1, 80), st.floats(0, 2), st.floats(0.05, 1), st.integers())
def test_every_answer_keeps_its_limits(prompt: str, limit: int, heat: float, top_p: float, seed: int) -> None:
    """At most `max_tokens` tokens, as many as pieces say, and a reason for the end."""
    generation = MODEL.generate(prompt, Sampling(limit, heat, top_p), random.Random(seed))
    pieces = list(generation)
    assert generation.tokens <= limit
    assert generation.finish_reason == ("length" if generation.tokens == limit else "stop")
    assert 0 <= len(pieces) - generation.tokens <= 1  # the end of a text is a step without a token
    assert not "".join(pieces).startswith(" ")


def test_length_and_ignored_end() -> None:
    """A text that may not end goes on to the limit, without running in a circle."""
    generation = MODEL.generate(PROMPT, Sampling(400, 0.0, ignore_eos=True), random.Random(1))
    text = "".join(generation)
    assert (generation.tokens, generation.finish_reason) == (400, "length")
    assert text[-80:] not in text[:-80]


@given(st.integers(0, 60), st.integers(1, 12), st.integers(0, 30))
def test_stop_string_ends_the_answer_before_it(at: int, size: int, seed: int) -> None:
    """The text ends before the first stop string, and no piece ever shows a part of it."""
    whole = write(sampling=Sampling(60, 0.8, ignore_eos=True), seed=seed)
    stop = whole[at : at + size]
    generation = MODEL.generate(
        PROMPT, Sampling(60, 0.8, stop=("never to be seen", stop), ignore_eos=True), random.Random(seed)
    )
    assert "".join(generation) == whole[: whole.find(stop)]
    assert generation.finish_reason == "stop"


def test_narrow_nucleus_is_greedy() -> None:
    """With a tiny top_p only the likeliest token is left, so the dice change the beginning at most."""
    texts = {write(sampling=Sampling(temperature=1.0, top_p=1e-9), seed=seed) for seed in range(20)}
    assert len(texts) <= 4


def test_probabilities_add_up() -> None:
    """Every context's followers are a distribution, likeliest first."""
    for context in (["xyz"], [" the"], [" health", " check"], [" A", " health", " check"]):
        tokens, weights = MODEL.followers(context)
        assert len(tokens) == len(weights) == len(set(tokens))
        assert list(weights) == sorted(weights, reverse=True)
        assert not tokens or sum(weights) == pytest.approx(1.0)


def test_no_corpus_is_refused() -> None:
    """A model of nothing says what it needs."""
    with pytest.raises(ValueError, match="at least one paragraph"):
        LanguageModel(" \n\n ")
