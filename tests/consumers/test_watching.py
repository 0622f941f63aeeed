"""A subscription joins before it is known whether the person may see the conversation."""

from __future__ import annotations

from chat.consumers.watching import Watching


def test_nothing_is_let_through_before_the_rows_were_read() -> None:
    sent: list[str] = []
    watching = Watching("01THREAD", sent.append, lambda: None)
    for seq in range(3):
        watching.deliver("thread", seq, "a word of somebody else")
    assert sent == []
