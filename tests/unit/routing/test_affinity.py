"""Keys and prompt prefixes: found whatever the body, the same for the same beginning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.affinity import BLOCK, BLOCKS, SEARCHED, AffinityRule, prefix_hashes, request_key

KEY = AffinityRule(wants="key")


def chat(*texts: str, **members: Any) -> bytes:
    """A chat request's body, compact, `messages` first."""
    messages = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"messages": messages, **members}, separators=(",", ":")).encode()


# Prefixes.


def test_one_hash_for_each_whole_block() -> None:
    """1300 bytes of prompt are two blocks; fewer than one is none."""
    body = b'{"prompt":' + b"x" * 1300
    assert len(prefix_hashes(body)) == 2
    assert prefix_hashes(b'{"prompt":"short"}') == ()
    assert prefix_hashes(b"") == ()


def test_no_more_than_the_first_blocks() -> None:
    """What follows the 64th changes nothing."""
    long = b"x" * (BLOCK * BLOCKS)
    assert len(prefix_hashes(long + b"y" * 9999)) == BLOCKS
    assert prefix_hashes(long + b"y" * 9999) == prefix_hashes(long + b"z")
    assert len(prefix_hashes(long, block=16, most=3)) == 3


@given(same=st.binary(max_size=600), one=st.binary(max_size=200), other=st.binary(max_size=200))
def test_equal_beginnings_have_equal_hashes(same: bytes, one: bytes, other: bytes) -> None:
    """As many as there are whole equal blocks, and not one more."""
    first, second = prefix_hashes(b"#" + same + one, 16), prefix_hashes(b"#" + same + other, 16)
    alike = 0
    for left, right in zip(b"#" + same + one, b"#" + same + other, strict=False):
        if left != right:
            break
        alike += 1
    for depth, (left, right) in enumerate(zip(first, second, strict=False), 1):
        assert (left == right) == (16 * depth <= alike)


def test_a_hash_covers_all_that_came_before() -> None:
    """The same second block after another first is another prompt."""
    second = b"b" * BLOCK
    one, other = prefix_hashes(b"x" * BLOCK + second), prefix_hashes(b"y" * BLOCK + second)
    assert one[1] != other[1]
    assert len({*prefix_hashes(b"same" * 2000)}) == 8000 // BLOCK


@given(
    members=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in ("messages", "prompt", "input")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3),
        ),
        max_size=6,
    ),
    at=st.integers(0, 6),
    member=st.sampled_from(["messages", "prompt", "input"]),
    indent=st.sampled_from([None, 2]),
)
def test_what_stands_before_the_prompt_does_not_matter(
    members: dict[str, Any], at: int, member: str, indent: int | None
) -> None:
    """Whatever members come first, in whatever order and layout."""
    text = "All happy families are alike; " * 50
    before = dict(list(members.items())[:at])
    after = dict(list(members.items())[at:])
    body = json.dumps({**before, member: text, **after}, indent=indent).encode()
    assert prefix_hashes(body)[:2] == prefix_hashes(json.dumps({member: text}).encode())[:2]
    assert request_key(KEY, None, body) == request_key(KEY, None, json.dumps({member: text}).encode())


def test_the_next_turn_of_a_conversation_begins_alike() -> None:
    """All whole blocks of the first turn but the last are those of the second, whatever options are new."""
    first = chat("Tell me of Borodino. " * 60, model="m", stream=True)
    second = chat(
        "Tell me of Borodino. " * 60, "It was a battle. " * 40, "Go on.", model="m", temperature=0.5
    )
    one, two = prefix_hashes(first), prefix_hashes(second)
    assert len(two) > len(one) == 2
    assert two[:2] == one[:2]


def test_a_word_in_a_text_is_no_member() -> None:
    """`"messages"` quoted in a text, or as a value, is not where the prompt begins."""
    text = "x" * 600
    quoted = json.dumps({"user": 'say "messages": [', "kind": "messages", "prompt": text}).encode()
    assert prefix_hashes(quoted) == prefix_hashes(json.dumps({"prompt": text}).encode()) != ()


def test_the_value_of_a_member_may_be_the_word() -> None:
    """The first `"messages"` that is followed by a colon is the one."""
    messages = [{"role": "user", "content": "y" * 600}]
    body = json.dumps({"kind": "messages", "messages": messages}).encode()
    assert prefix_hashes(body) == prefix_hashes(json.dumps({"messages": messages}).encode())


@pytest.mark.parametrize("colon", [":", " : ", "\n:\t\r\n  "])
def test_space_around_the_colon_does_not_matter(colon: str) -> None:
    """The prompt begins with its value."""
    body = ('{"prompt"' + colon + '"' + "x" * 600 + '"}').encode()
    assert prefix_hashes(body) == prefix_hashes(b'{"prompt":"' + b"x" * 600)
    assert len(prefix_hashes(body)) == 1


