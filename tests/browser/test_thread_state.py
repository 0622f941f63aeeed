"""How a page joins a conversation at any time: a snapshot and what came later equal the whole."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser.stage import answer, question

#: Applies frames to a thread and says what is left of it.
APPLY = """
async ({ start, frames }) => {
  const { Thread } = await import("stkweb/thread");
  const thread = new Thread("01THREAD", start.seq, start.items);
  const outcomes = frames.map((frame) => {
    const { changed, ordered, gap } = thread.apply(frame);
    return { changed: [...changed], ordered, gap };
  });
  return { seq: thread.seq, items: [...thread.items.values()], outcomes };
}
"""


def apply(page: Any, start: dict[str, Any], frames: list[dict[str, Any]]) -> dict[str, Any]:
    return page.evaluate(APPLY, {"start": start, "frames": frames})


def event(seq: int, **event: Any) -> dict[str, Any]:
    return {"type": "event", "thread_id": "01THREAD", "seq": seq, "event": event}


def delta(seq: int, answer_id: str, text: str) -> dict[str, Any]:
    update = {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": text}
    return event(seq, type="thread.item.updated", item_id=answer_id, update=update)


class History:
    """What a server did, and what it would show after each of its events."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.states: list[list[dict[str, Any]]] = [[]]

    def tell(self, **told: Any) -> None:
        self.frames.append(event(len(self.frames) + 1, **copy.deepcopy(told)))
        self.states.append(copy.deepcopy(self.items))

    def turn(self, number: int, kind: str, thoughts: list[str], deltas: list[str], end: str) -> None:
        last = self.items[-1]["id"] if self.items else None
        answer_id = f"A{number}"
        if kind == "ask" or last is None:
            self.items.append(question(f"Q{number}", f"Question {number}", last))
            self.tell(type="thread.item.done", item=self.items[-1])
            parent = f"Q{number}"
        elif kind == "again":
            parent = self.items[-1]["stkweb"]["parent"]
            while self.items[-1]["id"] != parent:
                self.items.pop()
        else:
            parent = last
        self.items.append(answer(answer_id, "", parent, "queued"))
        self.tell(type="thread.item.added", item=self.items[-1])
        self._think(answer_id, thoughts)
        for text in deltas:
            self.items[-1]["content"][0]["text"] += text
            self.items[-1]["stkweb"]["state"] = "streaming"
            self.tell(**delta(0, answer_id, text)["event"])
        self.items[-1]["stkweb"]["state"] = end
        self.tell(type="thread.item.done", item=self.items[-1])

    def _think(self, answer_id: str, thoughts: list[str]) -> None:
        for i, _ in enumerate(thoughts):
            task = {"type": "thought", "title": "", "content": "".join(thoughts[: i + 1])}
            item = {
                "id": f"{answer_id}.r", "type": "workflow", "created_at": "2026-03-01T12:00:00+00:00",
                "workflow": {"type": "reasoning", "tasks": [task], "expanded": False},
            }  # fmt: skip
            if i == 0:
                self.items.insert(-1, item)
                self.tell(type="thread.item.added", item=item)
            else:
                self.items[-2] = item
                update = {"type": "workflow.task.updated", "task_index": 0, "task": task}
                self.tell(type="thread.item.updated", item_id=item["id"], update=update)


words = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6), max_size=4
)
turns = st.lists(
    st.tuples(
        st.sampled_from(["ask", "again", "onward"]),
        words,
        words,
        st.sampled_from(["completed", "stopped", "failed", "interrupted"]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=turns, data=st.data())
def test_a_snapshot_and_the_events_after_it_equal_the_state_of_the_end(
    modules: Any, turns: Any, data: Any
) -> None:
    history = History()
    for number, (kind, thoughts, deltas, end) in enumerate(turns):
        history.turn(number, kind, thoughts, deltas, end)
    last = len(history.frames)
    joined = data.draw(st.integers(0, last), label="the snapshot's number")
    heard = data.draw(st.integers(0, joined), label="the first event that is heard")
    snapshot = {"type": "snapshot", "seq": joined, "complete": True, "items": history.states[joined]}
    found = apply(modules, {"seq": None, "items": []}, [snapshot, *history.frames[heard:]])
    assert found["seq"] == last
    assert found["items"] == history.states[last]
    assert not any(outcome["gap"] for outcome in found["outcomes"])


def test_an_event_that_was_heard_twice_changes_nothing(modules: Any) -> None:
    start = {"seq": 4, "items": [question("Q", "Why?"), answer("A", "Be", "Q", "streaming")]}
    found = apply(modules, start, [delta(5, "A", "cause"), delta(5, "A", "cause"), delta(4, "A", "Be")])
    assert found["items"][1]["content"][0]["text"] == "Because"
    assert found["outcomes"][1] == {"changed": [], "ordered": False, "gap": False}


def test_a_gap_is_told_and_nothing_is_applied(modules: Any) -> None:
    start = {"seq": 4, "items": [question("Q", "Why?"), answer("A", "Be", "Q", "streaming")]}
    found = apply(modules, start, [delta(6, "A", "…")])
    assert found["outcomes"][0]["gap"] is True
    assert found["seq"] == 4
    assert found["items"][1]["content"][0]["text"] == "Be"


def test_a_partial_snapshot_changes_only_what_it_names(modules: Any) -> None:
    start = {"seq": 4, "items": [question("Q", "Why?"), answer("A", "Be", "Q", "streaming")]}
    snapshot = {"type": "snapshot", "seq": 9, "complete": False, "items": [answer("A", "Because.", "Q")]}
    found = apply(modules, start, [snapshot])
    assert [item["id"] for item in found["items"]] == ["Q", "A"]
    assert found["items"][1]["content"][0]["text"] == "Because."
    assert found["seq"] == 9


def test_a_partial_snapshot_that_events_overtook_takes_nothing_back(modules: Any) -> None:
    start = {"seq": 4, "items": [question("Q", "Why?"), answer("A", "Be", "Q", "streaming")]}
    late = {"type": "snapshot", "seq": 4, "complete": False, "items": [answer("A", "Be", "Q", "streaming")]}
    found = apply(modules, start, [delta(5, "A", "cause"), late])
    assert found["items"][1]["content"][0]["text"] == "Because"
    assert found["seq"] == 5


def test_a_whole_snapshot_keeps_older_messages_that_were_fetched(modules: Any) -> None:
    old = [question("Q0", "Before?"), answer("A0", "Yes.", "Q0")]
    new = [question("Q1", "Now?", "A0"), answer("A1", "No.", "Q1")]
    snapshot = {"type": "snapshot", "seq": 8, "complete": True, "items": new}
    found = apply(modules, {"seq": 4, "items": [*old, new[0]]}, [snapshot])
    assert [item["id"] for item in found["items"]] == ["Q0", "A0", "Q1", "A1"]


def test_a_whole_snapshot_of_another_branch_replaces_everything(modules: Any) -> None:
    snapshot = {
        "type": "snapshot",
        "seq": 8,
        "complete": True,
        "items": [question("Q1", "Anew?"), answer("A1", "Yes.", "Q1")],
    }
    found = apply(
        modules, {"seq": 4, "items": [question("Q0", "Before?"), answer("A0", "Yes.", "Q0")]}, [snapshot]
    )
    assert [item["id"] for item in found["items"]] == ["Q1", "A1"]


def test_a_new_question_of_the_root_takes_the_place_of_all(modules: Any) -> None:
    start = {"seq": 4, "items": [question("Q0", "Before?"), answer("A0", "Yes.", "Q0")]}
    found = apply(modules, start, [event(5, type="thread.item.done", item=question("Q1", "Anew?"))])
    assert [item["id"] for item in found["items"]] == ["Q1"]
