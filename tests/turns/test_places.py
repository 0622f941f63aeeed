"""Places of an allowance, in memory and in Redis: the same rules in both."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.models import new_id
from chat.turns import places_redis as module
from chat.turns.places import WINDOW, MemoryPlaces, Place, Places, Rule, Ticket, estimate
from chat.turns.places_redis import RedisPlaces
from tests.agent_server import AgentServer
from tests.real_server import free_port, wait_for

Make = Callable[..., Ticket]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    if request.param == "memory":
        yield MemoryPlaces()
        return
    prefix = f"test-{new_id()}"
    yield RedisPlaces(os.environ["REDIS_URL"], prefix)
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    for key in client.scan_iter(f"{prefix}.*"):
        client.delete(key)
    client.close()


@pytest.fixture
def ticket() -> Make:
    """ticket(person, per_minute=..., at_once=...): all for one credential."""
    key = new_id()
    return lambda person="alice", **rule: Ticket(key, person, Rule(**rule))


def test_only_so_many_run_at_once(places: Places, ticket: Make) -> None:
    one, two, three = (ticket(at_once=2) for _ in range(3))
    assert places.ask(one) is None
    assert places.ask(two) is None
    assert places.ask(three) == Place(0, 15)
    places.leave(one, 1.0)
    assert places.ask(three) is None


def test_nobody_begins_in_a_pause_and_the_wait_is_told(places: Places, ticket: Make) -> None:
    running, waiting = ticket(at_once=5), ticket(at_once=5)
    assert places.ask(running) is None
    places.pause(running.key, 30.0)
    places.pause(running.key, 0.2)  # a shorter one does not end it
    place = places.ask(waiting)
    assert place is not None
    assert (place.before, 25 < place.seconds <= 30) == (0, True)


def test_a_pause_ends(places: Places, ticket: Make) -> None:
    one = ticket(at_once=5)
    places.pause(one.key, 0.05)
    assert places.ask(one) is not None
    wait_for(lambda: places.ask(one) is None, what="the end of the pause")


def test_only_so_many_begin_in_a_minute(places: Places, ticket: Make) -> None:
    for _ in range(3):
        begun = ticket(per_minute=3)
        assert places.ask(begun) is None
        places.leave(begun, 0.1)
    late = ticket(per_minute=3)
    place = places.ask(late)
    assert place is not None
    assert place.before == 0
    assert 58 <= place.seconds <= 60, "until the first of them is a minute ago"


def test_a_minute_later_the_next_may_begin(ticket: Make) -> None:
    now = [100.0]
    places = MemoryPlaces(lambda: now[0])
    one, two = ticket(per_minute=1), ticket(per_minute=1)
    assert places.ask(one) is None
    assert places.ask(two) == Place(0, 60)
    now[0] += 59
    assert places.ask(two) == Place(0, 1)
    now[0] += 1.1
    assert places.ask(two) is None


def test_people_take_turns(places: Places, ticket: Make) -> None:
    """Everybody's first question comes before anybody's second."""
    running = ticket("zoe", at_once=1)
    assert places.ask(running) is None
    alices = [ticket("alice", at_once=1) for _ in range(3)]
    bobs = [ticket("bob", at_once=1) for _ in range(2)]
    for one in (*alices, *bobs):
        assert places.ask(one) is not None
    waiting = [*alices, *bobs]
    assert [place.before for one in waiting if (place := places.ask(one))] == [0, 2, 4, 1, 3]
    order = []
    while waiting:
        places.leave(running, 1.0)
        (running,) = [one for one in waiting if places.ask(one) is None]
        waiting.remove(running)
        order.append(running)
    assert order == [alices[0], bobs[0], alices[1], bobs[1], alices[2]]


def test_who_comes_late_does_not_pay_for_who_came_often(places: Places, ticket: Make) -> None:
    running = ticket("alice", at_once=1)
    assert places.ask(running) is None
    alices = [ticket("alice", at_once=1) for _ in range(4)]
    for one in alices:
        places.ask(one)
    places.leave(running, 1.0)
    assert places.ask(alices[0]) is None
    bob = ticket("bob", at_once=1)
    place = places.ask(bob)
    assert place is not None and place.before <= 1


def test_who_leaves_makes_room(places: Places, ticket: Make) -> None:
    one, two, three = (ticket(name, at_once=1) for name in ("alice", "bob", "charlie"))
    for each in (one, two, three):
        places.ask(each)
    places.leave(two)
    assert places.ask(three) is not None
    places.leave(one, 1.0)
    assert places.ask(three) is None


def test_credentials_have_nothing_to_do_with_each_other(places: Places) -> None:
    for key in ("one", "two"):
        assert places.ask(Ticket(key + new_id(), "alice", Rule(at_once=1))) is None


def test_the_estimate_learns_how_long_answers_take(places: Places, ticket: Make) -> None:
    for _ in range(30):
        one = ticket(at_once=1)
        assert places.ask(one) is None
        places.leave(one, 100.0)
    one, two = ticket(at_once=1), ticket(at_once=1)
    assert places.ask(one) is None
    place = places.ask(two)
    assert place is not None and 90 <= place.seconds <= 100


@pytest.mark.redis
def test_a_process_that_died_loses_its_places(monkeypatch: pytest.MonkeyPatch, ticket: Make) -> None:
    monkeypatch.setattr(module, "WAITING_LEASE", 0.3)
    monkeypatch.setattr(module, "RUNNING_LEASE", 0.5)
    url, prefix = os.environ["REDIS_URL"], f"test-{new_id()}"
    dead, living = RedisPlaces(url, prefix), RedisPlaces(url, prefix)
    ran, waited, mine = (ticket(name, at_once=1) for name in ("zoe", "alice", "bob"))
    assert dead.ask(ran) is None
    assert dead.ask(waited) is not None
    place = living.ask(mine)
    assert place is not None and place.before == 1
    AgentServer.wait(lambda: living.ask(mine) is None)
    client = redis.Redis.from_url(url)
    for key in client.scan_iter(f"{prefix}.*"):
        assert client.ttl(key) > 0, "nothing stays for good"
        client.delete(key)
    client.close()


@pytest.mark.redis
def test_one_that_runs_keeps_its_place(monkeypatch: pytest.MonkeyPatch, ticket: Make) -> None:
    monkeypatch.setattr(module, "RUNNING_LEASE", 0.4)
    places = RedisPlaces(os.environ["REDIS_URL"], f"test-{new_id()}")
    one, two = ticket(at_once=1), ticket(at_once=1)
    assert places.ask(one) is None
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        places.renew(one)
        assert places.ask(two) is not None
        time.sleep(0.05)


def test_without_redis_each_process_keeps_to_the_limits_alone(
    ticket: Make, caplog: pytest.LogCaptureFixture
) -> None:
    places = RedisPlaces(f"redis://127.0.0.1:{free_port()}/0")
    one, two = ticket(at_once=1), ticket(at_once=1)
    assert places.ask(one) is None
    assert places.ask(two) is not None
    places.leave(one, 1.0)
    assert places.ask(two) is None
    assert caplog.text.count("Redis does not answer") == 1, "said once, and not asked all the time"


actions = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(0, 9)), max_size=60)


@settings(deadline=None)
@given(actions, st.integers(1, 3), st.integers(1, 5))
def test_no_limit_is_ever_passed_and_nobody_is_forgotten(
    steps: list[tuple[int, str, int]], at_once: int, per_minute: int
) -> None:
    now = [0.0]
    places = MemoryPlaces(lambda: now[0])
    rule = Rule(per_minute, at_once)
    waiting: list[Ticket] = []
    running: list[Ticket] = []
    starts: list[float] = []

    def poll() -> None:
        for one in list(waiting):
            place = places.ask(one)
            if place is None:
                waiting.remove(one)
                running.append(one)
                starts.append(now[0])
                assert len(running) <= at_once
                assert sum(start > now[0] - WINDOW for start in starts) <= per_minute
            else:
                assert 0 <= place.before < len(waiting)
                assert place.seconds >= 1

    for what, person, number in steps:
        if what == 0:
            waiting.append(Ticket("k", person, rule))
        elif what == 1 and running:
            places.leave(running.pop(number % len(running)), 1.0)
        elif what == 2 and waiting:
            places.leave(waiting.pop(number % len(waiting)))
        else:
            now[0] += number * 3
        poll()
    for _ in range(200):
        while running:
            places.leave(running.pop(), 1.0)
        now[0] += WINDOW
        poll()
    assert not waiting


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 50), st.integers(1, 50))
def test_the_estimate_grows_with_the_queue(before: int, running: int, at_once: int) -> None:
    rule = Rule(at_once=at_once)
    sooner, later = (estimate(rule, n, 0, 0.0, running, 15.0) for n in (before, before + 1))
    assert 1 <= sooner <= later
