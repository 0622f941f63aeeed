"""Events like the one before: read in part, and never differently than in full."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentEvent, Limits
from chat.agents.alike import Alike
from chat.agents.answer import AnswerReader

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(['"', "\\", '","message":"x', "stop", "{}", "\u2028", "ação", "\ud83d\ude00"]),
)


def event(text: str, **members: Any) -> bytes:
    return json.dumps({"source": [], "message": text, **members}).encode()


def test_what_stands_between_the_same_bytes_is_the_text() -> None:
    alike = Alike()
    assert alike.text_of(event("one")) is None
    alike.learn(event("one"), "one")
    assert alike.text_of(event('tw"o ação')) == 'tw"o ação'
    assert alike.text_of(event("")) is None
    assert alike.text_of(event("two", stop_reason="stop")) is None
    assert alike.text_of(b'{"source": [], "message": 2}') is None
    assert alike.text_of(b'{"source": [], "message": "a", "message": "b"}') is None
    alike.forget()
    assert alike.text_of(event("two")) is None


def test_a_text_that_stands_there_twice_teaches_nothing() -> None:
    alike = Alike()
    alike.learn(event("same", id="same"), "same")
    assert alike.text_of(event("other", id="same")) is None


MEMBERS = st.sampled_from([{}, {}, {}, {"stop_reason": "stop"}, {"conversation_id": "c"}, {"id": "message"}])


def events_of(bodies: list[bytes], *, at_once: bool) -> list[AgentEvent]:
    reader = AnswerReader(Limits())
    found: list[AgentEvent] = []
    for body in bodies:
        if not at_once:
            reader._alike.forget()
        found += reader.feed(b"data: " + body + b"\n\n")
    found += reader.finish()
    return [*found, repr(reader.fault)]  # type: ignore[list-item]


@given(st.lists(st.builds(lambda text, members: event(text, **members), TEXTS, MEMBERS), max_size=8))
def test_an_answer_is_the_same_whether_events_are_compared_or_read(bodies: list[bytes]) -> None:
    assert events_of(bodies, at_once=True) == events_of(bodies, at_once=False)
