"""Faults of the server, the network and the person, through the real server."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.agent_server import gate, hang, pause, say, usage
from tests.faults.conftest import House, elapsed
from tests.real_server import wait_for

pytestmark = pytest.mark.server
OwnHouse = Callable[..., House]


def slowly(words: list[str], seconds: float) -> list[Any]:
    return [step for word in words for step in (say(word), pause(seconds))]


# -- the server dies or is restarted -------------------------------------------------------------


def test_a_killed_server_leaves_the_text_and_says_what_happened(own_house: OwnHouse) -> None:
    """R01: kill -9, restart; at most the last quarter of a second is lost."""
    house = own_house(STKWEB_LEASE_SECONDS="2")
    words = [f"word{n} " for n in range(400)]
    house.agent_server.answer(*slowly(words, 0.01), hang())
    sent = house.ask()
    tab = house.tab(sent)
    wait_for(lambda: len(tab.text(sent["answer"]) or "") > 300)
    seen = tab.text(sent["answer"]) or ""
    time.sleep(0.5)  # no race: it is the interval of saves, and a margin, that is promised
    house.server.kill()
    wait_for(lambda: tab.code is not None)
    assert house.row(sent)["state"] == "streaming"
    house.server.start()
    row = house.ended(sent)
    assert (row["state"], row["error_code"]) == ("interrupted", "interrupted_restart")
    assert row["text"].startswith(seen)
    assert "".join(words).startswith(row["text"])
    shown = house.shown(sent)["stkweb"]["error"]
    assert shown["retryable"] is True
    later = house.tab(sent)
    later.subscribe(sent["conversation"], tab.pages[sent["conversation"]].seq)
    wait_for(lambda: later.state(sent["answer"]) == "interrupted")
    assert later.text(sent["answer"]) == row["text"]
    assert len(house.agent_server.chats) == 1, "nobody asks the agent again on their own"
    house.tabs.remove(tab)
    tab.close()
    for path in ("retry", "continue"):
        answer = house.post(f"/c/{sent['conversation']}/{path}/", {"answer": sent["answer"]})
        assert answer.status_code == 202
        assert house.ended(answer.json())["state"] == "completed"


def test_a_stopped_server_saves_every_letter_first(own_house: OwnHouse) -> None:
    """R02: SIGTERM in the middle of five answers."""
    house = own_house(STKWEB_SAVE_SECONDS="60")
    house.agent_server.always(*slowly([f"word{n} " for n in range(30)], 0.01), hang())
    sent = [house.ask() for _ in range(5)]
    tabs = [house.tab(one) for one in sent]
    text = "".join(f"word{n} " for n in range(30))
    wait_for(lambda: all(tab.text(one["answer"]) == text for tab, one in zip(tabs, sent, strict=True)))
    begun = time.monotonic()
    house.server.stop()
    assert elapsed(begun) <= 10
    wait_for(lambda: all(tab.code is not None for tab in tabs))
    assert {tab.code for tab in tabs} == {1012}
    for one in sent:
        row = house.row(one)
        assert (row["state"], row["error_code"], row["text"]) == ("interrupted", "interrupted_shutdown", text)
    house.close_tabs()
    house.server.start()


def test_a_question_that_was_acknowledged_survives_the_kill(own_house: OwnHouse) -> None:
    """I1, I2: killed at the moment of the reply."""
    house = own_house(STKWEB_LEASE_SECONDS="2")
    house.agent_server.always(hang())
    sent = [house.ask() for _ in range(3)]
    house.server.kill()
    house.server.start()
    assert {house.ended(one)["state"] for one in sent} == {"interrupted"}


# -- reloads, tabs, sleep ------------------------------------------------------------------------


def test_a_reload_at_any_moment_shows_the_text_and_goes_on_live(house: House) -> None:
    """R24."""
    words = [f"w{n} " for n in range(150)]
    house.agent_server.answer(*slowly(words, 0.01), usage())
    sent = house.ask()
    for _ in range(10):
        shown = house.shown(sent)["content"][0]["text"]
        assert "".join(words).startswith(shown)
        begun = time.monotonic()
        tab = house.tab(sent)
        wait_for(lambda tab=tab: tab.text(sent["answer"]) is not None)
        assert elapsed(begun) < 5
        assert (tab.text(sent["answer"]) or "").startswith(shown), "never behind what was shown before"
        time.sleep(0.1)
    assert house.ended(sent)["text"] == "".join(words)
    for tab in house.tabs:
        wait_for(lambda tab=tab: tab.state(sent["answer"]) == "completed")
        assert tab.subscriptions == 1


def test_all_tabs_see_the_question_the_deltas_and_the_stop(house: House) -> None:
    """R25: send in one, stop in another."""
    first = house.ask()
    house.ended(first)
    tabs = [house.tab(first) for _ in range(3)]
    wait_for(lambda: all(tab.text(first["answer"]) for tab in tabs))
    house.agent_server.answer(*slowly(["so ", "far "], 0.02), gate("later"), say("too late"), usage())
    second = house.ask(first["conversation"])
    wait_for(lambda: all(tab.text(second["answer"]) == "so far " for tab in tabs))
    assert all(tab.item(second["question"]) for tab in tabs)
    begun = time.monotonic()
    tabs[1].stop(first["conversation"])
    wait_for(lambda: all(tab.state(second["answer"]) == "stopped" for tab in tabs), 2)
    assert elapsed(begun) <= 1.0
    house.agent_server.open("later")
    assert house.row(second)["text"] == "so far "


def test_one_who_was_away_comes_back_with_the_last_number(house: House) -> None:
    """R31: the socket is gone in the middle and resumes by `after`."""
    words = [f"w{n} " for n in range(100)]
    house.agent_server.answer(*slowly(words[:50], 0.005), gate("back"), *slowly(words[50:], 0.005), usage())
    sent = house.ask()
    tab = house.tab(sent)
    wait_for(lambda: "w20 " in (tab.text(sent["answer"]) or ""))
    tab.close()
    page = tab.pages[sent["conversation"]]
    seen = page.seq
    wait_for(lambda: "w49 " in house.row(sent)["text"])
    back = house.tab()
    back.pages[sent["conversation"]] = page
    back.subscribe(sent["conversation"], seen)
    wait_for(lambda: "w49 " in (back.text(sent["answer"]) or ""))
    house.agent_server.open("back")
    wait_for(lambda: back.state(sent["answer"]) == "completed")
    assert back.text(sent["answer"]) == "".join(words)
    assert all(frame["complete"] is False for frame in back.of_type("snapshot"))


# -- sending -------------------------------------------------------------------------------------


def at_once(count: int, function: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def call(n: int) -> Any:
        barrier.wait()
        return function(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def test_a_double_click_is_one_question(house: House) -> None:
    """R27: at once, and again after the reply was lost."""
    answers = at_once(8, lambda n: house.send(key="the same key"))
    assert {answer.status_code for answer in answers} == {202}
    (ids,) = {tuple(sorted(answer.json().items())) for answer in answers}
    sent = dict(ids)
    house.sent.append(sent)
    house.ended(sent)
    assert house.send(key="the same key").json() == sent
    assert len(house.agent_server.chats) == 1


def test_a_key_belongs_to_one_text_and_one_person(house: House) -> None:
    """R28."""
    sent = house.send(key="her key").json()
    house.sent.append(sent)
    house.ended(sent)
    other = house.send("something else", key="her key")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")
    bob = house.server.sign_in("bob")
    his = house.server.post(
        bob, "/c/", {"text": "of bob", "agent": house.agent}, Idempotency_Key="her key"
    )  # fmt: skip
    assert his.status_code == 202
    assert his.json()["conversation"] != sent["conversation"]
    house.ended(his.json())


def test_of_two_questions_at_once_one_runs(house: House) -> None:
    """R29."""
    first = house.ask()
    house.ended(first)
    house.agent_server.always(gate("R29"), say("a"), usage())
    answers = at_once(4, lambda n: house.send(conversation=first["conversation"]))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [202, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["error"]["code"] == "conversation_busy"
    assert refused.json()["error"]["next"]
    house.agent_server.open("R29")
    sent = next(answer for answer in answers if answer.status_code == 202).json()
    house.sent.append(sent)
    assert house.ended(sent)["state"] == "completed"


def test_a_question_that_is_too_long_is_refused_with_the_limit(house: House) -> None:
    """R32: 1 MB by POST, 300 KiB, and a frame of 1 MiB and one byte."""
    for size in (10**6, 300 * 1024):
        answer = house.send("x" * size)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert (error["code"], error["limit"], error["size"]) == ("text_too_long", 256 * 1024, size)
    answer = house.send("x" * (6 * 2**20))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    house.texts.append("y" * 256 * 1024)
    sent = house.send(house.texts[-1]).json()
    house.sent.append(sent)
    assert house.ended(sent)["state"] == "completed"
    tab = house.tab()
    tab.socket.send("x" * (2**20 + 1))
    wait_for(lambda: tab.code == 1009)
    again = house.tab(sent)
    wait_for(lambda: again.text(sent["answer"]) is not None)
    house.texts.pop()
    house.sent.clear()


@pytest.mark.parametrize(("text", "position"), [("ab\x00", 2), ("\ud800", 0), ("a\udfff\x00", 1)])
def test_what_cannot_be_stored_is_refused_with_its_place(house: House, text: str, position: int) -> None:
    """R33."""
    answer = house.send(text)
    assert answer.status_code == 422
    assert (answer.json()["error"]["code"], answer.json()["error"]["position"]) == (
        "unstorable_text", position,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["\x01\x02\x1b[31m\x07", "a" + "\u0301" * 10_000, "\u202egnp.exe\u202c", "\ufeff\uffff"]
)
def test_every_other_text_comes_back_as_it_was(house: House, text: str) -> None:
    """R33."""
    house.agent_server.answer(say(text), usage())
    house.texts.append(text)
    answer = house.send(text)
    assert answer.status_code == 202
    sent = answer.json()
    house.sent.append(sent)
    assert house.ended(sent)["text"] == text
    tab = house.tab(sent)
    wait_for(lambda: tab.text(sent["answer"]) == text)
    assert tab.text(sent["question"]) == text
    page = house.alice.get(f"{house.server.base_url}/c/{sent['conversation']}/")
    assert page.status_code == 200
    house.check()
    house.sent.clear()
    house.texts.remove(text)


@pytest.mark.parametrize(
    "path",
    ["/c/%00/", "/c/%ED%A0%80/", "/c/x/", "/c/%00/items/", "/c/..%2f/", "/c/" + "x" * 3000 + "/"],
)
def test_a_strange_address_is_one_that_is_not_there(house: House, path: str) -> None:
    """R33, S33."""
    answer = house.alice.get(house.server.base_url + path, allow_redirects=False)
    assert answer.status_code in (400, 404)
    for verb in ("messages", "stop", "retry", "continue", "show", "rename", "delete", "restore"):
        if path == "/c/%00/":
            fields = {"text": "x", "title": "x", "answer": "\x00"}
            assert house.post(f"{path}{verb}/", fields).status_code == 404, verb


@pytest.mark.parametrize(
    "fields",
    [{"text": "x", "agent": "\x00"}, {"text": "x", "parent": "\ud800"}, {"text": 1}, {"text": None},
     {"text": ["x"]}, {"text": "x", "agent": 5}, {"text": "x", "idempotency_key": "\x00"}],
)  # fmt: skip
def test_a_strange_field_never_is_a_server_error(house: House, fields: dict[str, Any]) -> None:
    """R33."""
    answer = house.post("/c/", {**fields})
    assert answer.status_code in (202, 400, 404, 422)
    if answer.status_code == 202:
        house.ended(answer.json())


# -- the database and the clock ------------------------------------------------------------------


def test_streams_go_on_while_somebody_holds_the_database(own_house: OwnHouse) -> None:
    """R34: 20 streams on SQLite, BEGIN EXCLUSIVE for 4 s, a page opened and a socket resumed meanwhile."""
    house = own_house(STKWEB_FIRST_BYTE_SECONDS="60")
    if house.server.database_url:
        pytest.skip("SQLite has one writer; PostgreSQL has not")
    words = [f"w{n} " for n in range(100)]
    house.agent_server.always(gate("go"), *slowly(words, 0.05), usage(1, 2, 3))
    sent = [house.ask() for _ in range(20)]
    tabs = [house.tab(one) for one in sent]
    wait_for(lambda: all(tab.of_type("snapshot") for tab in tabs))
    house.agent_server.open("go")
    wait_for(lambda: all(tab.text(one["answer"]) for tab, one in zip(tabs, sent, strict=True)))
    lock = sqlite3.connect(house.server.data / "stkweb.sqlite3", timeout=20, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        before = [len(tab.frames) for tab in tabs]
        wait_for(lambda: all(len(t.frames) > n + 20 for t, n in zip(tabs, before, strict=True)), 5)
        opened = time.monotonic()
        house.shown(sent[0])
        late = house.tab(sent[0])
        wait_for(lambda: late.text(sent[0]["answer"]))
        assert elapsed(opened) < 2, "reading waits for no writer"
        wait_for(lambda: elapsed(begun) > 4)
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    for one in sent:
        assert house.ended(one, 20)["text"] == "".join(words)
    assert "locked" not in house.server.log


_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* Adds the seconds that stand in the file $CLOCK_FILE to the wall clock, and to no other. */
static long shift(void) {
    FILE *file = fopen(getenv("CLOCK_FILE"), "r");
    long seconds = 0;
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += shift();
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(_CLOCK)
    try:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", str(folder / "clock.so"), str(folder / "clock.c"), "-ldl"],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler: the clock cannot be moved")
    return folder / "clock.so"


def test_a_clock_that_jumps_ends_nothing_and_mixes_up_nothing(
    own_house: OwnHouse, clock_library: Path, tmp_path: Path
) -> None:
    """R40: two hours back, a day ahead, 1970, in the middle of an answer."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    house = own_house(
        LD_PRELOAD=str(clock_library), CLOCK_FILE=str(clock), STKWEB_LEASE_SECONDS="1",
    )  # fmt: skip
    gates = ["back", "ahead", "1970", "now"]
    steps = [step for name in gates for step in (say(f"{name} "), pause(0.6), gate(name))]
    house.agent_server.answer(*steps, say("end"), usage())
    sent = house.ask()
    tab = house.tab(sent)
    for name, shift in zip(gates, (-7200, 86_400, -int(time.time()) + 1000, 0), strict=True):
        wait_for(lambda name=name: (tab.text(sent["answer"]) or "").endswith(f"{name} "))
        clock.write_text(str(shift))
        house.agent_server.open(name)
    row = house.ended(sent)
    assert (row["state"], row["text"]) == ("completed", "back ahead 1970 now end")
    duration = house.shown(sent)["stkweb"]["duration_ms"]
    assert 0 <= duration < 60_000, "a duration is no difference of wall clocks"
    for shift in (86_400, 0, -7200):
        clock.write_text(str(shift))
        sent = house.ask(sent["conversation"])
        house.ended(sent)
    clock.write_text("0")
    days = {str(day)[:10] for (day,) in house.server.rows("SELECT created_at FROM chat_message")}
    assert len(days) >= 2, "the clock did jump"
    rows = house.server.rows("SELECT public_id FROM chat_message ORDER BY id")
    page = house.alice.get(
        f"{house.server.base_url}/c/{sent['conversation']}/", headers={"Accept": "application/json"}
    )
    assert [item["id"] for item in page.json()["items"]] == [public_id for (public_id,) in rows]
    assert page.json()["items"][-1]["id"] == sent["answer"]
