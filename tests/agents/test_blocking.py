"""One-shot and batch calls, after the SDK's cases for chat and chat_many."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chat.agents import AgentConfig, AgentError, AgentRequest, Done, Limits, TextDelta
from chat.agents.blocking import AgentResponse, BlockingClient, Cancellation, Status
from chat.agents.handlers import HandlerError, as_json
from tests.agent_server import (
    AgentServer,
    Step,
    before_headers,
    cut,
    drop,
    end,
    failure,
    gate,
    hang,
    headers,
    page,
    pause,
    pieces,
    raw,
    refuse,
    say,
    think,
    usage,
    whole,
)

QUICK = Limits(connect=1, first_byte=0.3, idle=0.3, total=5)


def chat(server: AgentServer, prompt: str = "Hi", kind: str = "stackspot", **values: object) -> AgentResponse:
    return BlockingClient(server.config(kind), QUICK).chat(AgentRequest(prompt, **values))  # type: ignore[arg-type]


def test_chat_success(agent_server: AgentServer) -> None:
    tokens = usage(10, 5, 20, conversation_id="C", knowledge_source_id=["k1"])
    agent_server.answer(say("Olá", ", ", "mundo"), tokens)
    response = chat(agent_server)
    assert (response.status, response.text, response.result) == (Status.SUCCESS, "Olá, mundo", "Olá, mundo")
    assert (response.stop_reason, response.conversation_id) == ("stop", "C")
    assert response.message_id == "01KJJB4T9SP5V1SYDEYHTZ5N6Y"
    assert response.usage is not None and response.usage.total == 35
    assert [source.id for source in response.sources] == ["k1"]
    assert agent_server.chats[0].json["streaming"] is True


def test_chat_against_an_openai_server(agent_server: AgentServer) -> None:
    agent_server.answer(think("hm"), say("Hi"), usage(3, None, 2))
    response = chat(agent_server, kind="openai", conversation_id="C")
    assert (response.text, response.reasoning, response.conversation_id) == ("Hi", "hm", None)
    assert response.usage is not None and response.usage.total == 5


def test_chat_with_the_demo_agent() -> None:
    config = AgentConfig("demo", "Demo", options={"pace": 0, "first_after": 0})
    client = BlockingClient(config, Limits(idle=0.1))
    assert client.chat(AgentRequest("/echo Olá")).text == "Olá"
    stalled = client.chat(AgentRequest("/stall"))
    assert stalled.status is Status.TIMEOUT and stalled.text


def test_chat_with_conversation(agent_server: AgentServer) -> None:
    first = chat(agent_server)
    second = chat(agent_server, conversation_id=first.conversation_id)
    assert first.conversation_id == second.conversation_id
    assert {chat.json["conversation_id"] for chat in agent_server.chats} == {first.conversation_id}


def test_chat_response_without_tokens(agent_server: AgentServer) -> None:
    agent_server.answer(say("a"), end())
    response = chat(agent_server)
    assert (response.status, response.usage) == (Status.SUCCESS, None)


def test_every_byte_in_its_own_segment_gives_the_same_answer(agent_server: AgentServer) -> None:
    body = 'data: {"message": "Olá \u2028 👩‍👧"}\r\n\r\n'.encode()
    agent_server.answer(pieces(body), usage())
    assert chat(agent_server).text == "Olá \u2028 👩‍👧"


@pytest.mark.parametrize(
    ("steps", "code", "status"),
    [
        ((), "ended_early", Status.ERROR),
        ((cut(),), "connection_lost", Status.ERROR),
        ((drop(),), "connection_lost", Status.ERROR),
        ((failure({"error": {"message": "x"}}),), "agent_failed", Status.ERROR),
        ((raw(b"data: " + b"x" * (1 << 20) + b"\n\n"),), "event_too_large", Status.ERROR),
        ((hang(),), "stalled", Status.TIMEOUT),
    ],
)
def test_it_keeps_the_partial_answer_however_it_ends(
    agent_server: AgentServer, steps: tuple[Step, ...], code: str, status: Status
) -> None:
    agent_server.answer(say("Hel", "lo"), *steps)
    response = chat(agent_server)
    assert isinstance(response.error, AgentError)
    assert (response.text, response.status, response.error.code) == ("Hello", status, code)
    assert response.result is None


def test_a_server_that_ends_properly_but_stays_connected_is_not_waited_for(
    agent_server: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.agents.reading.END_GRACE", 0.1)
    pings = [step for _ in range(200) for step in (raw(b": ping\n\n"), pause(0.03))]
    agent_server.answer(say("a"), usage(), *pings, hang())
    before = time.monotonic()
    assert BlockingClient(agent_server.config()).chat(AgentRequest("Hi")).status is Status.SUCCESS
    assert time.monotonic() - before < 3


def test_the_idle_limit_holds_when_the_server_closes_its_connections(agent_server: AgentServer) -> None:
    agent_server.answer(headers(Connection="close"), say("a"), hang())
    before = time.monotonic()
    response = BlockingClient(agent_server.config(), Limits(first_byte=30, idle=0.3)).chat(AgentRequest("Hi"))
    assert isinstance(response.error, AgentError) and response.error.code == "stalled"
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    ("step", "code", "status"),
    [
        (refuse(400), "rejected", Status.ERROR),
        (refuse(404), "agent_not_found", Status.ERROR),
        (refuse(408), "no_answer", Status.TIMEOUT),
        (refuse(429), "busy", Status.ERROR),
        (refuse(500, "boom"), "agent_unavailable", Status.ERROR),
        (page("<h1>x</h1>"), "protocol", Status.ERROR),
        (before_headers(), "no_answer", Status.TIMEOUT),
        (hang(), "no_answer", Status.TIMEOUT),
        (headers(Content_Encoding="br"), "protocol", Status.ERROR),
        (whole({"message": None}), "empty_answer", Status.ERROR),
    ],
)
def test_chat_http_error(agent_server: AgentServer, step: Step, code: str, status: Status) -> None:
    agent_server.always(step)
    response = chat(agent_server)
    assert isinstance(response.error, AgentError)
    assert (response.error.code, response.status, response.text) == (code, status, "")
    assert len(agent_server.chats) == 1


def test_an_agent_that_is_not_there_is_unreachable(agent_server: AgentServer) -> None:
    config = agent_server.config(base_url="http://127.0.0.1:9")
    response = BlockingClient(config, QUICK).chat(AgentRequest("Hi"))
    assert isinstance(response.error, AgentError) and response.error.code == "unreachable"


def test_the_whole_call_has_an_end(agent_server: AgentServer) -> None:
    agent_server.answer(*[say("x"), pause(0.1)] * 50)
    response = BlockingClient(agent_server.config(), Limits(total=0.5)).chat(AgentRequest("Hi"))
    assert isinstance(response.error, AgentError) and response.error.code == "too_long"
    assert response.status is Status.TIMEOUT and response.text


def test_retry_success_after_failures(agent_server: AgentServer) -> None:
    agent_server.answer(refuse(503))
    agent_server.answer(refuse(429, Retry_After="0"))
    assert chat(agent_server).status is Status.SUCCESS
    assert len(agent_server.chats) == 3


def test_a_504_after_the_last_attempt_is_a_timeout(agent_server: AgentServer) -> None:
    agent_server.always(refuse(504))
    response = chat(agent_server)
    assert response.status is Status.TIMEOUT
    assert len(agent_server.chats) == 3


def test_a_refused_token_is_renewed_once(agent_server: AgentServer) -> None:
    client = BlockingClient(agent_server.config(), QUICK)
    client.chat(AgentRequest("a"))
    agent_server.expire_tokens()
    assert client.chat(AgentRequest("b")).status is Status.SUCCESS
    assert len(agent_server.token_calls) == 2


def test_result_handler_applied_to_final_response(agent_server: AgentServer) -> None:
    agent_server.answer(say("```json\n", '{"a"', ": 1}\n```"), usage())
    response = BlockingClient(agent_server.config()).chat(AgentRequest("Hi"), as_json)
    assert response.result == {"a": 1}


def test_result_handler_error_produces_error_response(agent_server: AgentServer) -> None:
    agent_server.answer(say("no json"), usage())
    response = BlockingClient(agent_server.config()).chat(AgentRequest("Hi"), as_json)
    assert (response.status, response.text, response.result) == (Status.ERROR, "no json", None)
    assert isinstance(response.error, HandlerError) and response.error.handler == "as_json"
    assert response.usage is not None, "the tokens were spent all the same"


def test_an_error_does_not_run_the_handler(agent_server: AgentServer) -> None:
    agent_server.answer(say("{}"), drop())
    response = BlockingClient(agent_server.config()).chat(AgentRequest("Hi"), as_json)
    assert isinstance(response.error, AgentError)


def test_the_stream_itself_can_be_read(agent_server: AgentServer) -> None:
    events = [e for read in BlockingClient(agent_server.config()).stream(AgentRequest("Hi")) for e in read]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello, world"
    assert isinstance(events[-1], Done)


# --- batch ---------------------------------------------------------------------------------------


def prompts(*texts: str) -> list[AgentRequest]:
    return [AgentRequest(text) for text in texts]


def test_chat_many_empty_list(agent_server: AgentServer) -> None:
    assert BlockingClient(agent_server.config()).chat_many([]) == []
    assert agent_server.requests == []


def test_chat_many_passes_result_handler_to_each_request(agent_server: AgentServer) -> None:
    agent_server.always(say('{"a": 1}'), usage())
    responses = BlockingClient(agent_server.config()).chat_many(prompts("1", "2"), as_json)
    assert [response.result for response in responses] == [{"a": 1}, {"a": 1}]


def test_chat_many_keeps_the_order_and_isolates_failures(agent_server: AgentServer) -> None:
    def choose(request: object) -> tuple[Step, ...]:
        prompt = request.json["user_prompt"]  # type: ignore[attr-defined]
        if prompt == "3":
            return (refuse(400),)
        if prompt == "5":
            return (say("half"), drop())
        return (pause(0.2 / int(prompt)), say(f"answer {prompt}"), usage(1, 0, 1))

    agent_server.choose = choose
    requests = prompts(*"12345678")
    responses = BlockingClient(agent_server.config()).chat_many(requests, workers=4)
    assert [r.request for r in responses] == requests
    assert [r.text for r in responses] == [
        "answer 1",
        "answer 2",
        "",
        "answer 4",
        "half",
        "answer 6",
        "answer 7",
        "answer 8",
    ]
    assert [r.status is Status.SUCCESS for r in responses] == [
        True,
        True,
        False,
        True,
        False,
        True,
        True,
        True,
    ]


def test_chat_many_has_no_more_calls_at_once_than_workers(agent_server: AgentServer) -> None:
    agent_server.always(gate("go"), say("a"), usage())
    client = BlockingClient(agent_server.config())
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(client.chat_many, prompts(*"123456"), workers=2)
        agent_server.wait(lambda: len(agent_server.chats) == 2)
        time.sleep(0.1)  # a third call would come now
        assert len(agent_server.chats) == 2
        agent_server.open("go")
        assert len(batch.result(10)) == 6


def test_chat_many_reports_progress_in_the_callers_thread(agent_server: AgentServer) -> None:
    seen: list[tuple[int, int, int, str]] = []
    threads = set()

    def progress(number: int, total: int, index: int, response: AgentResponse) -> None:
        threads.add(threading.current_thread())
        seen.append((number, total, index, response.text))

    BlockingClient(agent_server.config()).chat_many(prompts(*"123"), on_progress=progress)
    assert [(number, total) for number, total, _, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {index for _, _, index, _ in seen} == {0, 1, 2}
    assert threads == {threading.current_thread()}


def test_a_batch_can_be_cancelled_and_keeps_what_was_answered(agent_server: AgentServer) -> None:
    agent_server.answer(say("first"), usage())
    agent_server.always(say("part"), hang())
    cancellation = Cancellation()
    client = BlockingClient(agent_server.config())
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(client.chat_many, prompts(*"123456"), workers=2, cancellation=cancellation)
        agent_server.wait(lambda: len(agent_server.chats) == 3)
        before = time.monotonic()
        cancellation.cancel()
        responses = batch.result(10)
    assert time.monotonic() - before < 2
    assert sorted(r.status for r in responses) == [Status.CANCELLED] * 5 + [Status.SUCCESS]
    assert len(agent_server.chats) == 3


def test_what_the_progress_callback_raises_cancels_the_rest(agent_server: AgentServer) -> None:
    agent_server.answer(say("first"), usage())
    agent_server.always(say("part"), hang())

    def progress(*_: object) -> None:
        raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        BlockingClient(agent_server.config()).chat_many(prompts(*"1234"), workers=2, on_progress=progress)
    assert time.monotonic() - before < 3


def test_a_demo_answer_can_be_cancelled() -> None:
    client = BlockingClient(AgentConfig("demo", "Demo"))
    cancellation = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.chat, AgentRequest("/silent"), cancellation=cancellation)
        cancellation.sleep(0.1)
        cancellation.cancel()
        assert running.result(5).status is Status.CANCELLED


def test_workers_must_be_at_least_one(agent_server: AgentServer) -> None:
    with pytest.raises(ValueError, match="workers"):
        BlockingClient(agent_server.config()).chat_many(prompts("a"), workers=0)
