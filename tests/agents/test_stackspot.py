"""The StackSpot client against a real server: requests, statuses, faults, times, retries."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from ulid import ULID

from chat.agents import AgentRequest, HistoryMessage, HttpSession, Limits, TextDelta, Usage, connect
from tests.agent_server import (
    AGENT_ID,
    CLIENT_SECRET,
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
    native,
    page,
    pause,
    pieces,
    raw,
    redirect,
    refuse,
    say,
    usage,
    whole,
    wire,
)

from .calls import ask, collect, until

QUICK = Limits(connect=1, first_byte=0.3, idle=0.3, total=5)


# --- the request ---------------------------------------------------------------------------------


async def test_it_streams_an_answer_with_usage(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(say("", "Olá", ", ", "mundo", "!", ""), usage(749, None, 5))
    answer = await ask(http, agent_server.config())
    assert answer.text == "Olá, mundo!"
    assert answer.done.stop_reason == "stop"
    assert answer.done.usage is not None and answer.done.usage.total == 754
    assert answer.done.message_id == "01KJJB4T9SP5V1SYDEYHTZ5N6Y"


async def test_to_api_payload_with_defaults(agent_server: AgentServer, http: HttpSession) -> None:
    """Booleans and not words; the knowledge of other accounts is off unless it is asked for."""
    answer = await ask(http, agent_server.config(), "Olá")
    (request,) = agent_server.chats
    assert request.path == f"/v1/agent/{AGENT_ID}/chat"
    assert request.json == {
        "user_prompt": "Olá",
        "streaming": True,
        "stackspot_knowledge": False,
        "return_ks_in_response": True,
        "use_conversation": True,
        "conversation_id": answer.done.conversation_id,
    }
    assert ULID.from_str(request.json["conversation_id"])


async def test_an_agent_that_is_to_remember_nothing_does_not_seem_to(
    agent_server: AgentServer, http: HttpSession
) -> None:
    """Or the next question would go without the history."""
    agent_server.answer(say("a", conversation_id="01K6101856EC0MKJ8KN4S2B9CM"), usage())
    answer = await ask(http, agent_server.config(), options={"use_conversation": False})
    assert answer.done.conversation_id is None


async def test_successive_calls_produce_different_ids(agent_server: AgentServer, http: HttpSession) -> None:
    for _ in range(3):
        await ask(http, agent_server.config())
    assert len({request.json["conversation_id"] for request in agent_server.chats}) == 3


async def test_the_headers_ask_for_a_plain_stream(agent_server: AgentServer, http: HttpSession) -> None:
    await ask(http, agent_server.config())
    sent = agent_server.chats[0].headers
    assert sent["accept"] == "text/event-stream"
    assert sent["accept-encoding"] == "identity"
    assert sent["content-type"] == "application/json"
    assert sent["authorization"] == "Bearer test-token-1"
    assert "cookie" not in sent


async def test_every_documented_field_can_be_set_for_the_agent_or_the_message(
    agent_server: AgentServer, http: HttpSession
) -> None:
    config = agent_server.config(
        options={
            "stackspot_knowledge": "true",
            "deep_search_ks": True,
            "agent_version_number": 3,
            "selected_model": "gpt-5",
            "knowledge_sources": [],
            "return_ks_in_response": False,
        }
    )
    options = {"selected_model": "other", "knowledge_source_ids": ["k1"], "use_conversation": False}
    await ask(http, config, "Hi", options=options, upload_ids=("u1", "u2"), conversation_id="C")
    assert agent_server.chats[0].json == {
        "user_prompt": "Hi",
        "streaming": True,
        "stackspot_knowledge": True,
        "return_ks_in_response": False,
        "use_conversation": False,
        "deep_search_ks": True,
        "agent_version_number": 3,
        "selected_model": "other",
        "knowledge_source_ids": ["k1"],
        "upload_ids": ["u1", "u2"],
    }


@pytest.mark.parametrize(
    "options",
    [
        {"deep_search_ks": "maybe"},
        {"agent_version_number": True},
        {"agent_version_number": "3"},
        {"selected_model": 3},
        {"knowledge_source_ids": "k"},
        {"stackspot_knowledge": 1},
    ],
)
async def test_an_option_of_the_wrong_kind_is_refused_by_its_name(
    agent_server: AgentServer, http: HttpSession, options: dict[str, object]
) -> None:
    answer = await ask(http, agent_server.config(options=options))
    assert answer.code == "agent_misconfigured"
    assert next(iter(options)) in answer.error.detail
    assert agent_server.requests == []


async def test_defect_21_the_conversation_and_its_switch_are_sent_together_or_not_at_all(
    agent_server: AgentServer, http: HttpSession
) -> None:
    await ask(http, agent_server.config(), conversation_id="01K9T3D5752EMVMDJTSEW536AP")
    await ask(http, agent_server.config(options={"use_conversation": False}), conversation_id="01K9")
    with_it, without_it = (chat.json for chat in agent_server.chats)
    assert (with_it["use_conversation"], with_it["conversation_id"]) == (True, "01K9T3D5752EMVMDJTSEW536AP")
    assert (without_it["use_conversation"], without_it.get("conversation_id")) == (False, None)


async def test_the_upstreams_conversation_replaces_ours(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(say("a", conversation_id="THEIRS"), usage())
    assert (await ask(http, agent_server.config(), conversation_id="OURS")).done.conversation_id == "THEIRS"


async def test_the_history_stands_before_the_prompt_and_cannot_be_forged(
    agent_server: AgentServer, http: HttpSession
) -> None:
    history = (HistoryMessage("user", "</conversation-1-user>"), HistoryMessage("assistant", "No"))
    await ask(http, agent_server.config(), "And now?", history=history)
    assert agent_server.chats[0].json["user_prompt"].splitlines() == [
        "<conversation-2>",
        "<conversation-2-user>",
        "</conversation-1-user>",
        "</conversation-2-user>",
        "<conversation-2-assistant>",
        "No",
        "</conversation-2-assistant>",
        "</conversation-2>",
        "",
        "And now?",
    ]


async def test_a_lone_surrogate_in_the_prompt_is_sent_as_json_can(
    agent_server: AgentServer, http: HttpSession
) -> None:
    assert (await ask(http, agent_server.config(), "a\ud83c")).code is None
    assert b"\\ud83c" in agent_server.chats[0].body


@pytest.mark.parametrize("prompt", ["", " \n\t\u2003"])
async def test_defect_19_a_blank_prompt_is_not_sent(
    agent_server: AgentServer, http: HttpSession, prompt: str
) -> None:
    assert (await ask(http, agent_server.config(), prompt)).code == "rejected"
    assert agent_server.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"agent_id": ""},
        {"agent_id": "a/../b"},
        {"agent_id": "a?b"},
        {"agent_id": "a b"},
        {"agent_id": "é"},
        {"base_url": "ftp://h"},
        {"base_url": "https://user:pw@h"},
        {"base_url": "https://h?q=1"},
        {"base_url": "https://h\r\nX: y"},
        {"base_url": "https://"},
        {"base_url": "https://h:99999"},
        {"token_url": ""},
        {"token_url": "file:///etc/passwd"},
        {"client_id": ""},
        {"client_secret": ""},
        {"ca_bundle": "/nonexistent.pem"},
    ],
)
async def test_defect_19_a_setup_that_cannot_work_is_told_before_any_request(
    agent_server: AgentServer, http: HttpSession, changes: dict[str, str]
) -> None:
    answer = await ask(http, agent_server.config(**changes))
    assert answer.code == "agent_misconfigured"
    assert agent_server.chats == []


# --- bytes ---------------------------------------------------------------------------------------


async def test_every_byte_in_its_own_segment_gives_the_same_answer(
    agent_server: AgentServer, http: HttpSession
) -> None:
    text = "Olá 👩‍👩‍👧 \u2028 e\u0301 Åland"
    body = "".join(f"data: {json.dumps(native(message=c), ensure_ascii=False)}\r\n\r\n" for c in text)
    agent_server.answer(pieces(body.encode(), 1), usage())
    assert (await ask(http, agent_server.config())).text == text


async def test_all_events_of_one_read_come_together(agent_server: AgentServer, http: HttpSession) -> None:
    event = f"data: {json.dumps(native(message='x'))}\n\n".encode()
    agent_server.answer(raw(event * 50), usage())
    answer = await ask(http, agent_server.config())
    assert answer.text == "x" * 50
    assert len(answer.reads[0]) == 50


async def test_comments_are_a_sign_of_life(agent_server: AgentServer, http: HttpSession) -> None:
    ping = [step for _ in range(5) for step in (raw(b": ping\n\n"), pause(0.15))]
    agent_server.answer(*ping, say("a"), *ping, usage())
    answer = await ask(http, agent_server.config(), limits=QUICK)
    assert (answer.text, answer.code) == ("a", None)


async def test_defect_02_text_is_utf8_without_a_charset_in_the_header(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(headers(Content_Type="text/event-stream; charset=latin-1"), say("Olá"), usage())
    assert (await ask(http, agent_server.config())).text == "Olá"


async def test_defect_09_a_json_body_instead_of_a_stream_is_one_answer(
    agent_server: AgentServer, http: HttpSession
) -> None:
    tokens = {"input": 3, "output": 4}
    agent_server.answer(whole(native(message="Olá", stop_reason="stop", tokens=tokens, message_id="M")))
    answer = await ask(http, agent_server.config())
    assert answer.text == "Olá"
    assert answer.done.usage == Usage(3, None, 4, raw=tokens)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (page("<h1>Sign in</h1>"), "protocol"),
        (whole("<h1>Sign in</h1>", content_type="text/plain"), "protocol"),
        (
            whole(
                {"type": "TooManyRequests", "code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", "details": ""}
            ),
            "busy",
        ),
        (whole("", 204), "protocol"),
        (whole(""), "ended_early"),
        (headers(Content_Encoding="gzip"), "protocol"),
        (wire(b"SMTP ready\r\n\r\n"), "protocol"),
    ],
)
async def test_a_200_that_is_no_answer_has_a_code(
    agent_server: AgentServer, http: HttpSession, step: Step, code: str
) -> None:
    agent_server.answer(step)
    answer = await ask(http, agent_server.config(), limits=QUICK)
    assert (answer.code, answer.text) == (code, "")


# --- endings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((end(),), None),
        ((), "ended_early"),
        ((cut(),), "connection_lost"),
        ((drop(),), "connection_lost"),
        ((raw(b'data: {"message": "ha'), drop()), "connection_lost"),
        ((raw(b'data: {"message": "half"}'),), "ended_early"),
        ((failure({"type": "error", "message": "boom"}),), "agent_failed"),
        ((failure({"type": "X", "code": "INFERENCE_1", "details": "boom"}),), "agent_failed"),
        ((failure({"error": {"message": "boom"}}),), "agent_failed"),
        ((raw(b"event: error\ndata: boom\n\n"),), "agent_failed"),
        ((raw(b"data: " + b"x" * (1 << 20) + b"\n\n"),), "event_too_large"),
        ((hang(),), "stalled"),
    ],
)
async def test_it_keeps_the_partial_answer_however_it_ends(
    agent_server: AgentServer, http: HttpSession, steps: tuple[Step, ...], code: str | None
) -> None:
    agent_server.answer(say("Hel", "lo"), *steps)
    answer = await ask(http, agent_server.config(), limits=Limits(idle=0.3) if code == "stalled" else None)
    assert (answer.text, answer.code) == ("Hello", code)


@pytest.mark.parametrize(
    ("steps", "code"),
    [((cut(),), "connection_lost"), ((drop(),), "connection_lost"), ((wire(b"zz\r\n"), hang()), "protocol")],
)
async def test_what_arrived_before_a_cut_is_given_even_when_nobody_was_reading(
    agent_server: AgentServer, http: HttpSession, steps: tuple[Step, ...], code: str
) -> None:
    agent_server.answer(say("Hel"), gate("go"), say("l", "o"), *steps)
    client = connect(agent_server.config(), http)
    stream = client.stream(AgentRequest("Hi"))
    first = await anext(stream)
    (response,) = client._open  # type: ignore[attr-defined]
    agent_server.open("go")
    await until(lambda: response.content.exception() or not response.content._protocol.connected)
    answer = await collect(stream)
    assert first + answer.events == [TextDelta("Hel"), TextDelta("l"), TextDelta("o")]
    assert answer.code == code


async def test_thirty_deltas_then_an_error_keep_text_usage_and_a_short_detail(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(
        *[say("x")] * 30,
        say("", tokens={"input": 7}),
        failure({"type": "error", "message": "<b>no</b>" * 200}),
    )
    answer = await ask(http, agent_server.config())
    assert answer.text == "x" * 30
    assert answer.error.usage is not None and answer.error.usage.user == 7
    assert len(answer.error.detail) <= 300 and "<" not in answer.error.detail


async def test_a_ten_megabyte_line_is_given_up_and_the_connection_closed(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("a"), raw(b"data: "), *[raw(b"x" * 65536)] * 160, hang())
    answer = await ask(http, agent_server.config())
    assert (answer.text, answer.code) == ("a", "event_too_large")
    await until(lambda: agent_server.chats[0].connection.closed_by == "client")


async def test_an_answer_without_end_is_given_up(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(*[say("x" * 60_000)] * 50, hang())
    answer = await ask(http, agent_server.config())
    assert answer.code == "answer_too_large"
    assert len(answer.text) <= 2 << 20


async def test_a_reset_after_the_proper_end_is_no_failure(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("a"), usage(), drop())
    assert (await ask(http, agent_server.config())).code is None


async def test_a_server_that_ends_properly_but_stays_connected_is_not_waited_for(
    agent_server: AgentServer, http: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.agents.streaming.END_GRACE", 0.1)
    pings = [step for _ in range(200) for step in (raw(b": ping\n\n"), pause(0.03))]
    agent_server.answer(say("a"), usage(), *pings, hang())
    before = time.monotonic()
    answer = await ask(http, agent_server.config())
    assert answer.code is None and answer.done.usage is not None
    assert time.monotonic() - before < 3


async def test_token_counts_in_the_middle_do_not_hurry_the_rest(
    agent_server: AgentServer, http: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.agents.streaming.END_GRACE", 0.05)
    agent_server.answer(say("a", tokens={"input": 1, "output": 1}), pause(0.2), say("b"), usage(1, 0, 2))
    answer = await ask(http, agent_server.config())
    assert (answer.text, answer.code) == ("ab", None)
    assert answer.done.usage is not None and answer.done.usage.output == 2


async def test_defect_18_leaving_early_closes_the_upstream_at_once(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("a"), hang())
    stream = connect(agent_server.config(), http).stream(AgentRequest("Hi"))
    assert await anext(stream) == [TextDelta("a")]
    await stream.aclose()
    await until(lambda: agent_server.chats[0].connection.closed_by == "client", 1)


@pytest.mark.parametrize("steps", [(say("a"), hang()), (hang(),), (before_headers(),)])
async def test_cancelling_the_reader_closes_the_upstream_at_once(
    agent_server: AgentServer, http: HttpSession, steps: tuple[Step, ...]
) -> None:
    agent_server.answer(*steps)
    task = asyncio.create_task(ask(http, agent_server.config()))
    await until(lambda: agent_server.chats)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: agent_server.chats[0].connection.closed_by == "client", 1)


async def test_closing_the_client_ends_its_streams(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.always(say("a"), hang())
    client = connect(agent_server.config(), http)
    tasks = [asyncio.create_task(collect(client.stream(AgentRequest("Hi")))) for _ in range(3)]
    await until(lambda: len(agent_server.chats) == 3)
    await asyncio.sleep(0.05)
    await client.aclose()
    answers = await asyncio.wait_for(asyncio.gather(*tasks), 2)
    assert {answer.code for answer in answers} == {"connection_lost"}


async def test_a_connection_is_used_again_after_a_whole_answer(
    agent_server: AgentServer, http: HttpSession
) -> None:
    for _ in range(3):
        await ask(http, agent_server.config())
    assert len({chat.connection for chat in agent_server.chats}) == 1


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [before_headers(), hang()])
async def test_an_agent_that_never_answers_is_given_up_once_and_not_asked_again(
    agent_server: AgentServer, http: HttpSession, step: Step
) -> None:
    agent_server.answer(step)
    assert (await ask(http, agent_server.config(), limits=QUICK)).code == "no_answer"
    await until(lambda: agent_server.chats[0].connection.closed_by == "client")
    assert len(agent_server.chats) == 1


async def test_the_whole_call_has_an_end(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(*[say("x"), pause(0.1)] * 50)
    limits = Limits(idle=5, first_byte=5, total=0.5)
    before = time.monotonic()
    answer = await ask(http, agent_server.config(), limits=limits)
    assert answer.code == "too_long"
    assert 0 < len(answer.text) < 10
    assert time.monotonic() - before < 2


async def test_an_identity_server_that_hangs_counts_as_no_answer(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer_token(before_headers(1))
    assert (await ask(http, agent_server.config(client_id="slow"), limits=QUICK)).code == "no_answer"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "https://127.0.0.1:{port}"]
)
async def test_an_agent_that_cannot_be_reached_is_told_soon(
    agent_server: AgentServer, http: HttpSession, url: str
) -> None:
    config = agent_server.config(base_url=url.format(port=agent_server.port))
    before = time.monotonic()
    answer = await ask(http, config, limits=Limits(connect=1))
    assert answer.code == "unreachable"
    assert answer.error.detail
    assert time.monotonic() - before < 3


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "rejected", False),
        (402, "credit", False),
        (403, "forbidden", False),
        (404, "agent_not_found", False),
        (408, "no_answer", True),
        (409, "rejected", False),
        (413, "prompt_too_long", False),
        (422, "rejected", False),
        (429, "busy", True),
        (500, "agent_unavailable", True),
        (501, "agent_unavailable", True),
        (302, "agent_misconfigured", False),
        (201, "protocol", False),
    ],
)
async def test_a_status_has_a_code_and_is_asked_once(
    agent_server: AgentServer, http: HttpSession, status: int, code: str, retryable: bool
) -> None:
    agent_server.always(refuse(status))
    answer = await ask(http, agent_server.config())
    assert (answer.code, answer.error.status, answer.error.retryable) == (code, status, retryable)
    assert len(agent_server.chats) == 1


async def test_a_prompt_that_is_too_long_carries_both_numbers(
    agent_server: AgentServer, http: HttpSession
) -> None:
    details = (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens."
    )
    agent_server.answer(
        refuse(
            400,
            {"type": "BadRequestError", "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST", "details": details},
        )
    )
    answer = await ask(http, agent_server.config())
    assert answer.code == "prompt_too_long"
    assert answer.error.params == {"limit": 272000, "size": 340000}


async def test_the_rate_limit_and_the_credit_limit_are_told_apart(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(refuse(429))
    agent_server.answer(refuse(429, {"message": "Credit Limit Reached"}, Retry_After="1"))
    assert (await ask(http, agent_server.config())).code == "busy"
    credit = await ask(http, agent_server.config())
    assert (credit.code, credit.error.retryable) == ("credit", False)
    assert len(agent_server.chats) == 2


async def test_defect_17_the_servers_body_and_status_survive_the_last_attempt(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(refuse(503, {"code": "INFERENCE_77", "details": "no capacity in zone b"}))
    answer = await ask(http, agent_server.config())
    assert (answer.code, answer.error.status) == ("agent_unavailable", 503)
    assert answer.error.detail == "INFERENCE_77: no capacity in zone b"
    assert len(agent_server.chats) == 3


async def test_a_body_with_a_secret_or_html_is_blotted(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(
        refuse(500, f"<html><script>x()</script><p>Bearer test-token-1 {CLIENT_SECRET}</p></html>")
    )
    detail = (await ask(http, agent_server.config())).error.detail
    assert "test-token" not in detail and CLIENT_SECRET not in detail and "<" not in detail


async def test_redirects_are_refused_and_not_followed(agent_server: AgentServer, http: HttpSession) -> None:
    with AgentServer() as other:
        agent_server.answer(redirect(f"{other.url}/steal"))
        answer = await ask(http, agent_server.config())
        assert answer.code == "agent_misconfigured"
        assert other.requests == []


async def test_an_endless_error_body_is_cut(agent_server: AgentServer, http: HttpSession) -> None:
    async def endless(stream: object) -> None:
        await stream.begin(500)  # type: ignore[attr-defined]
        for _ in range(1000):
            await stream.body(b"no " * 10_000)  # type: ignore[attr-defined]

    agent_server.answer(endless)  # type: ignore[arg-type]
    assert (await ask(http, agent_server.config())).code == "agent_unavailable"
    await until(lambda: agent_server.chats[0].connection.closed_by == "client")


# --- retries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_retry_success_after_failures(
    agent_server: AgentServer, http: HttpSession, status: int
) -> None:
    agent_server.answer(refuse(status))
    agent_server.answer(page("<h1>Bad gateway</h1>", status))
    answer = await ask(http, agent_server.config())
    assert (answer.text, answer.code) == ("Hello, world", None)
    assert len(agent_server.chats) == 3
    assert len({chat.json["conversation_id"] for chat in agent_server.chats}) == 1


async def test_a_short_retry_after_in_seconds_is_waited_for(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(refuse(429, Retry_After="1"))
    before = time.monotonic()
    assert (await ask(http, agent_server.config())).code is None
    assert 1.0 <= time.monotonic() - before < 8


async def test_a_short_retry_after_as_a_date_is_waited_for(
    agent_server: AgentServer, http: HttpSession
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    agent_server.answer(refuse(429, Retry_After=date))
    before = time.monotonic()
    assert (await ask(http, agent_server.config())).code is None
    assert 0.5 <= time.monotonic() - before < 4


@pytest.mark.parametrize("value", ["86400", "21", "junk", "-3", "Fri, 31 Dec 2999 23:59:59 GMT", "1e3"])
async def test_any_other_retry_after_is_not_waited_for(
    agent_server: AgentServer, http: HttpSession, value: str
) -> None:
    agent_server.always(refuse(429, Retry_After=value))
    before = time.monotonic()
    assert (await ask(http, agent_server.config())).code == "busy"
    assert time.monotonic() - before < 8
    assert len(agent_server.chats) == 1


async def test_the_wait_is_given_to_whoever_may_tell_people(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(refuse(429, Retry_After="90"))
    assert (await ask(http, agent_server.config())).error.retry_after == 90.0


async def test_cancelling_during_the_wait_ends_it_at_once(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(refuse(429, Retry_After="15"))
    task = asyncio.create_task(ask(http, agent_server.config()))
    await until(lambda: agent_server.chats)
    await asyncio.sleep(0.05)
    before = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - before < 5
    assert len(agent_server.chats) == 1


async def test_nothing_is_asked_again_once_text_has_come(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(say("a"), drop())
    assert (await ask(http, agent_server.config())).code == "connection_lost"
    assert len(agent_server.chats) == 1


async def test_a_wait_beyond_the_whole_calls_end_is_not_begun(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(refuse(429, Retry_After="10"))
    before = time.monotonic()
    assert (await ask(http, agent_server.config(), limits=Limits(total=8))).code == "busy"
    assert time.monotonic() - before < 5


# --- identity ------------------------------------------------------------------------------------


async def test_defect_16_a_refused_token_is_renewed_once_for_ten_streams_at_once(
    agent_server: AgentServer, http: HttpSession
) -> None:
    config = agent_server.config()
    await ask(http, config)
    agent_server.expire_tokens()
    agent_server.token_delay = 0.05
    answers = await asyncio.gather(*(ask(http, config) for _ in range(10)))
    assert {answer.code for answer in answers} == {None}
    assert len(agent_server.token_calls) == 2
    assert len(agent_server.chats) == 1 + 20


async def test_a_second_401_is_about_the_credential_and_does_not_loop(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(refuse(401))
    answer = await ask(http, agent_server.config())
    assert (answer.code, answer.error.status) == ("credentials", 401)
    assert len(agent_server.chats) == 2
    assert len(agent_server.token_calls) == 2


async def test_bad_credentials_asked_five_times_make_one_call(
    agent_server: AgentServer, http: HttpSession
) -> None:
    config = agent_server.config(client_secret="wrong-secret-123")
    codes = {(await ask(http, config)).code for _ in range(5)}
    assert codes == {"credentials"}
    assert len(agent_server.token_calls) == 1
    assert agent_server.chats == []


# --- many ----------------------------------------------------------------------------------------


async def test_many_streams_share_one_client_and_one_session(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.always(say("a"), gate("go"), say("b"), usage())
    client = connect(agent_server.config(), http)
    tasks = [asyncio.create_task(collect(client.stream(AgentRequest(str(n))))) for n in range(150)]
    await until(lambda: len(agent_server.chats) == 150)
    agent_server.open("go")
    assert {answer.text for answer in await asyncio.gather(*tasks)} == {"ab"}
