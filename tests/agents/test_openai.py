"""The OpenAI-compatible client: parameters and ranges, usage, reasoning, faults; after lexilux' cases."""

from __future__ import annotations

import pytest

from chat.agents import AgentConfig, HistoryMessage, HttpSession, Limits, Usage
from chat.agents.openai import provider_of, reasoning_of
from chat.agents.presets import PRESETS
from tests.agent_server import (
    API_KEY,
    AgentServer,
    Step,
    cut,
    done,
    drop,
    end,
    failure,
    raw,
    refuse,
    say,
    think,
    usage,
    whole,
)

from .calls import ask


async def test_stream_basic(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(say("Hel", "lo"), usage(7, None, 2))
    answer = await ask(http, agent_server.config("openai"), "Hi")
    assert answer.text == "Hello"
    assert answer.done.stop_reason == "stop"
    (request,) = agent_server.chats
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.json == {
        "model": "test-model",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_stream_with_usage(agent_server: AgentServer, http: HttpSession) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    agent_server.answer(say("a"), usage(7, None, 2, **details))
    found = (await ask(http, agent_server.config("openai"))).done.usage
    assert isinstance(found, Usage)
    assert (found.user, found.enrichment, found.output, found.cached, found.reasoning) == (7, None, 2, 4, 1)
    assert found.total == 9
    assert found.raw is not None and found.raw["completion_tokens_details"] == {"reasoning_tokens": 1}


async def test_stream_without_usage(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(say("a"), end("stop"), done())
    config = agent_server.config("openai", options={"include_usage": False})
    assert (await ask(http, config)).done.usage is None
    assert "stream_options" not in agent_server.chats[0].json


async def test_stream_with_system_message(agent_server: AgentServer, http: HttpSession) -> None:
    config = agent_server.config("openai", options={"system": "Be brief."})
    history = (HistoryMessage("user", "1"), HistoryMessage("assistant", "2"))
    await ask(http, config, "3", history=history)
    assert agent_server.chats[0].json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3"},
    ]


async def test_stream_parameters(agent_server: AgentServer, http: HttpSession) -> None:
    options = {
        "temperature": 0,
        "top_p": 1,
        "max_tokens": 1,
        "presence_penalty": -2,
        "frequency_penalty": 2.0,
        "stop": ["\n"],
        "logit_bias": {"50256": -100},
        "user": "alice",
        "seed": 7,
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    await ask(http, agent_server.config("openai", options=options), options={"tool_choice": "f", "stop": "x"})
    sent = agent_server.chats[0].json
    assert {name: sent[name] for name in options if name != "stop"} == {
        name: value for name, value in options.items() if name != "stop"
    }
    assert sent["stop"] == "x"
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}


async def test_extra_and_aliases_come_last(agent_server: AgentServer, http: HttpSession) -> None:
    options = {
        "max_tokens": 5,
        "param_aliases": {"max_tokens": "max_output"},
        "extra": {"top_k": 3, "stream": True},
    }
    await ask(http, agent_server.config("openai", options=options))
    sent = agent_server.chats[0].json
    assert (sent["max_output"], sent["top_k"]) == (5, 3)
    assert "max_tokens" not in sent


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("temperature", 2.1, "from 0 to 2"),
        ("temperature", -0.1, "from 0 to 2"),
        ("temperature", True, "from 0 to 2"),
        ("temperature", "1", "from 0 to 2"),
        ("temperature", float("nan"), "from 0 to 2"),
        ("top_p", 1.01, "from 0 to 1"),
        ("max_tokens", 0, "at least 1"),
        ("max_tokens", 1.5, "at least 1"),
        ("max_tokens", True, "at least 1"),
        ("presence_penalty", -2.5, "from -2 to 2"),
        ("frequency_penalty", 3, "from -2 to 2"),
        ("stop", "", "none of them empty"),
        ("stop", [], "one to four"),
        ("stop", ["a"] * 5, "one to four"),
        ("logit_bias", {"1": 101}, "from -100 to 100"),
        ("logit_bias", [1], "an object"),
        ("user", " ", "not blank"),
        ("tools", [], "a list of 1 to 128 tools"),
        ("tools", [{"type": "function"}], "function"),
        ("tool_choice", 1, "an object"),
        ("reasoning", "much", "true or false"),
        ("reasoning", {"effort": "huge"}, "one of"),
        ("reasoning", {"max_tokens": 0}, "at least 1"),
        ("provider", "x", "one of"),
        ("extra", "x", "an object"),
        ("key_header", "a b", "name of a header"),
        ("temprature", 1, "an option"),
    ],
)
async def test_a_parameter_out_of_its_range_is_refused_by_name_and_range(
    agent_server: AgentServer, http: HttpSession, name: str, value: object, rule: str
) -> None:
    answer = await ask(http, agent_server.config("openai", options={"reasoning": True} | {name: value}))
    assert answer.code == "agent_misconfigured"
    assert name in answer.error.detail and rule in answer.error.detail
    assert agent_server.requests == []


@pytest.mark.parametrize(
    "changes", [{"agent_id": " "}, {"base_url": ""}, {"client_secret": "a\r\nb"}, {"client_secret": " a"}]
)
async def test_a_setup_that_cannot_work_is_told_before_any_request(
    agent_server: AgentServer, http: HttpSession, changes: dict[str, str]
) -> None:
    assert (await ask(http, agent_server.config("openai", **changes))).code == "agent_misconfigured"
    assert agent_server.requests == []


async def test_files_are_refused_by_an_agent_that_takes_none(
    agent_server: AgentServer, http: HttpSession
) -> None:
    assert (await ask(http, agent_server.config("openai"), upload_ids=("u",))).code == "rejected"


