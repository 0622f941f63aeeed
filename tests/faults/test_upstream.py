"""Faults of the agent, seen by a person through the real server."""

from __future__ import annotations

import random
import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.agent_server import (
    Step,
    before_headers,
    cut,
    done,
    drop,
    end,
    failure,
    gate,
    hang,
    page,
    pause,
    pieces,
    raw,
    refuse,
    reports,
    say,
    usage,
    whole,
)
from tests.faults.conftest import House, elapsed
from tests.real_server import free_port, wait_for

pytestmark = pytest.mark.server


def test_an_agent_that_never_answers_fails_in_time_and_can_be_stopped_before(house: House) -> None:
    """R04."""
    house.agent_server.answer(before_headers())
    begun = time.monotonic()
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"]) == ("failed", "no_answer")
    assert elapsed(begun) < 4
    assert len(house.agent_server.chats) == 1, "no second billed call"
    house.agent_server.answer(before_headers())
    again = house.ask(sent["conversation"])
    wait_for(lambda: len(house.agent_server.chats) == 2)
    house.stop(again)
    assert house.ended(again, 1.0)["state"] == "stopped"


def test_an_agent_that_falls_silent_fails_and_its_text_is_kept(house: House) -> None:
    """R05."""
    deltas = [f"{n} " for n in range(20)]
    house.agent_server.answer(say(*deltas), hang())
    sent = house.ask()
    tab = house.tab(sent)
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", "stalled", "".join(deltas))
    wait_for(lambda: tab.state(sent["answer"]) == "failed")
    assert tab.code is None


@pytest.mark.parametrize("last", [drop(), cut()], ids=["reset", "truncated"])
def test_a_cut_in_the_middle_of_an_event_keeps_the_whole_ones(house: House, last: Step) -> None:
    """R06."""
    house.agent_server.answer(say("one ", "two "), raw(b'data: {"message": "thr'), last)
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", "connection_lost", "one two ")
    assert house.shown(sent)["stkweb"]["error"]["retryable"] is True
    assert len(house.agent_server.chats) == 1


def test_an_end_without_its_marker_is_never_a_completed_answer(house: House) -> None:
    """R07."""
    house.agent_server.answer(say("so far"))
    row = house.ended(house.ask())
    assert (row["state"], row["error_code"], row["text"]) == ("interrupted", "ended_early", "so far")


def test_broken_bytes_become_one_sign_each_and_the_stream_goes_on(house: House) -> None:
    """R08."""
    event = b'data: {"message": "a\xff\xfe\xc3z", "upload_ids": {}}\n\n'
    house.agent_server.answer(raw(event), say("next"), usage())
    row = house.ended(house.ask())
    assert (row["state"], row["text"]) == ("completed", "a\ufffd\ufffd\ufffdznext")


def _body(texts: list[str]) -> bytes:
    import json

    events = [{"message": text} for text in texts]
    events.append({"message": "", "stop_reason": "stop", "tokens": {"user": 1, "enrichment": 2, "output": 3}})
    return b"".join(b"data: " + json.dumps(e, ensure_ascii=False).encode() + b"\n\n" for e in events)


