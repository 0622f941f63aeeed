"""The counter of wrong tries: so many in so long, then a pause that ends, in a memory that is bounded."""

from __future__ import annotations

from chat.sharing.throttle import KEYS, Throttle


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_refuses_after_so_many_tries_of_one_key_and_of_no_other() -> None:
    throttle = Throttle(3, 60.0, Clock())
    seen = []
    for _ in range(4):
        seen.append(throttle.over("a"))
        throttle.note("a")
    assert seen == [False, False, False, True]
    assert not throttle.over("b")


def test_the_pause_ends_and_the_next_one_begins_with_none() -> None:
    clock = Clock()
    throttle = Throttle(2, 60.0, clock)
    for _ in range(2):
        throttle.note("a")
    clock.now += 59.9
    assert throttle.over("a")
    clock.now += 0.1
    assert not throttle.over("a")
    throttle.note("a")
    assert not throttle.over("a"), "one try of the next minute"
    throttle.note("a")
    assert throttle.over("a")


def test_it_remembers_so_many_keys_and_forgets_those_that_tried_longest_ago() -> None:
    throttle = Throttle(1, 60.0, Clock())
    for number in range(KEYS + 100):
        throttle.note(str(number))
    assert len(throttle._tries) == KEYS
    assert not throttle.over("0")
    assert throttle.over(str(KEYS + 99))
