"""The frames of an answer's deltas, by a shorter way: nearly all that a socket ever sends."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from chat.protocol import events, frames


def text_deltas(thread_id: str, item_id: str) -> Callable[[int, str], str]:
    """What makes the frames of an answer's deltas from number and text: `event` with `text_delta`, of
    which all but these two stays the same."""
    whole = frames.event(thread_id, 0, events.text_delta(item_id, ""))
    before, number, rest = whole.partition('0,"event":')
    between, _, after = rest.rpartition('""')
    between, dumps = number[1:] + between, orjson.dumps
    return lambda seq, delta: f"{before}{seq}{between}{dumps(delta).decode()}{after}"
