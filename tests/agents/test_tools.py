"""Function tools: what may be offered, calls joined from their pieces, and how they are told again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentError, AgentRequest, HistoryMessage, HttpSession, ToolCall, ToolsCalled
from chat.agents.blocking import BlockingClient, Status
from chat.agents.openai import payload_of
from chat.agents.tools import MOST_CALLS, check_tools
from chat.agents.transcript import transcript
from chat.agents.values import AgentConfig, Limits
from tests.agent_server import AgentServer, raw
from tests.agents.calls import ask
from tests.agents.streams import DONE, Read, data, openai, read

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string"},
                "days": {"type": ["integer", "null"], "enum": [1, 2]},
            },
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}
CONFIG = AgentConfig("openai", "Model", base_url="https://host/v1", agent_id="m")


def part(
    index: int | None = 0, id: str | None = None, name: str | None = None, arguments: Any = None
) -> bytes:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call: dict[str, Any] = {"function": function}
    if index is not None:
        call["index"] = index
    if id is not None:
        call["id"] = id
    return data({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})


def end(reason: str = "tool_calls") -> bytes:
    return openai(finish=reason, usage={"prompt_tokens": 3, "completion_tokens": 2}) + DONE


def calls_of(answer: Read) -> list[tuple[str, str, Any]]:
    found = [event for event in answer.events if isinstance(event, ToolsCalled)]
    assert len(found) <= 1
    return [(call.id, call.name, call.arguments) for event in found for call in event.calls]


# -- calls, joined ---------------------------------------------------------------------------------


def test_arguments_are_joined_by_the_index_of_their_call() -> None:
    answer = read(
        part(0, "a", "weather", ""), part(1, "b", "time", ""), part(0, arguments='{"place": "Ol'),
        part(1, arguments="{}"), part(0, arguments='inda"}'), end(),
    )  # fmt: skip
    assert calls_of(answer) == [("a", "weather", {"place": "Olinda"}), ("b", "time", {})]
    assert (answer.code, answer.done and answer.done.stop_reason, answer.usage) == (
        None, "tool_calls", (3, None, 2),
    )  # fmt: skip


def test_without_an_index_the_id_says_which_call_and_what_has_neither_is_the_last_ones() -> None:
    answer = read(
        part(None, "a", "weather", '{"place":'), part(None, "b", "time", '{"zone":'),
        part(None, "a", arguments='"X"}'),
        part(None, "b", arguments='"UT'), part(None, arguments='C"}'), end(),
    )  # fmt: skip
    assert calls_of(answer) == [("a", "weather", {"place": "X"}), ("b", "time", {"zone": "UTC"})]


def test_servers_that_give_every_call_the_index_zero_are_understood() -> None:
    answer = read(part(0, "a", "weather", '{"place": "X"}'), part(0, "b", "time", "{}"), end())
    assert calls_of(answer) == [("a", "weather", {"place": "X"}), ("b", "time", {})]


def test_an_id_and_a_name_that_are_repeated_in_every_part_name_one_call() -> None:
    answer = read(part(0, "a", "weather", '{"place"'), part(0, "a", "weather", ': "X"}'), end())
    assert calls_of(answer) == [("a", "weather", {"place": "X"})]


def test_whole_calls_without_index_and_id_are_calls_of_their_own_and_get_ids() -> None:
    answer = read(
        part(None, None, "weather", {"place": "X"}), part(None, None, "weather", {"place": "Y"}), end()
    )
    assert calls_of(answer) == [("call_1", "weather", {"place": "X"}), ("call_2", "weather", {"place": "Y"})]


def test_an_id_that_is_used_twice_is_replaced_so_that_each_output_has_one_call() -> None:
    answer = read(part(0, "a", "weather", "{}"), part(1, "a", "time", "{}"), end())
    assert [id for id, _, _ in calls_of(answer)] == ["a", "call_2"]


def test_a_whole_message_and_the_older_function_call_are_calls_too() -> None:
    message = {"content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    assert calls_of(read(whole)) == [("a", "f", {})]
    old = {
        "choices": [
            {"delta": {"function_call": {"name": "f", "arguments": '{"n": 1}'}}, "finish_reason": None}
        ]
    }
    assert calls_of(read(data(old), end("function_call"))) == [("call_1", "f", {"n": 1})]


def test_text_beside_calls_is_kept_and_the_calls_come_last_before_the_end() -> None:
    answer = read(openai("I look."), part(0, "a", "f", "{}"), end())
    assert answer.text == "I look."
    assert [type(event).__name__ for event in answer.events] == ["TextDelta", "ToolsCalled", "Done"]


@pytest.mark.parametrize("arguments", ["{", "[]", "1", '"x"', "{}{}", "nonsense"])
def test_arguments_that_are_no_object_are_no_answer(arguments: str) -> None:
    assert read(part(0, "a", "f", arguments), end()).code == "protocol"


def test_a_call_without_a_name_is_no_answer() -> None:
    assert read(part(0, "a", None, "{}"), end()).code == "protocol"


def test_a_call_that_was_cut_by_the_length_is_left_out_and_the_text_stands() -> None:
    answer = read(openai("I look."), part(0, "a", "f", '{"place": "Ol'), end("length"))
    assert (answer.text, answer.code, calls_of(answer)) == ("I look.", None, [])


def test_the_reason_tool_calls_without_a_single_call_is_an_empty_answer() -> None:
    assert read(end()).code == "empty_answer"


def test_calls_are_not_handed_on_from_an_answer_that_did_not_end() -> None:
    answer = read(part(0, "a", "f", "{}"))
    assert (answer.code, calls_of(answer)) == ("ended_early", [])


def test_endless_arguments_and_endless_calls_have_an_end() -> None:
    limits = Limits(answer_bytes=1000)
    assert read(*[part(0, "a", "f", "x" * 100)] * 11, limits=limits).code == "answer_too_large"
    many = [part(n, f"id{n}", "f", "{}") for n in range(MOST_CALLS + 1)]
    assert read(*many, end()).code == "answer_too_large"


#: The numbers that every reader of JSON takes as they are.
WHOLE = st.integers(-(2**63), 2**63 - 1)


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["weather", "time"]),
            st.dictionaries(st.text(max_size=5), st.text(max_size=8) | WHOLE | st.none(), max_size=3),
        ),
        min_size=1, max_size=4,
    ),
    named=st.booleans(),
    size=st.integers(1, 9),
    cut=st.integers(1, 40),
)  # fmt: skip
def test_any_calls_in_any_pieces_come_out_as_they_went_in(
    calls: list[tuple[str, dict[str, Any]]], named: bool, size: int, cut: int
) -> None:
    pieces: list[list[bytes]] = []
    for n, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments)
        which: dict[str, Any] = {"index": None, "id": f"id{n}"} if named else {"index": n}
        own = [part(**which, arguments=text[i : i + size]) for i in range(0, len(text), size)]
        pieces.append([part(which["index"], f"id{n}", name, ""), *own])
    body = b""
    while any(pieces):  # the calls' parts take turns
        body += b"".join(own.pop(0) for own in pieces if own)
    body += end()
    answer = Read(body[i : i + cut] for i in range(0, len(body), cut))
    # In an object a name that comes twice is once there; json.dumps made none.
    assert calls_of(answer) == [(f"id{n}", name, arguments) for n, (name, arguments) in enumerate(calls)]


# -- what may be offered -----------------------------------------------------------------------------


def test_a_tool_is_offered_as_it_was_set_up() -> None:
    assert check_tools("tools", [WEATHER]) == [WEATHER]
    assert check_tools("tools", [{"type": "function", "function": {"name": "bare"}}])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": "two words"}, "tools[0].function.name"),
        ({"name": ""}, "tools[0].function.name"),
        ({"name": "x" * 65}, "tools[0].function.name"),
        ({"description": 1}, "tools[0].function.description"),
        ({"strict": "perhaps"}, "tools[0].function.strict"),
        ({"parameters": []}, "tools[0].function.parameters"),
        ({"parameters": {"type": "array"}}, "tools[0].function.parameters.type"),
        ({"parameters": {"type": "object", "properties": []}}, "parameters.properties"),
        ({"parameters": {"type": "object", "properties": {"a": {"type": "text"}}}}, "properties.a.type"),
        ({"parameters": {"type": "object", "required": "a"}}, "parameters.required"),
        ({"parameters": {"type": "object", "properties": {"a": {"enum": []}}}}, "properties.a.enum"),
        ({"parameters": {"type": "object", "anyOf": {}}}, "parameters.anyOf"),
        ({"parameters": {"type": "object", "properties": {"a": {"items": 1}}}}, "properties.a.items"),
    ],
)
def test_what_is_no_function_is_refused_with_its_place(changes: dict[str, Any], place: str) -> None:
    tool = {"type": "function", "function": {**WEATHER["function"], **changes}}  # type: ignore[dict-item]
    with pytest.raises(AgentError) as caught:
        check_tools("tools", [tool])
    assert caught.value.code == "agent_misconfigured"
    assert place in caught.value.detail


def test_two_functions_of_one_name_and_a_schema_without_an_end_are_refused() -> None:
    with pytest.raises(AgentError):
        check_tools("tools", [WEATHER, WEATHER])
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(30):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(AgentError) as caught:
        check_tools("tools", [{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert "levels deep" in caught.value.detail


# -- calls and outputs, told again ---------------------------------------------------------------------

CALL = ToolCall("a", "weather", {"place": "Olinda"})
TOLD = (
    HistoryMessage("user", "How is it?"),
    HistoryMessage("assistant", "", calls=(CALL,)),
    HistoryMessage("tool", "sunny", call_id="a"),
)


def test_a_call_and_its_output_go_back_as_the_interface_has_them() -> None:
    function = {"name": "weather", "arguments": '{"place":"Olinda"}'}
    assert payload_of(CONFIG, AgentRequest("", history=TOLD))["messages"] == [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "a", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    ]  # fmt: skip


def test_a_blank_prompt_is_refused_but_behind_an_output() -> None:
    with pytest.raises(AgentError):
        payload_of(CONFIG, AgentRequest("", history=TOLD[:2]))


def test_an_agent_without_tools_is_told_them_as_text() -> None:
    told = transcript(TOLD, "And now?")
    assert 'weather({"place": "Olinda"})' in told
    assert "<conversation-1-tool>\nsunny\n</conversation-1-tool>" in told


async def test_a_call_comes_from_a_real_stream_in_one_event(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(
        raw(part(0, "a", "weather", '{"place":')), raw(part(0, arguments='"Olinda"}')), raw(end())
    )
    got = await ask(http, agent_server.config("openai", options={"tools": [WEATHER]}))
    assert [event for event in got.events if isinstance(event, ToolsCalled)] == [ToolsCalled((CALL,))]
    assert agent_server.chats[0].json["tools"] == [WEATHER]


def test_a_blocking_answer_has_its_calls(agent_server: AgentServer) -> None:
    agent_server.answer(raw(part(0, "a", "weather", '{"place":"Olinda"}')), raw(end()))
    response = BlockingClient(agent_server.config("openai")).chat(AgentRequest("How is it?"))
    assert (response.status, response.tool_calls) == (Status.SUCCESS, (CALL,))
