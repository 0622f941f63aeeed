"""The turns' runtime in this process, on a loop of its own, beside the test's rows.

    sent = serving.ask(alice, "Hello")              # a verb, from this thread, as a view calls it
    answer = serving.ended(sent)                    # its row, once the turn is over
    watcher = serving.watch(sent.conversation)      # what every watcher is shown

Tests stay synchronous: they use the ORM in their own thread and hand coroutines to `run`. The
agent they talk to is a real HTTP server (tests/agent_server.py). Fixtures: `serving`, `agent`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from chat import actions
from chat.actions import Sent
from chat.models import Agent, Message, new_id
from chat.turns import runtime
from chat.turns.hub import feed_topic, thread_topic
from tests.agent_server import AgentServer
from tests.page import Page
from tests.real_server import wait_for

__all__ = ["Recorder", "Serving", "agent", "serving", "wait_for"]


class Recorder:
    """A watcher that keeps everything it is given."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.frames: list[dict[str, Any]] = []

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        self.seqs.append(seq)
        self.frames.append(json.loads(frame))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [frame["event"] for frame in self.frames]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def text(self) -> str:
        """All text deltas, joined."""
        return "".join(
            event["update"]["delta"] for event in self.events
            if event["type"] == "thread.item.updated" and "delta" in event["update"]
        )  # fmt: skip

    def page(self) -> Page:
        """A page that saw these events from the beginning."""
        page = Page(seq=self.seqs[0] - 1)
        for frame in self.frames:
            page.take(frame)
        return page


class Serving:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop, name="serving", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float = 20.0) -> Any:
        """The result of `coroutine`, run on the loop that serves."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """The result of a plain function, called on the loop's thread."""

        async def called() -> Any:
            return function(*values)

        return self.run(called())

    def open(self) -> None:
        self.run(runtime.start())

    def shut(self) -> None:
        self.run(runtime.stop())

    def close(self) -> None:
        self.shut()
        self.run(_end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    @property
    def runtime(self) -> runtime.Runtime:
        return runtime.current()

    # -- turns -----------------------------------------------------------------------------------

    def ask(self, user: Any, text: str = "Hi", conversation: str | None = None, **more: Any) -> Sent:
        more.setdefault("key", new_id())
        return actions.ask(user, text=text, conversation=conversation, **more)

    def ended(self, sent: Sent | str, seconds: float = 10.0) -> Message:
        """The answer's row, once its turn is over and announced."""
        public_id = sent if isinstance(sent, str) else sent.answer

        def over() -> Message | None:
            answer = Message.objects.select_related("conversation", "agent").get(public_id=public_id)
            running = answer.is_running or answer.conversation_id in self.runtime.turns
            return None if running else answer

        return wait_for(over, seconds, f"the end of {public_id}")

    def wait_text(self, sent: Sent, text: str) -> Message:
        """The answer's row, once it holds `text`."""

        def holds() -> Message | None:
            return Message.objects.filter(public_id=sent.answer, text=text).first()

        return wait_for(holds, what=f"{text!r} in the rows")

    def watch(self, thread_id: str) -> Recorder:
        recorder = Recorder()
        self.run(self.runtime.hub.watch(thread_topic(thread_id), recorder))
        return recorder

    def watch_feed(self, user: Any) -> Recorder:
        recorder = Recorder()
        self.run(self.runtime.hub.watch(feed_topic(user.pk), recorder))
        return recorder


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def serving(transactional_db: None) -> Iterator[Serving]:
    """This process serves, until the end of the test."""
    served = Serving()
    try:
        served.open()
        yield served
    finally:
        served.close()


@pytest.fixture
def make_agent(transactional_db: None, agent_server: AgentServer) -> Callable[..., Agent]:
    """make_agent(name, **fields): a StackSpot agent that is the scripted server."""

    def make(name: str = "Scripted", **fields: Any) -> Agent:
        config = agent_server.config("stackspot")
        names = ("base_url", "token_url", "agent_id", "client_id")
        row = Agent(
            name=name, kind=Agent.Kind.STACKSPOT, **{n: getattr(config, n) for n in names}, **fields
        )  # fmt: skip
        row.set_secret(config.client_secret)
        row.save()
        return row

    return make


@pytest.fixture
def make_model(transactional_db: None, agent_server: AgentServer) -> Callable[..., Agent]:
    """make_model(name, **fields): the scripted server as an OpenAI-compatible agent."""

    def make(name: str = "Model", **fields: Any) -> Agent:
        config = agent_server.config("openai")
        row = Agent(
            name=name, kind=Agent.Kind.OPENAI, base_url=config.base_url, agent_id=config.agent_id, **fields
        )
        row.set_secret(config.client_secret)
        row.save()
        return row

    return make


@pytest.fixture
def agent(make_agent: Callable[..., Agent]) -> Agent:
    """The agent that everybody asks."""
    return make_agent()