HARD = [
    "👩‍👩‍👧",
    "é",
    "e\u0301",
    "שלום ",
    "عربى ",
    "한",
    "\U0001f468\u200d\U0001f469",
    "\u2028\u2029\x85\x0b\x0c",
    "z",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_byte_may_come_alone(house: House, size: int) -> None:
    """R09, R10, R11."""
    house.agent_server.answer(reports(1, 2, 3), pieces(_body(HARD), size))
    sent = house.ask()
    tab = house.tab(sent)
    row = house.ended(sent)
    assert (row["state"], row["text"]) == ("completed", "".join(HARD))
    assert house.ledger(sent) == [(1, 2, 3, "completed")]
    wait_for(lambda: tab.state(sent["answer"]) == "completed")


def test_combining_signs_may_come_apart(house: House) -> None:
    """R10."""
    text = "".join(HARD)
    house.agent_server.answer(*[step for c in text for step in (say(c), pause(0.001))], usage())
    sent = house.ask()
    tab = house.tab(sent)
    assert house.ended(sent)["text"] == text
    wait_for(lambda: tab.state(sent["answer"]) == "completed")
    assert tab.text(sent["answer"]) == text


def test_one_endless_line_is_given_up_and_costs_no_memory(house: House) -> None:
    """R12."""
    before = house.server.rss
    line = b'data: {"message": "' + b"x" * 65_536
    more = [raw(b"x" * 65_536) for _ in range(160)]
    house.agent_server.answer(say("kept"), pause(0.05), raw(line), *more, hang())
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", "event_too_large", "kept")
    call = house.agent_server.chats[0].connection
    wait_for(lambda: call.closed_at is not None, 2.0, "the upstream connection is closed")
    assert house.server.rss - before < 50 * 2**20


def test_a_hundred_thousand_events_are_joined_and_none_is_lost(house: House) -> None:
    """R13."""
    event = b'data: {"message": "%c"}\n\n'
    letters = b"abcdefghijklmnopqrstuvwxyz"
    block = b"".join(event % letters[n % 26] for n in range(10_000))
    text = "".join(chr(letters[n % 26]) for n in range(10_000)) * 10
    house.agent_server.answer(gate("flood"), *[raw(block)] * 10, usage())
    sent = house.ask()
    tab = house.tab(sent)
    wait_for(lambda: tab.of_type("snapshot"))
    begun = time.monotonic()
    house.agent_server.open("flood")
    wait_for(lambda: tab.state(sent["answer"]) == "completed", 30)
    took = elapsed(begun)
    assert tab.text(sent["answer"]) == text
    deltas = [f for f in tab.of_type("event") if f["event"]["type"] == "thread.item.updated"]
    assert len(deltas) <= 8 + 25 * took + 2
    assert tab.subscriptions == 1


_ONE = b'{"message": "Hello"}'
_END = b'{"message": "", "stop_reason": "stop"}'
DIALECTS = {
    "CRLF": b"data: " + _ONE + b"\r\n\r\ndata: " + _END + b"\r\n\r\n",
    "CR": b"data: " + _ONE + b"\r\rdata: " + _END + b"\r\r",
    "mixed": b"data: " + _ONE + b"\r\n\ndata: " + _END + b"\n\r\n",
    "BOM": b"\xef\xbb\xbfdata: " + _ONE + b"\n\ndata: " + _END + b"\n\n",
    "comments": b": hi\n\n:\ndata: " + _ONE + b"\n: ping\n\ndata: " + _END + b"\n\n",
    "several lines": b'data: {"message":\ndata: "Hello"}\n\ndata: ' + _END + b"\n\n",
    "no space": b"data:" + _ONE + b"\n\ndata:" + _END + b"\n\n",
    "no last blank line": b"data: " + _ONE + b"\n\ndata: " + _END,
    "other fields": b"id: 1\nretry: 5\nwhat: x\nevent: message\ndata: "
    + _ONE
    + b"\n\ndata: "
    + _END
    + b"\n\n",
    "empty data": b"data:\n\ndata: " + _ONE + b"\n\ndata\n\ndata: " + _END + b"\n\n",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_of_a_stream_is_read(house: House, dialect: str) -> None:
    """R14."""
    house.agent_server.answer(pieces(DIALECTS[dialect], random.Random(3).randint(1, 9)))
    row = house.ended(house.ask())
    assert (row["state"], row["text"]) == ("completed", "Hello")


def test_a_comment_is_a_sign_of_life(house: House) -> None:
    """R14: 3 s with nothing but comments, where 1.5 s of silence are the end."""
    pings = [step for _ in range(6) for step in (raw(b": ping\n\n"), pause(0.5))]
    house.agent_server.answer(say("so "), *pings, say("far"), usage())
    assert house.ended(house.ask())["text"] == "so far"


def test_an_unreadable_event_is_skipped_and_too_many_are_a_failure(house: House) -> None:
    """R15."""
    junk = [raw(b"data: {broken\n\n"), raw(b"data: [1]\n\n"), raw(b'data: {"kind": "new"}\n\n')]
    house.agent_server.answer(say("so "), *junk, say("far"), usage())
    first = house.ask()
    row = house.ended(first)
    assert (row["state"], row["text"]) == ("completed", "so far")
    house.agent_server.answer(say("kept"), pause(0.05), *[raw(b"data: {broken-secret\n\n")] * 21, hang())
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", "protocol", "kept")
    assert "broken-secret" not in str(house.shown(sent))


def test_an_error_in_the_stream_keeps_text_and_usage_and_shows_nothing_of_it(house: House) -> None:
    """R16, S22."""
    counts = {"tokens": {"user": 5, "enrichment": None, "output": 30}}
    message = "<script>alert(1)</script> Bearer abcdef123456 " + "x" * 1000
    house.agent_server.answer(
        reports(5, None, 30), say(*["d"] * 30, **counts), failure({"error": {"message": message}})
    )
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", "agent_failed", "d" * 30)
    assert house.ledger(sent) == [(5, None, 30, "failed")]
    shown = str(house.shown(sent))
    assert "script" not in shown and "abcdef123456" not in shown
    assert "abcdef123456" not in house.server.log and "<script>" not in house.server.log


@pytest.mark.parametrize(
    "after",
    [
        (usage(9, 9, 9, counted=False),),
        (say("late"), usage(9, 9, 9, counted=False)),
        (done(), say("late"), done()),
        (failure({"error": {"message": "late"}}),),
    ],
    ids=["twice with other counts", "deltas after it", "a marker and more", "an error after it"],
)
def test_the_first_end_is_the_end(house: House, after: Any) -> None:
    """R17."""
    house.agent_server.answer(say("all"), usage(1, 2, 3), *after)
    sent = house.ask()
    tab = house.tab(sent)
    row = house.ended(sent)
    assert (row["state"], row["text"]) == ("completed", "all")
    assert house.ledger(sent) == [(1, 2, 3, "completed")]
    wait_for(lambda: tab.state(sent["answer"]) == "completed")


@pytest.mark.parametrize(
    ("tokens", "stored"),
    [("null", (None, None, None)), ('{"user": -1, "enrichment": 1e18, "output": "7"}', (None, None, 7)),
     ('{"user": "many", "output": 0}', (None, None, 0))],
)  # fmt: skip
def test_what_was_not_reported_is_unknown(house: House, tokens: str, stored: Any) -> None:
    """R18."""
    ending = b'data: {"message": "", "stop_reason": "stop", "tokens": ' + tokens.encode() + b"}\n\n"
    house.agent_server.answer(reports(*stored), say("a"), raw(ending))
    sent = house.ask()
    house.ended(sent)
    assert house.ledger(sent) == [(*stored, "completed")]
    shown = house.shown(sent)["stkweb"]["usage"]
    assert shown == (None if stored == (None, None, None) else {
        "user": None, "enrichment": None, "output": stored[2], "total": stored[2],
    })  # fmt: skip


def test_a_short_wait_that_the_agent_asks_for_is_waited(house: House) -> None:
    """R19."""
    house.agent_server.answer(refuse(429, Retry_After="1"))
    begun = time.monotonic()
    sent = house.ask()
    assert house.ended(sent)["state"] == "completed"
    assert elapsed(begun) >= 1.0
    assert len(house.agent_server.chats) == 2
    assert [outcome for *_, outcome in house.ledger(sent)] == ["failed", "completed"]


@pytest.mark.parametrize(
    "wait", ["86400", "junk", formatdate(time.time() + 7200, usegmt=True)], ids=["a day", "junk", "a date"]
)
def test_a_long_wait_is_a_failure_that_says_so(house: House, wait: str) -> None:
    """R19."""
    house.agent_server.answer(refuse(429, Retry_After=wait))
    sent = house.ask()
    other = house.ask()
    assert house.ended(other)["state"] in ("completed", "failed")
    row = house.ended(sent)
    states = {house.ended(one)["error_code"] for one in (sent, other)}
    assert states == {"busy", ""}, "the others are unaffected"
    assert len(house.agent_server.chats) == 2
    busy = sent if row["error_code"] else other
    params = house.shown(busy)["stkweb"]["error"]["params"]
    assert params.get("retry_after", 0) > 3600 or wait == "junk"


def test_ten_streams_with_an_expired_token_renew_it_once(house: House) -> None:
    """R20."""
    house.ended(house.ask())
    house.agent_server.token_calls.clear()
    house.agent_server.token_delay = 0.3
    house.agent_server.expire_tokens()
    sent = [house.ask() for _ in range(10)]
    try:
        assert {house.ended(one)["state"] for one in sent} == {"completed"}
    finally:
        house.agent_server.token_delay = 0.0
    assert len(house.agent_server.token_calls) <= 2
    assert len(house.agent_server.token_calls) >= 1


def test_a_second_refusal_of_the_credentials_is_the_answer(house: House) -> None:
    """R20."""
    house.agent_server.answer(refuse(401))
    house.agent_server.answer(refuse(401))
    row = house.ended(house.ask())
    assert (row["state"], row["error_code"]) == ("failed", "credentials")
    assert len(house.agent_server.chats) == 2


@pytest.mark.parametrize(
    ("script", "code", "calls"),
    [
        (refuse(500), "agent_unavailable", 1),
        (refuse(502), "agent_unavailable", 3),
        (refuse(503), "agent_unavailable", 3),
        (page("<h1>Gateway</h1><script>alert(1)</script>"), "protocol", 1),
        (whole({"error": {"message": "no"}}), "agent_failed", 1),
        (refuse(204), "protocol", 1),
        (end("stop"), "empty_answer", 1),
    ],
    ids=["500", "502", "503", "a web page", "a JSON error", "204", "empty"],
)
def test_every_status_has_its_sentence(house: House, script: Step, code: str, calls: int) -> None:
    """R21."""
    for _ in range(calls):
        house.agent_server.answer(script)
    sent = house.ask()
    row = house.ended(sent)
    assert (row["state"], row["error_code"], row["text"]) == ("failed", code, "")
    assert len(house.agent_server.chats) == calls
    assert "<h1>" not in str(house.shown(sent))


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_an_agent_out_of_reach_is_known_within_six_seconds(house: House, address: str) -> None:
    """R22."""
    url = address.format(port=free_port())
    before = house.server.rows("SELECT base_url FROM chat_agent WHERE public_id = ?", house.agent)[0][0]
    house.server.rows("UPDATE chat_agent SET base_url = ? WHERE public_id = ?", url, house.agent)
    try:
        begun = time.monotonic()
        sent = house.ask()
        row = house.ended(sent)
        assert (row["state"], row["error_code"]) == ("failed", "unreachable")
        assert elapsed(begun) < 6
        assert "no-such-host" not in str(house.shown(sent))
    finally:
        house.server.rows("UPDATE chat_agent SET base_url = ? WHERE public_id = ?", before, house.agent)


def test_a_stop_at_any_moment_leaves_one_end(house: House) -> None:
    """R26: before the first byte, in the middle, at the last byte, after the end, twice."""
    house.agent_server.answer(before_headers())
    first = house.ask()
    wait_for(lambda: len(house.agent_server.chats) == 1)
    call = house.agent_server.chats[0].connection
    begun = time.monotonic()
    assert house.stop(first).json() == {"stopping": True}
    row = house.ended(first, 2)
    wait_for(lambda: call.closed_at is not None, 2)
    assert elapsed(begun) <= 1.0
    assert (row["state"], row["text"]) == ("stopped", "")

    house.agent_server.answer(say("so far"), hang())
    second = house.ask(first["conversation"])
    tab = house.tab(second)
    wait_for(lambda: tab.text(second["answer"]) == "so far")
    for _ in range(2):
        assert house.stop(second).status_code == 200
    assert house.ended(second, 1)["text"] == "so far"
    assert house.stop(second).json() == {"stopping": False}

    house.agent_server.answer(say("all"), gate("end"), usage(1, 2, 3))
    third = house.ask(first["conversation"])
    wait_for(lambda: tab.text(third["answer"]) == "all")
    house.agent_server.open("end")
    house.stop(third)
    state = house.ended(third)["state"]
    house.unheard = (1, 2, 3) if state == "stopped" else (0, 0, 0)  # it may have come to nobody
    assert state in ("completed", "stopped")
    assert house.stop(third).json() == {"stopping": False}
    assert house.row(third)["state"] == state
