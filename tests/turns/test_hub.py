"""The hub: watchers of this process, and the doorbell of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.exceptions
from channels.layers import InMemoryChannelLayer

from chat.turns.hub import Hub, feed_topic, thread_topic
from chat.turns.neighbours import LayerNeighbours, worker_group
from tests.serving import Recorder

TOPIC = thread_topic("01K6101856EC0MKJ8KN4S2B9CM")


async def test_every_watcher_gets_every_frame_in_order() -> None:
    hub, first, second = Hub(), Recorder(), Recorder()
    await hub.watch(TOPIC, first)
    await hub.watch(TOPIC, second)
    for seq in range(2000):
        hub.publish(TOPIC, seq, f'{{"n":{seq}}}')
    assert first.seqs == second.seqs == list(range(2000))


async def test_a_watcher_hears_its_own_topic_only() -> None:
    hub, watcher = Hub(), Recorder()
    await hub.watch(TOPIC, watcher)
    hub.publish(thread_topic("another"), 1, "{}")
    hub.publish(feed_topic(1), 0, "{}")
    assert watcher.seqs == []


async def test_nothing_is_kept_of_a_topic_that_nobody_watches() -> None:
    hub, watcher = Hub(), Recorder()
    await hub.watch(TOPIC, watcher)
    hub.unwatch(TOPIC, watcher)
    hub.unwatch(TOPIC, watcher)
    hub.publish(TOPIC, 1, "{}")
    assert watcher.seqs == []
    assert not hub.watched(TOPIC)
    assert hub.topics() == []


async def test_a_watcher_may_leave_while_a_frame_is_given_out() -> None:
    hub, other = Hub(), Recorder()

    class Leaving:
        heard = 0

        def deliver(self, topic: str, seq: int, frame: str) -> None:
            self.heard += 1
            hub.unwatch(TOPIC, self)

    leaving = Leaving()
    await hub.watch(TOPIC, leaving)
    await hub.watch(TOPIC, other)
    hub.publish(TOPIC, 1, "{}")
    hub.publish(TOPIC, 2, "{}")
    assert leaving.heard == 1
    assert other.seqs == [1, 2]


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Processes:
    """Two hubs that share one channel layer, as two server processes share Redis."""

    def __init__(self, layer: InMemoryChannelLayer | None = None) -> None:
        self.layer: InMemoryChannelLayer = layer or InMemoryChannelLayer(capacity=100_000)
        self.hubs = [Hub(), Hub()]
        self.stops: list[int] = []
        self.neighbours = [
            LayerNeighbours(hub, self.layer, f"worker{n}", self.stops.append)
            for n, hub in enumerate(self.hubs)
        ]

    async def __aenter__(self) -> Processes:
        for hub, neighbours in zip(self.hubs, self.neighbours, strict=True):
            await neighbours.start()
            hub.neighbours = neighbours
        return self

    async def __aexit__(self, *exc: object) -> None:
        for neighbours in self.neighbours:
            await neighbours.stop()


async def test_frames_reach_watchers_in_other_processes_joined_and_in_order() -> None:
    async with Processes() as processes:
        here, there = processes.hubs
        near, far = Recorder(), Recorder()
        await here.watch(TOPIC, near)
        await there.watch(TOPIC, far)
        for seq in range(500):
            here.publish(TOPIC, seq, "{}")
        assert near.seqs == list(range(500)), "the own process hears at once"
        await until(lambda: len(far.seqs) == 500)
        assert far.seqs == list(range(500))
        await asyncio.sleep(0)
        assert near.seqs == list(range(500)), "and nothing twice"


async def test_what_was_published_last_is_sent_before_a_process_leaves() -> None:
    async with Processes() as processes:
        far = Recorder()
        await processes.hubs[1].watch(TOPIC, far)
        processes.hubs[0].publish(TOPIC, 1, "{}")
        await processes.neighbours[0].stop()
        await until(lambda: far.seqs == [1])


async def test_a_stop_rings_at_the_owner_alone() -> None:
    async with Processes() as processes:
        processes.neighbours[0].ask_to_stop("worker1", 42)
        await until(lambda: processes.stops)
        assert processes.stops == [42]
        assert worker_group("worker1") in processes.layer.groups


class Leaving(InMemoryChannelLayer):
    """A layer that can be away, as Redis can."""

    away = False

    async def new_channel(self, prefix: str = "specific.") -> str:
        if self.away:
            raise redis.exceptions.ConnectionError
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        if self.away:
            raise redis.exceptions.ConnectionError
        await super().group_add(group, channel)


async def test_a_topic_joined_while_the_layer_was_away_is_joined_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.turns.neighbours.RETRY", 0.02)
    layer, given_up = Leaving(capacity=100_000), thread_topic("given up")
    async with Processes(layer) as processes:
        here, there = processes.hubs
        far, gone = Recorder(), Recorder()
        layer.away = True
        await there.watch(TOPIC, far)
        await there.watch(given_up, gone)
        there.unwatch(given_up, gone)
        await asyncio.sleep(0.05)
        assert TOPIC not in layer.groups
        layer.away = False
        await until(lambda: TOPIC in layer.groups)
        here.publish(TOPIC, 7, "{}")
        await until(lambda: far.seqs == [7])
        assert given_up not in layer.groups


async def test_a_process_that_started_while_the_layer_was_away_hears_the_others_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R37."""
    monkeypatch.setattr("chat.turns.neighbours.RETRY", 0.02)
    layer = Leaving(capacity=100_000)
    layer.away = True
    async with Processes(layer) as processes:
        here, there = processes.hubs
        far = Recorder()
        await there.watch(TOPIC, far)
        layer.away = False
        await until(lambda: TOPIC in layer.groups and worker_group("worker1") in layer.groups)
        here.publish(TOPIC, 7, "{}")
        await until(lambda: far.seqs == [7])
        processes.neighbours[0].ask_to_stop("worker1", 42)
        await until(lambda: processes.stops == [42])


@pytest.mark.parametrize("pauses", [0, 1, 2])
async def test_leaving_and_coming_back_at_once_does_not_make_a_process_deaf(pauses: int) -> None:
    async with Processes() as processes:
        here, there = processes.hubs
        first, second = Recorder(), Recorder()
        await there.watch(TOPIC, first)
        there.unwatch(TOPIC, first)
        for _ in range(pauses):
            await asyncio.sleep(0)
        await there.watch(TOPIC, second)
        await asyncio.sleep(0.02)
        here.publish(TOPIC, 7, "{}")
        await until(lambda: second.seqs == [7])
