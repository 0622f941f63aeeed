"""One turn in memory: what is shown, at what pace, under which numbers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat.agents import AgentConfig, AgentEvent, AgentRequest, ReasoningDelta, Source, SourcesFound, TextDelta
from chat.models import Message, State, new_id
from chat.turns import storable
from chat.turns.hub import Hub, thread_topic
from chat.turns.turn import BURST, Turn, TurnSpec
from tests.serving import Recorder

THREAD = "01K6101856EC0MKJ8KN4S2B9CM"


def make_turn(hub: Hub | None = None) -> Turn:
    answer = Message(
        public_id=new_id(), role=Message.Role.ASSISTANT, state=State.QUEUED, seq=2,
        agent_name="Scripted", created_at=datetime.now(UTC),
    )  # fmt: skip
    spec = TurnSpec(
        answer=answer, thread_id=THREAD, conversation_pk=1, user_pk=1, username="alice",
        agent=AgentConfig(kind="stackspot", name="Scripted"), request=AgentRequest(prompt="Hi"),
        parent=new_id(), siblings=[answer.public_id],
    )  # fmt: skip
    return Turn(spec, hub or Hub())


async def watched_turn() -> tuple[Turn, Recorder]:
    hub, recorder = Hub(), Recorder()
    await hub.watch(thread_topic(THREAD), recorder)
    return make_turn(hub), recorder


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_first_delta_is_shown_at_once() -> None:
    turn, watcher = await watched_turn()
    turn.take([TextDelta("Hello")])
    assert watcher.text == "Hello"
    assert turn.answer.state == State.STREAMING
    assert turn.first_delta_ms is not None


async def test_everything_one_read_brought_makes_one_frame() -> None:
    turn, watcher = await watched_turn()
    turn.take([TextDelta("a"), TextDelta("b"), TextDelta("c")])
    assert len(watcher.frames) == 1
    assert watcher.text == "abc"


async def test_after_a_burst_it_keeps_to_the_rate_and_joins_text_in_order(settings: Any) -> None:
    settings.LIMIT_FRAMES = 25
    turn, watcher = await watched_turn()
    words = [f"{n} " for n in range(400)]
    begun = time.monotonic()
    for word in words:
        turn.take([TextDelta(word)])
        await asyncio.sleep(0.002)
    took = time.monotonic() - begun
    turn.finish_text()
    assert watcher.text == "".join(words) == turn.text
    assert len(watcher.frames) <= BURST + 25 * took + 2
    assert len(watcher.frames) >= 25 * took / 2, "it must not be slower than it may be"
    assert watcher.seqs == list(range(3, 3 + len(watcher.frames)))


async def test_text_that_waits_for_the_rate_is_shown_by_itself(settings: Any) -> None:
    settings.LIMIT_FRAMES = 25
    turn, watcher = await watched_turn()
    for n in range(BURST + 5):
        turn.take([TextDelta(str(n % 10))])
    assert len(watcher.frames) == BURST
    await until(lambda: watcher.text == "0123456789012")
    assert len(watcher.frames) == BURST + 1


async def test_what_a_timer_shows_is_saved_too(settings: Any) -> None:
    settings.LIMIT_FRAMES = 10
    turn, watcher = await watched_turn()
    shown: list[int] = []
    turn.on_shown = lambda: shown.append(len(turn.text))
    for _ in range(BURST + 5):
        turn.take([TextDelta("x")])
    await until(lambda: len(watcher.text) == BURST + 5)
    assert shown == [BURST + 5]


async def test_nothing_is_shown_of_a_turn_that_was_taken_away(settings: Any) -> None:
    settings.LIMIT_FRAMES = 25
    turn, watcher = await watched_turn()
    for _ in range(BURST + 1):
        turn.take([TextDelta("x")])
    turn.abandon()
    await asyncio.sleep(0.1)
    assert len(watcher.text) == BURST


async def test_the_end_shows_what_still_waits_whatever_the_rate(settings: Any) -> None:
    settings.LIMIT_FRAMES = 1
    turn, watcher = await watched_turn()
    for _ in range(50):
        turn.take([TextDelta("x")])
    turn.finish_text()
    assert watcher.text == "x" * 50
    frames = len(watcher.frames)
    await asyncio.sleep(0.05)
    assert len(watcher.frames) == frames


async def test_reasoning_comes_first_and_is_complete_before_the_answer_begins() -> None:
    turn, watcher = await watched_turn()
    turn.take([ReasoningDelta("I think")])
    turn.take([ReasoningDelta(", therefore")])
    turn.take([ReasoningDelta(" I am")])
    turn.take([TextDelta("So.")])
    assert watcher.kinds == ["thread.item.added", "thread.item.done", "thread.item.updated"]
    done = watcher.events[1]["item"]
    assert done["id"] == f"{turn.answer.public_id}.r"
    assert done["workflow"]["tasks"] == [{"type": "thought", "content": "I think, therefore I am"}]
    assert turn.answer.reasoning_ms is not None


async def test_long_reasoning_is_shown_while_it_goes_on() -> None:
    turn, watcher = await watched_turn()
    turn.take([ReasoningDelta("0")])
    deadline = time.monotonic() + 5
    thoughts = "0"
    while watcher.kinds.count("thread.item.updated") < 2:
        assert time.monotonic() < deadline
        turn.take([ReasoningDelta("1")])
        thoughts += "1"
        await asyncio.sleep(0.01)
    assert thoughts.startswith(watcher.events[-1]["update"]["task"]["content"])
    assert len(watcher.frames) < 10, "each frame carries all of it"
    turn.finish_text()
    assert watcher.events[-1]["item"]["workflow"]["tasks"][0]["content"] == thoughts


async def test_reasoning_after_the_answer_began_is_kept() -> None:
    turn, _ = await watched_turn()
    turn.take([TextDelta("So.")])
    turn.take([ReasoningDelta("wait")])
    turn.take([TextDelta(" No.")])
    turn.finish_text()
    assert turn.text == "So. No."
    assert turn.answer.reasoning == "wait"


async def test_sources_are_kept_once_and_the_later_knowledge_wins() -> None:
    turn, _ = await watched_turn()
    turn.take([SourcesFound((Source("1", "one"), Source("2", "two", "https://a.example")))])
    turn.take([SourcesFound((Source("1", "One", "https://b.example"),))])
    assert turn.answer.sources == [
        {"id": "1", "title": "One", "url": "https://b.example"},
        {"id": "2", "title": "two", "url": "https://a.example"},
    ]


@pytest.mark.parametrize("bad", ["\x00", "\ud800", "\udfff"])
async def test_what_no_database_stores_is_replaced_before_anybody_sees_it(bad: str) -> None:
    turn, watcher = await watched_turn()
    turn.take([ReasoningDelta(f"t{bad}t"), TextDelta(f"a{bad}b")])
    turn.take([SourcesFound((Source(f"s{bad}", f"s{bad}", f"u{bad}"),))])
    turn.finish_text()
    assert turn.text == watcher.text == "a\ufffdb"
    assert turn.answer.reasoning == "t\ufffdt"
    assert turn.answer.sources == [{"id": "s\ufffd", "title": "s\ufffd", "url": "u\ufffd"}]


@pytest.mark.parametrize("text", ["\u2028\u2029\x85\x0b\x0c", "👩‍👩‍👧", "ש\u05b8לום", "e\u0301", "\u202eabc"])
async def test_every_other_character_is_passed_on_as_it_is(text: str) -> None:
    turn, watcher = await watched_turn()
    for character in text:
        turn.take([TextDelta(character)])
    turn.finish_text()
    assert watcher.text == turn.text == text


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"user": 1, "note": "a\x00b"}, {"user": 1, "note": "a\ufffdb"}),
        ({"a\ud800": "\udfff"}, {"a\ufffd": "\ufffd"}),
        ({"n": float("nan")}, None),
        ({"n": object()}, None),
        ({"n": "x" * storable.LARGEST_JSON}, None),
        (json.loads("[" * 700 + "]" * 700), None),
        ({"back": ["\\u0000"]}, {"back": ["\\u0000"]}),
    ],
)
def test_an_upstreams_own_json_is_stored_only_as_far_as_both_databases_can(value: Any, kept: Any) -> None:
    assert storable.json_value(value) == kept


_events = st.one_of(
    st.builds(TextDelta, st.text(min_size=1, max_size=5)),
    st.builds(TextDelta, st.sampled_from(["\x00", "\ud83d", "é", "\u2028"])),
    st.builds(ReasoningDelta, st.text(min_size=1, max_size=5)),
    st.builds(lambda n: SourcesFound((Source(str(n), f"source {n}"),)), st.integers(0, 3)),
)


@given(st.lists(st.lists(_events, min_size=1, max_size=4), max_size=20), st.data())
@hypothesis_settings(deadline=None, max_examples=60)
def test_any_snapshot_and_the_events_after_it_make_the_final_answer(
    batches: list[list[AgentEvent]], data: st.DataObject
) -> None:
    moment = data.draw(st.integers(0, len(batches)))
    asyncio.run(_snapshot_and_follow(batches, moment))


async def _snapshot_and_follow(batches: list[list[AgentEvent]], moment: int) -> None:
    from tests.page import Page

    turn, watcher = await watched_turn()
    page = Page()

    def look() -> None:
        page.take({"type": "snapshot", "seq": turn.seq, "complete": True, "items": _wire(turn)})

    for index, batch in enumerate(batches):
        if index == moment:
            look()
        turn.take(batch)
    if page.seq is None:
        look()
    turn.finish_text()
    for frame in watcher.frames:
        page.take(frame)
    assert page.seq == turn.seq
    assert page.shown == [(item["id"], _shown(item)) for item in _wire(turn)]
    texts = "".join(e.text for batch in batches for e in batch if isinstance(e, TextDelta))
    assert turn.text == storable.text(texts)
    thoughts = "".join(e.text for batch in batches for e in batch if isinstance(e, ReasoningDelta))
    assert turn.answer.reasoning == storable.text(thoughts)


def _wire(turn: Turn) -> list[dict[str, Any]]:
    return json.loads(json.dumps(turn.snapshot()))


def _shown(item: dict[str, Any]) -> str:
    if item["type"] == "workflow":
        return item["workflow"]["tasks"][0]["content"]
    return item["content"][0]["text"]


async def test_it_gives_a_sign_of_life_until_the_first_word(settings: Any) -> None:
    settings.LIMIT_SIGN_OF_LIFE = 0.02
    turn, watcher = await watched_turn()
    saved: list[int] = []
    turn.on_shown = lambda: saved.append(turn.seq)
    turn.begin_call()
    turn.call_started -= 30
    await until(lambda: len(watcher.events) >= 2)
    sign = watcher.events[0]
    assert sign["type"] == "progress_update"
    assert sign["stkweb"] == {"item_id": turn.answer.public_id, "waited": 30}
    assert saved[:2] == [3, 4], "a number that was given away is saved"
    assert turn.item()["stkweb"]["waited"] == 30, "who comes later sees it too"
    turn.take([TextDelta("a")])
    assert turn.item()["stkweb"]["waited"] is None
    said = len(watcher.frames)
    await asyncio.sleep(0.1)
    assert len(watcher.frames) == said


async def test_an_ended_turn_gives_no_sign_of_life(settings: Any) -> None:
    settings.LIMIT_SIGN_OF_LIFE = 0.02
    turn, watcher = await watched_turn()
    turn.begin_call()
    turn.finish_text()
    await asyncio.sleep(0.1)
    assert watcher.frames == []
