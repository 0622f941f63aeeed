"""A model that calls a tool, from the question to the answer that knows the tool's output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.agent_server import API_KEY, AgentServer, call, say, usage
from tests.e2e.acts import answer, ask, at_work, ended, stored
from tests.real_server import Server

Visit = Callable[..., Any]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@pytest.fixture
def model(make_server: Callable[..., Server]) -> Iterator[tuple[Server, AgentServer]]:
    """A server whose only agent is a model that may ask for the weather."""
    with AgentServer() as upstream:
        server = make_server()
        config = upstream.config("openai")
        server.manage("agent", "disable", "Demo")
        key = server.data / "api-key"
        key.write_text(API_KEY)
        done = server.manage(
            "agent", "add", "Model", "--kind", "openai", "--model", config.agent_id,
            "--base-url", config.base_url, "--api-key-file", str(key),
            "--option", f"tools={json.dumps([TOOL])}",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        yield server, upstream
        assert upstream.errors == []


def test_a_call_is_seen_outlives_a_kill_and_is_answered_by_hand(
    visit: Visit, model: tuple[Server, AgentServer]
) -> None:
    server, upstream = model
    upstream.answer(say("I look."), call("weather", {"place": "Olinda"}), usage(stop="tool_calls"))
    page = visit(server=server)
    ask(page, "How is it?")
    expect(ended(page).locator(".call.pending code")).to_have_text("weather")
    other = visit(server=server, page=page, path=page.url)
    server.kill()
    server.start()
    page.reload()
    at_work(page)
    card = answer(page).locator(".call")
    card.locator("summary").click()
    expect(card.locator("pre").first).to_contain_text('"place": "Olinda"')
    upstream.answer(say("It is sunny in Olinda."), usage())
    card.locator("textarea").fill("sunny")
    card.locator("button").click()
    expect(page.locator(".answer")).to_have_count(2)
    ended(page)
    expect(answer(page).locator("> .prose")).to_have_text("It is sunny in Olinda.")
    assert upstream.chats[1].json["messages"][-1] == {
        "role": "tool", "tool_call_id": "call_a", "content": "sunny",
    }  # fmt: skip
    kinds = [item["type"] for item in stored(page)]
    assert kinds == ["user_message", "assistant_message", "client_tool_call", "assistant_message"]
    # A tab that watched sees what a fresh one sees.
    expect(other.locator(".call.completed")).to_have_count(1)
    expect(other.locator(".answer")).to_have_count(2)
    other.problems.clear()  # its socket was cut


def test_who_writes_on_leaves_the_call_behind(visit: Visit, model: tuple[Server, AgentServer]) -> None:
    server, upstream = model
    upstream.answer(call("weather", {"place": "Olinda"}), usage(stop="tool_calls"))
    page = visit(server=server)
    ask(page, "How is it?")
    expect(ended(page).locator(".call.pending")).to_have_count(1)
    page.fill("#text", "Never mind.")
    page.press("#text", "Enter")
    expect(page.locator(".answer")).to_have_count(2)
    ended(page)
    expect(page.locator(".call.over summary")).to_contain_text("no output was given")
    assert page.locator(".call textarea").count() == 0
    assert [message["role"] for message in upstream.chats[1].json["messages"]] == [
        "user", "assistant", "tool", "user",
    ]  # fmt: skip
