"""How the page comes back to its server: when it tries, what it says, when it gives up waiting."""

from __future__ import annotations

from typing import Any

import pytest

#: A socket in a world of ours: time is a number, sockets are objects, chance is given.
WORLD = """
async (script) => {
  const { Socket } = await import("stkweb/net");
  let now = 0, next = 1, hidden = false;
  const timers = new Map(), made = [], events = [];
  const world = {
    make: (url) => {
      const ws = {
        url, readyState: 0, sent: [], closed: false,
        send(text) { this.sent.push(text); },
        close() { this.closed = true; this.readyState = 3; },
      };
      made.push(ws);
      return ws;
    },
    timers: {
      setTimeout: (run, after) => (timers.set(next, { at: now + after, run }), next++),
      clearTimeout: (id) => timers.delete(id),
    },
    random: () => 1, hidden: () => hidden, now: () => now,
  };
  const socket = new Socket("ws://stkweb.test/ws/", world);
  for (const name of ["up", "down", "out", "unheard"]) {
    socket.addEventListener(name, () => events.push([now, name]));
  }
  socket.addEventListener("frame", (event) => events.push([now, "frame", event.detail.type]));
  const pass = (milliseconds) => {
    const end = now + milliseconds;
    for (;;) {
      const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      timers.delete(due[0]); now = due[1].at; due[1].run();
    }
    now = end;
  };
  const last = () => made.at(-1);
  const say = (frame) => last().onmessage({ data: JSON.stringify(frame) });
  const hello = () => { last().readyState = 1; say({ type: "hello", version: "1", user: "alice" }); };
  const drop = (code = 1006) => { const ws = last(); ws.readyState = 3; ws.onclose({ code }); };
  const hide = (value) => (hidden = value);
  await eval("(async () => {" + script + "})()");
  return {
    made: made.map((ws) => ({ sent: ws.sent, closed: ws.closed })),
    events, now, up: socket.up, waiting: [...timers.values()].map((timer) => timer.at - now),
  };
}
"""


def play(page: Any, script: str) -> dict[str, Any]:
    return page.evaluate(WORLD, script)


def test_it_pings_after_twenty_seconds_and_stays_when_it_is_answered(modules: Any) -> None:
    found = play(modules, 'socket.connect(); hello(); pass(20000); say({type: "pong"}); pass(15000);')
    assert found["made"] == [{"sent": ['{"type":"ping"}'], "closed": False}]
    assert found["up"] is True


def test_it_gives_a_silent_server_ten_seconds_and_connects_anew(modules: Any) -> None:
    found = play(modules, "socket.connect(); hello(); pass(20000); pass(9999);")
    assert len(found["made"]) == 1
    found = play(modules, "socket.connect(); hello(); pass(20000); pass(10001); pass(600);")
    assert [made["closed"] for made in found["made"]] == [True, False]
    assert [30000, "down"] in found["events"]


def test_the_wait_doubles_up_to_thirty_seconds(modules: Any) -> None:
    script = """socket.connect(); hello();
        for (let i = 0; i < 9; i++) {
          drop();
          const wait = [...timers.values()][0].at - now;
          events.push(["wait", wait]);
          pass(wait);
        }"""
    waits = [event[1] for event in play(modules, script)["events"] if event[0] == "wait"]
    assert waits == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]


def test_the_wait_starts_over_once_the_server_has_spoken(modules: Any) -> None:
    script = "socket.connect(); drop(); pass(600); drop(); pass(1100); hello(); drop();"
    assert play(modules, script)["waiting"] == [500]


@pytest.mark.parametrize("chance", [0, 0.25, 0.999])
def test_the_wait_is_anything_up_to_its_bound(modules: Any, chance: float) -> None:
    script = "async (chance) => (await import('stkweb/net')).backoff(3, () => chance)"
    assert modules.evaluate(script, chance) == pytest.approx(4000 * chance)


def test_nothing_is_tried_while_the_page_is_hidden(modules: Any) -> None:
    found = play(modules, "socket.connect(); hello(); hide(true); drop(); pass(120000);")
    assert len(found["made"]) == 1
    found = play(
        modules, "socket.connect(); hello(); hide(true); drop(); pass(120000); hide(false); socket.connect();"
    )
    assert len(found["made"]) == 2


def test_being_signed_out_ends_the_trying(modules: Any) -> None:
    found = play(modules, "socket.connect(); hello(); drop(4401); pass(120000);")
    assert len(found["made"]) == 1
    assert [0, "out"] in found["events"]


def test_a_refused_handshake_is_told_apart_from_a_dropped_line(modules: Any) -> None:
    assert [0, "unheard"] in play(modules, "socket.connect(); drop();")["events"]
    assert [0, "unheard"] not in play(modules, "socket.connect(); hello(); drop();")["events"]


def test_a_late_word_of_an_old_socket_is_not_heard(modules: Any) -> None:
    script = """socket.connect(); hello();
        const old = last(), heard = old.onmessage;
        drop(); pass(600); hello();
        heard({ data: '{"type":"feed"}' });"""
    assert [event[2] for event in play(modules, script)["events"] if event[1] == "frame"] == [
        "hello",
        "hello",
    ]


@pytest.mark.parametrize(
    ("down_for", "online", "said"),
    [
        (None, True, "fine"),
        (1999, True, "fine"),
        (2000, True, "reconnecting"),
        (9999, True, "reconnecting"),
        (10000, True, "retry"),
        (None, False, "offline"),
        (60000, False, "offline"),
    ],
)
def test_what_is_said_of_the_line(modules: Any, down_for: int | None, online: bool, said: str) -> None:
    script = "async ([downFor, online]) => (await import('stkweb/net')).phase(downFor, online)"
    assert modules.evaluate(script, [down_for, online]) == said
