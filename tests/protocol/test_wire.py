"""What we put on the wire is ChatKit's, by ChatKit's own types."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from pydantic import TypeAdapter

with warnings.catch_warnings():
    # Its own widgets are declared in a way that it calls deprecated; nothing of ours.
    warnings.simplefilter("ignore", DeprecationWarning)
    from chatkit.types import Thread, ThreadItem, ThreadStreamEvent

from chat.protocol import BadFrame, Ping, Stop, Subscribe, Unsubscribe, events, frames, items, parse
from chat.protocol.deltas import text_deltas

EVENT: TypeAdapter[Any] = TypeAdapter(ThreadStreamEvent)
ITEM: TypeAdapter[Any] = TypeAdapter(ThreadItem)
NOW = "2026-11-21T10:00:00.123456+00:00"


def question(text: str = "Hi") -> items.Item:
    return items.user_message(
        id="q", thread_id="t", created_at=NOW, text=text, extra={"parent": None, "author": "alice"}
    )


def answer(text: str = "Hello") -> items.Item:
    return items.assistant_message(
        id="a", thread_id="t", created_at=NOW, text=text, extra={"parent": "q", "usage": None}
    )


def thoughts() -> items.Item:
    return items.reasoning(answer_id="a", thread_id="t", created_at=NOW, content="hm")


def tool_call(status: str, **more: Any) -> items.Item:
    call = {"call_id": "c", "name": "weather", "arguments": {"place": "Olinda"}, "status": status, **more}
    return items.client_tool_call(id="a.c1", thread_id="t", created_at=NOW, call=call, extra={"answer": "a"})


ALL = [
    question(),
    answer(),
    answer(""),
    thoughts(),
    tool_call("pending"),
    tool_call("completed", output={"a": 1}),
]


def same(ours: Any, theirs: Any) -> None:
    """Every key of ours, but `stkweb`, survives a reading by ChatKit's types with the same value."""
    assert_within({key: value for key, value in ours.items() if key != "stkweb"}, theirs)


def assert_within(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        for key, value in ours.items():
            if key != "stkweb":
                assert_within(value, theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_within(one, other)
    elif ours != NOW:
        assert ours == theirs


@pytest.mark.parametrize("item", ALL)
def test_our_items_are_chatkits(item: items.Item) -> None:
    same(item, json.loads(ITEM.dump_json(ITEM.validate_python(item))))


@pytest.mark.parametrize(
    "event",
    [
        *[make(item) for item in ALL for make in (events.item_added, events.item_done)],
        events.text_delta("a", "delta"),
        events.reasoning_updated("a", "so far"),
        {"type": "notice", "level": "info", "message": "branch"},
        {"type": "notice", "level": "warning", "message": "interrupted_restart"},
    ],
)
def test_our_events_are_chatkits(event: dict[str, Any]) -> None:
    same(event, json.loads(EVENT.dump_json(EVENT.validate_python(event))))


def test_our_threads_are_chatkits() -> None:
    thread = items.thread(id="t", created_at=NOW, title="Title", items=[question(), answer()])
    same(thread, json.loads(Thread.model_validate(thread).model_dump_json()))


def test_a_key_that_would_be_null_is_left_out_but_not_in_our_addition() -> None:
    assert "quoted_text" not in question()
    assert answer()["stkweb"]["usage"] is None


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type":"ping"}', Ping(type="ping")),
        ('{"type":"stop","thread_id":"t"}', Stop(type="stop", thread_id="t")),
        ('{"type":"unsubscribe","thread_id":"t"}', Unsubscribe(type="unsubscribe", thread_id="t")),
        ('{"type":"subscribe","thread_id":"t"}', Subscribe(type="subscribe", thread_id="t", after=None)),
        (
            '{"type":"subscribe","thread_id":"t","after":7}',
            Subscribe(type="subscribe", thread_id="t", after=7),
        ),
        ('{"type":"ping","later":1}', Ping(type="ping")),
    ],
)
def test_frames_of_a_browser_are_read(text: str, frame: Any) -> None:
    assert parse(text) == frame


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"type":"x"}', '{"type":"stop"}', "[" * 100_000])
def test_everything_else_is_a_bad_frame(text: str) -> None:
    with pytest.raises(BadFrame):
        parse(text)


@pytest.mark.parametrize("delta", ["one", "", '"\\\n\u2028', "ação 😀", '","seq":0,'])
def test_a_delta_made_by_the_shorter_way_is_the_same_frame(delta: str) -> None:
    for seq in (0, 7, 1 << 40):
        short = text_deltas("t", "a")(seq, delta)
        assert short == frames.event("t", seq, events.text_delta("a", delta))