async def test_no_conversation_id_comes_back_since_the_upstream_remembers_nothing(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("a", conversation_id="C"), end(), done())
    assert (await ask(http, agent_server.config("openai"), conversation_id="C")).done.conversation_id is None


async def test_the_key_may_go_in_another_header_or_nowhere(
    agent_server: AgentServer, http: HttpSession
) -> None:
    await ask(http, agent_server.config("openai", options={"key_header": "api-key"}))
    await ask(http, agent_server.config("openai", client_secret=""))
    with_key, without = (request.headers for request in agent_server.requests)
    assert with_key["api-key"] == API_KEY and "authorization" not in with_key
    assert "authorization" not in without


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls", "content_filter"])
async def test_stream_finish_reason(agent_server: AgentServer, http: HttpSession, finish: str) -> None:
    agent_server.answer(say("a"), end(finish), done())
    assert (await ask(http, agent_server.config("openai"))).done.stop_reason == finish


@pytest.mark.parametrize("body", [{"choices": []}, {"id": "x"}, {"choices": None}])
async def test_call_no_choices(agent_server: AgentServer, http: HttpSession, body: object) -> None:
    agent_server.answer(whole(body))
    assert (await ask(http, agent_server.config("openai"))).code in ("protocol", "empty_answer")


async def test_reasoning_comes_apart_and_is_not_sent_back(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(think("hm", "m"), say("Yes"), usage())
    answer = await ask(http, agent_server.config("openai"))
    assert (answer.reasoning, answer.text) == ("hmm", "Yes")


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((failure({"error": {"message": "overloaded"}}),), "agent_failed"),
        ((), "ended_early"),
        ((drop(),), "connection_lost"),
        ((cut(),), "connection_lost"),
        ((end("stop"),), None),
        ((done(),), None),
        ((done(), raw(b"data: junk\n\n"), cut()), None),
    ],
)
async def test_it_keeps_the_partial_answer_however_it_ends(
    agent_server: AgentServer, http: HttpSession, steps: tuple[Step, ...], code: str | None
) -> None:
    agent_server.answer(say("Hel", "lo"), *steps)
    answer = await ask(http, agent_server.config("openai"), limits=Limits(idle=0.5))
    assert (answer.text, answer.code) == ("Hello", code)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (refuse(401, {"error": {"message": "Incorrect API key"}}), "credentials"),
        (
            refuse(
                400,
                {
                    "error": {
                        "message": "The maximum context length is 8192 tokens. However, you requested "
                        "9000 tokens"
                    }
                },
            ),
            "prompt_too_long",
        ),
        (
            refuse(
                429, {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}
            ),
            "credit",
        ),
        (refuse(429, {"error": {"message": "Rate limit reached"}}), "busy"),
        (refuse(404, {"error": {"message": "model not found"}}), "agent_not_found"),
        (refuse(400, {"error": {"code": "content_filter", "message": "filtered"}}), "filtered"),
        (refuse(500, {"error": {"message": "oops"}}), "agent_unavailable"),
        (whole({"choices": []}), "empty_answer"),
    ],
)
async def test_call_http_error(agent_server: AgentServer, http: HttpSession, step: Step, code: str) -> None:
    agent_server.always(step)
    answer = await ask(http, agent_server.config("openai"))
    assert answer.code == code
    assert len(agent_server.chats) == 1, "a key is not renewed"
    if code == "prompt_too_long":
        assert answer.error.params == {"limit": 8192, "size": 9000}


async def test_a_whole_answer_instead_of_a_stream(agent_server: AgentServer, http: HttpSession) -> None:
    body = {
        "choices": [{"message": {"content": "Hi", "reasoning_content": "hm"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    agent_server.answer(whole(body))
    answer = await ask(http, agent_server.config("openai"))
    assert (answer.text, answer.reasoning) == ("Hi", "hm")
    assert answer.done.usage is not None and answer.done.usage.total == 3


@pytest.mark.parametrize(
    ("url", "wanted", "sent"),
    [
        ("https://api.deepseek.com/v1", True, {"thinking": {"type": "enabled"}}),
        ("https://open.bigmodel.cn/api", False, {"thinking": {"type": "disabled"}}),
        (
            "https://api.anthropic.com/v1",
            {"effort": "high"},
            {"thinking": {"type": "enabled", "budget_tokens": 32768}},
        ),
        (
            "https://dashscope.aliyuncs.com/v1",
            {"max_tokens": 99},
            {"enable_thinking": True, "thinking_budget": 99},
        ),
        ("https://dashscope.aliyuncs.com/v1", False, {"enable_thinking": False}),
        ("https://api.moonshot.cn/v1", True, {}),
        ("https://openrouter.ai/api/v1", True, {"reasoning": {"effort": "medium"}}),
        ("https://openrouter.ai/api/v1", {"max_tokens": 9}, {"reasoning": {"max_tokens": 9}}),
        ("https://api.openai.com/v1", {"effort": "low"}, {"reasoning_effort": "low"}),
        ("http://localhost:11434/v1", False, {}),
    ],
)
def test_reasoning_is_asked_for_in_each_providers_words(
    url: str, wanted: object, sent: dict[str, object]
) -> None:
    assert reasoning_of(provider_of(url), wanted) == sent


def test_a_provider_can_be_named_when_its_host_says_nothing() -> None:
    assert provider_of("https://gateway.example/v1", "qwen") == "qwen"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_a_usable_address(name: str) -> None:
    from chat.agents.openai import OpenAIEndpoint

    preset = PRESETS[name]
    options = {"key_header": preset.key_header} if preset.key_header else {}
    endpoint = OpenAIEndpoint(
        AgentConfig("openai", name, base_url=preset.base_url, client_secret="k", options=options)
    )
    assert endpoint.url.endswith("/v1/chat/completions")