def test_messages_come_before_tools_that_have_an_input() -> None:
    """A tool's parameter called `input` stands before the messages, but they are the prompt."""
    messages = [{"role": "user", "content": "y" * 600}]
    tools = [{"parameters": {"properties": {"input": {"type": "string"}}}}]
    with_tools = json.dumps({"tools": tools, "messages": messages}).encode()
    assert prefix_hashes(with_tools) == prefix_hashes(json.dumps({"messages": messages}).encode())


def test_a_prompt_far_down_is_not_looked_for() -> None:
    """Then the whole body counts, as it does where there is none."""
    tail = b'"prompt":"' + b"y" * 600
    assert prefix_hashes(b"{" + b" " * 1000 + tail) == prefix_hashes(b"{" + tail)
    far = b'{"x":"' + b"z" * SEARCHED + b'",' + tail
    assert prefix_hashes(far)[0] == prefix_hashes(b'{"x":"' + b"z" * SEARCHED)[0]


def test_other_bodies_count_from_their_beginning() -> None:
    """Audio that happens to hold the word does not begin there."""
    audio = bytes(range(256)) * 4
    assert prefix_hashes(audio + b'"prompt":') == prefix_hashes(audio)
    assert len(prefix_hashes(audio)) == 2


@given(body=st.binary(max_size=3000) | st.text(max_size=500).map(str.encode), field=st.text(max_size=9))
def test_no_body_is_too_strange(body: bytes, field: str) -> None:
    """Never an error: hashes for whole blocks, a key for whatever is not empty."""
    assert len(prefix_hashes(body)) <= len(body) // BLOCK
    rule = AffinityRule("key", field=field)
    key = request_key(rule, None, body)
    assert key == request_key(rule, None, body)
    assert key is None or 0 <= key < 2**64


@pytest.mark.parametrize("inner", ['"\\ud800"', '"\xff"', "[" * 5000, '{"a":1', "1e999", '"\\u00"', "nul"])
def test_no_member_is_too_strange(inner: str) -> None:
    """Lone surrogates, broken text, bottomless nesting: another key, but no error."""
    rule = AffinityRule("key", field="user")
    assert request_key(rule, None, b'{"user":' + inner.encode("latin-1") + b"}") is not None


# Keys.


def test_the_first_of_header_member_and_prompt_counts() -> None:
    """Each in its turn where those before it are missing or empty; nothing at all has no key."""
    rule = AffinityRule("key", header=b"x-session-id", field="user")
    body = chat("hello", user="bob")
    by_header = request_key(rule, b"s-1", body)
    by_member = request_key(rule, None, body)
    by_prompt = request_key(rule, None, chat("hello"))
    assert len({by_header, by_member, by_prompt, None}) == 4
    assert by_header == request_key(rule, b"s-1", b"")
    assert by_member == request_key(rule, b"", chat("good bye", user="bob"))
    for user in (None, ""):
        assert request_key(rule, None, chat("hello", user=user)) == request_key(
            KEY, None, chat("hello", user=user)
        )
    assert request_key(rule, None, b"") is None


def test_gateways_agree() -> None:
    """The key is the same in every process, on every machine."""
    assert request_key(KEY, b"s-1", b"") == 226042384122961421


def test_a_member_is_its_value_however_written() -> None:
    """Escapes and space do not matter; a number is not the text of the same digits, but is a key too."""
    rule = AffinityRule("key", field="user")
    assert request_key(rule, None, b'{"user":"bob"}') == request_key(rule, None, rb'{ "user" : "\u0062ob" }')
    assert request_key(rule, None, b'{"user":7}') == request_key(rule, None, b'{"a":1,"user":7}')
    assert request_key(rule, None, b'{"user":7}') != request_key(rule, None, b'{"user":8}')


def test_only_the_member_of_the_object_itself_counts() -> None:
    """Not one of the same name further in."""
    rule = AffinityRule("key", field="user")
    inner = b'{"prompt":"hello","metadata":{"user":"bob"}}'
    assert request_key(rule, None, inner) == request_key(KEY, None, inner)


def test_as_many_bytes_of_the_prompt_count_as_are_asked_for() -> None:
    """Prompts that differ after them have one key, those that differ before have two."""
    short = AffinityRule("key", prefix_bytes=100)
    one, other = chat("x" * 200 + "1"), chat("x" * 200 + "2")
    assert request_key(short, None, one) == request_key(short, None, other)
    assert request_key(KEY, None, one) != request_key(KEY, None, other)
