"""What an agent is told of the conversation so far, by what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chat.models import Agent
from tests.agent_server import API_KEY, AgentServer, say, usage
from tests.serving import Serving


def test_an_agent_that_remembers_nothing_is_told_the_branch_every_time(
    serving: Serving, alice: Any, make_agent: Callable[..., Agent], agent_server: AgentServer
) -> None:
    agent = make_agent("Model")
    agent.kind, agent.base_url, agent.agent_id = "openai", f"{agent_server.url}/v1", "model"
    agent.set_secret(API_KEY)
    agent.save()
    agent_server.always(say("Aye"), usage())
    first = serving.ask(alice, "One")
    parent = serving.ended(first)
    assert parent.upstream_conversation == ""
    serving.ended(serving.ask(alice, "Two", first.conversation, parent=first.answer))
    assert [chat.json["messages"] for chat in agent_server.chats] == [
        [{"role": "user", "content": "One"}],
        [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Aye"},
            {"role": "user", "content": "Two"},
        ],
    ]


def test_an_agent_that_remembers_is_told_the_new_question_alone(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    first = serving.ask(alice, "One")
    parent = serving.ended(first)
    serving.ended(serving.ask(alice, "Two", first.conversation, parent=first.answer))
    one, two = (chat.json for chat in agent_server.chats)
    assert two["user_prompt"] == "Two"
    assert two["conversation_id"] == one["conversation_id"] == parent.upstream_conversation
