"""The answer as a whole: ends, limits, junk, and any cut of any stream."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.agents.dialects import interpret, plain_text
from chat.agents.values import Limits, ReasoningDelta, TextDelta, Usage

from .streams import DONE, Read, data, native, native_end, openai, read, read_bytewise

TEXT = "Olá 👩‍👩‍👧 שלום e\u0301 \u2028 \x85 Ω"


def test_every_byte_in_its_own_read_gives_the_same_answer() -> None:
    body = b"\xef\xbb\xbf: ping\r\n\r\n" + native(TEXT).replace(b"\n", b"\r\n") + native_end()
    assert read_bytewise(body).events == read(body).events
    assert read(body).text == TEXT


@pytest.mark.parametrize("bad", [b"\xff\xfe\xc3", b"\xe2\x82", b"\xed\xa0\x80"])
def test_ill_formed_utf8_becomes_replacement_characters_and_the_stream_goes_on(bad: bytes) -> None:
    answer = read(b'data: {"message": "a' + bad + b'b"}\n\n', native("c"), native_end())
    assert answer.text == "a" + bad.decode("utf-8", "replace") + "bc"
    assert "\ufffd" in answer.text


@pytest.mark.parametrize("escape", ["\\ud83c", "\\udf0d", "\\ud83c\\ud83c"])
def test_a_lone_surrogate_keeps_the_text_with_a_replacement_character(escape: str) -> None:
    answer = read(f'data: {{"message": "a{escape}b"}}\n\n'.encode(), native_end())
    assert answer.text == "a" + "\ufffd" * (len(escape) // 6) + "b"
    answer.text.encode()


def test_escaped_surrogate_pairs_are_one_character() -> None:
    assert read(b'data: {"message": "\\ud83c\\udf0d \\ud83c"}\n\n', native_end()).text == "🌍 \ufffd"


def test_not_a_number_is_no_count() -> None:
    assert read(b'data: {"message": "a", "stop_reason": "x", "tokens": {"input": NaN}}\n\n').usage[0] is None


@pytest.mark.parametrize("body", [b"", b": ping\n\n", b"\n\n", b"retry: 5\n\n"])
def test_a_body_without_an_event_ended_early(body: bytes) -> None:
    assert read(body).code == "ended_early"


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html>\n<html><body>Sign in</body></html>",
        b"{",
        b'{"a": 1}',
        b"{}",
        b'{"message": "a',
        b"data: [1]\n\n",
        b"Internal error\n",
        b'{"a":1}\n{"b":2}\n',
    ],
)
def test_a_body_that_is_no_stream_we_know_is_a_protocol_error(body: bytes) -> None:
    answer = read(body)
    assert (answer.code, answer.text) == ("protocol", "")


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]},
        {"content": "Hi"},
        {"message": "Hi"},
    ],
)
def test_a_whole_json_body_is_an_answer_in_every_dialect(body: dict[str, object]) -> None:
    answer = read(b"\n " + json.dumps(body, indent=1).encode())
    assert (answer.text, answer.code) == ("Hi", None)


@pytest.mark.parametrize(
    "junk", ['{"message": "a', "[1, 2]", '{"unknown": 1}', '{"type": "strange"}', "7", "x"]
)
def test_unreadable_events_among_good_ones_are_skipped_and_never_shown(junk: str) -> None:
    answer = read(native("a"), *[data(junk)] * 20, native("b"), *[data(junk)] * 20, native_end())
    assert (answer.text, answer.code, answer.reader.bad) == ("ab", None, 40)


def test_too_many_unreadable_events_in_a_row_are_a_protocol_error() -> None:
    answer = read(native("a"), *[data("{")] * 21, native_end())
    assert (answer.text, answer.code) == ("a", "protocol")


def test_an_event_above_the_limit_keeps_the_text_before() -> None:
    answer = read(native("a") + b"data: " + b"x" * (1 << 20) + b"\n\n" + native_end())
    assert (answer.text, answer.code) == ("a", "event_too_large")


def test_an_answer_above_the_limit_keeps_what_fits() -> None:
    limits = Limits(answer_bytes=10)
    answer = read(native("éééé"), native("aa"), native("b"), native_end(), limits=limits)
    assert (answer.text, answer.code) == ("ééééaa", "answer_too_large")


def test_reasoning_counts_against_the_limit_too() -> None:
    chunk = data({"choices": [{"delta": {"reasoning": "x" * 11}}]})
    assert read(chunk, limits=Limits(answer_bytes=10)).code == "answer_too_large"


def test_a_json_body_above_the_limits_is_not_held() -> None:
    limits = Limits(answer_bytes=1000, event_bytes=1000)
    answer = Read((b'{"message": "', *[b"x" * 100] * 1000), limits)
    assert answer.code == "answer_too_large"


def test_the_first_of_two_ends_wins() -> None:
    second = native("", stop_reason="length", tokens={"input": 1, "output": 1})
    answer = read(native("a"), native_end(), native("late"), second, data({"type": "error", "message": "x"}))
    assert answer.text == "a"
    assert answer.done is not None
    assert (answer.done.stop_reason, answer.usage) == ("stop", (749, None, 5))


def test_tokens_after_the_reason_are_still_taken() -> None:
    tokens = {"user": 1, "enrichment": 2, "output": 3}
    assert read(native("a", stop_reason="stop"), data({"tokens": tokens})).usage == (1, 2, 3)


def test_an_answer_without_a_character_is_told_apart() -> None:
    assert read(native(""), native_end(tokens=None)).code == "empty_answer"
    assert read(openai(finish="content_filter"), DONE).code == "filtered"
    assert read(DONE).code == "empty_answer"


def test_a_filter_after_text_is_a_reason_and_no_error() -> None:
    answer = read(openai("a"), openai(finish="content_filter"), DONE)
    assert answer.done is not None
    assert (answer.text, answer.done.stop_reason) == ("a", "content_filter")


def test_an_empty_answer_keeps_its_usage() -> None:
    fault = read(native(""), native_end()).reader.fault
    assert fault is not None and fault.usage is not None
    assert fault.usage.total == 754


def test_cumulative_messages_give_their_new_part_only_when_asked_to() -> None:
    chunks = [native(text) for text in ("a", "aa", "aab", "")]
    assert read(*chunks, native_end(), cumulative=True).deltas == ["a", "a", "b"]
    assert read(*chunks, native_end()).text == "aaaaab"


def test_a_hundred_thousand_tiny_events_are_all_read() -> None:
    body = native("x") * 100_000 + native_end()
    answer = Read(body[i : i + 65536] for i in range(0, len(body), 65536))
    assert (len(answer.text), answer.code) == (100_000, None)


def test_sources_without_end_are_bounded() -> None:
    many = [native("a", knowledge_source_id=[f"k{i}-{j}" for j in range(100)]) for i in range(50)]
    found = [e for e in read(*many, native_end()).events if not isinstance(e, TextDelta)]
    assert sum(len(e.sources) for e in found if hasattr(e, "sources")) == 200


@pytest.mark.parametrize(
    "deep",
    [
        '{"message":' + "[" * 900 + "]" * 900 + "}",
        '{"error":' + '{"error":' * 900 + "1" + "}" * 901,
        '{"error":{"message":' + "[" * 900 + "]" * 900 + "}}",
        '{"choices":[{"delta":{"thinking_blocks":' + '[{"thinking":' * 300 + "1" + "}]" * 300 + "}}]}",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_endless_nesting_does_not_break_the_reader(deep: str) -> None:
    read(native("a"), data(deep), native_end())


PIECES = st.sampled_from(
    [
        native("Olá"),
        native(TEXT),
        native(""),
        native_end(),
        openai("hi"),
        openai("é", "stop"),
        DONE,
        data({"choices": [], "usage": {"prompt_tokens": 3}}),
        data({"content": "c"}),
        data("plain"),
        data("[1]"),
        data("{"),
        data({"type": "error", "message": "no"}),
        data({}, event="done"),
        data({"x": 1}),
        data({"choices": [{"delta": {"reasoning": "r"}}]}),
        native("s", knowledge_source_id=["k"]),
        b": ping\n\n",
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\xef\xbb\xbf",
        b"event: error\n",
        b"data:",
        b'{"message":"m"}',
        b'data: {"message":"\\ud83c"}\r\r',
        b'data: {"message":"\xff"}\n\n',
        b'data: {"stop_reason":"stop"}',
    ]
)
BODIES = st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join)
SMALL = Limits(event_bytes=400, answer_bytes=60, bad_events=3)


@given(BODIES, st.randoms(use_true_random=False))
@settings(max_examples=400)
def test_any_cut_of_any_dialect_gives_the_same_events_and_nothing_raises(
    body: bytes, rng: random.Random
) -> None:
    cuts = sorted({rng.randint(0, len(body)) for _ in range(rng.randint(0, 20))} | {0, len(body)})
    for limits in (Limits(), SMALL):
        whole = read(body, limits=limits)
        cut = read(*(body[a:b] for a, b in zip(cuts, cuts[1:], strict=False)), limits=limits)
        single = read_bytewise(body, limits)
        assert whole.events == cut.events == single.events
        assert whole.code == cut.code == single.code
        assert (whole.done is None) == (whole.code is not None)


KEYS = st.sampled_from(
    [
        "message",
        "tokens",
        "stop_reason",
        "choices",
        "delta",
        "content",
        "usage",
        "finish_reason",
        "type",
        "error",
        "code",
        "details",
        "source",
        "knowledge_source_id",
        "conversation_id",
        "index",
        "reasoning",
        "thinking_blocks",
        "thinking",
        "text",
        "id",
        "name",
        "url",
        "user",
        "input",
        "output",
        "prompt_tokens",
        "prompt_tokens_details",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(KEYS, JSON, max_size=6), max_size=5), st.sampled_from(["", "error", "done", "x"])
)
def test_any_json_object_is_read_without_raising(chunks: list[dict[str, object]], name: str) -> None:
    answer = read(*(data(json.dumps(chunk), event=name) for chunk in chunks))
    assert (answer.done is None) == (answer.code is not None)
    for event in answer.events:
        if isinstance(event, TextDelta | ReasoningDelta):
            assert event.text
            event.text.encode()
    if answer.reader.usage is not None:
        assert isinstance(answer.reader.usage, Usage)
        json.dumps(answer.reader.usage.raw, allow_nan=False)


# Near misses of the usual event: its members, each with values that are nothing or something.
EMPTY_OR_NOT = st.sampled_from([None, "", [], {}, 0, False, "x", ["x"], {"x": 1}, 1, True])
DELTAS = st.dictionaries(
    st.sampled_from(["content", "reasoning", "role", "refusal"]), EMPTY_OR_NOT, max_size=2
)
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS}, optional={"finish_reason": EMPTY_OR_NOT, "index": EMPTY_OR_NOT, "text": EMPTY_OR_NOT}
)
CHUNKS = st.dictionaries(KEYS, EMPTY_OR_NOT, max_size=5).flatmap(
    lambda rest: st.one_of(
        st.just(rest | {"message": "m"}),
        st.lists(CHOICES, max_size=2).map(lambda choices: rest | {"choices": choices}),
        st.lists(CHOICES, min_size=1, max_size=1).map(lambda choices: {"id": "1", "choices": choices}),
    )
)


@given(st.dictionaries(KEYS, JSON, max_size=4) | CHUNKS)
def test_the_short_way_to_the_text_says_what_the_long_way_says(chunk: dict[str, object]) -> None:
    text = plain_text(chunk)
    if text is not None:
        piece = interpret("", chunk)
        assert piece is not None
        assert vars(piece) in ({"text": text}, {})
        assert piece.text == text
