"""The dialects, after the SDK's own parser tests: their names, our answers where they differ."""

from __future__ import annotations

import pytest

from chat.agents.values import Done, Source, SourcesFound, TextDelta

from .streams import DONE, data, native, native_end, openai, read

# --- lines ---------------------------------------------------------------------------------------


def test_single_data_event() -> None:
    assert read(data({"content": "Hi"})).deltas == ["Hi"]


def test_last_event_without_trailing_newline() -> None:
    """The SDK delivers it whatever it is; we do when it says how the answer ended."""
    assert read(native("a"), native_end().rstrip(b"\n")).code is None
    cut = read(native("a"), native("b").rstrip(b"\n"))
    assert (cut.text, cut.code) == ("a", "ended_early")


def test_none_lines_skipped() -> None:
    assert read(b"", native("a"), b"", native_end()).text == "a"


# --- OpenAI and LiteLLM --------------------------------------------------------------------------


def test_parses_delta_content() -> None:
    assert read(openai(" Hi  you "), openai(finish="stop")).text == " Hi  you "


def test_done_signal() -> None:
    assert isinstance(read(openai("a"), DONE).events[-1], Done)


def test_finish_reason_tracked_as_stop_reason() -> None:
    assert read(openai("a"), openai(finish="length"), DONE).done == Done("length")


def test_usage_tracked_from_chunk() -> None:
    """What was not reported is unknown: the SDK makes the enrichment 0."""
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    assert read(openai("a"), openai(finish="stop", usage=usage), DONE).usage == (10, None, 20)


def test_a_chunk_with_usage_alone_is_counted() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20}
    last = data({"choices": [], "usage": usage})
    assert read(openai("a"), openai(finish="stop", usage=None), last, DONE).usage == (10, None, 20)


def test_usage_in_the_other_naming_with_cached_and_reasoning_tokens() -> None:
    usage = {
        "input_tokens": "7",
        "output_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 6},
    }
    read_usage = read(openai("a", "stop", usage=usage), DONE).reader.usage
    assert read_usage is not None
    assert (read_usage.user, read_usage.output, read_usage.cached, read_usage.reasoning) == (7, 9, 4, 6)
    assert read_usage.raw == usage


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": 1e18}]
)
def test_usage_that_cannot_be_is_unknown(usage: dict[str, object]) -> None:
    assert read(openai("a", "stop", usage=usage), DONE).done == Done("stop", None)


def test_usage_repeated_in_every_chunk_counts_once_and_the_last_wins() -> None:
    chunks = [openai("a", usage={"prompt_tokens": 10, "completion_tokens": n}) for n in (1, 2)]
    end = openai(finish="stop", usage={"prompt_tokens": 10, "completion_tokens": 3})
    assert read(*chunks, end, DONE).usage == (10, None, 3)


def test_conversation_id_tracked_from_chunk() -> None:
    done = read(openai("a", conversation_id="C1"), openai(finish="stop"), DONE).done
    assert done is not None and done.conversation_id == "C1"


def test_empty_delta_yields_event_with_empty_text() -> None:
    """The SDK makes an empty delta; we make none, since nothing is added."""
    assert read(openai(), openai("a", "stop"), DONE).deltas == ["a"]


def test_full_litellm_stream() -> None:
    role = data({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    answer = read(role, openai("Hello"), openai(" world"), openai(finish="stop", usage=usage), DONE)
    assert (answer.text, answer.usage, answer.code) == ("Hello world", (10, None, 2), None)


def test_another_choice_than_the_first_is_left_out() -> None:
    other = data({"choices": [{"index": 1, "delta": {"content": "no"}}]})
    assert read(openai("a"), other, openai(finish="stop")).text == "a"


@pytest.mark.parametrize("finish", ["", 7, None, []])
def test_stream_finish_reason_invalid_type(finish: object) -> None:
    chunk = data({"choices": [{"delta": {"content": "a"}, "finish_reason": finish}]})
    assert read(chunk, DONE).done == Done(None)


def test_content_may_be_a_list_of_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert read(data({"choices": [{"delta": {"content": parts}}]}), DONE).text == "ab"


def test_a_refusal_is_the_answer() -> None:
    assert (
        read(data({"choices": [{"delta": {"content": None, "refusal": "I cannot"}}]}), DONE).text
        == "I cannot"
    )


@pytest.mark.parametrize(
    "delta",
    [
        {"content": None, "reasoning_content": "hm"},
        {"content": "", "reasoning": "hm"},
        {"thinking": "hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
def test_reasoning_is_collected_apart_in_every_providers_field(delta: dict[str, object]) -> None:
    answer = read(data({"choices": [{"delta": delta}]}), openai("Yes"), openai(finish="stop"), DONE)
    assert (answer.reasoning, answer.text) == ("hm", "Yes")


# --- StackSpot -----------------------------------------------------------------------------------


def test_extracts_text_from_message_field() -> None:
    assert read(*map(native, ("Olá", ", ", "mundo", "!")), native_end()).deltas == ["Olá", ", ", "mundo", "!"]


def test_empty_message_yields_empty_text_delta() -> None:
    """The SDK makes an empty delta; we make none."""
    assert read(native(""), native("a"), native(""), native_end()).deltas == ["a"]


def test_stop_reason_tracked_from_chunk() -> None:
    assert read(native("a"), data({"message": "", "stop_reason": "length"})).done == Done("length")


def test_tokens_tracked_from_chunk() -> None:
    early = native("a", tokens={"input": 3, "output": 4})
    assert read(early, native("b"), data({"stop_reason": "stop"})).usage == (3, None, 4)


def test_text_after_tokens_alone_is_not_lost() -> None:
    assert read(native("a", tokens={"input": 3}), native("b"), native_end()).text == "ab"


@pytest.mark.parametrize(
    "tokens",
    [{"user": "12", "enrichment": 3, "output": "5"}, {"user": 10, "input": 2, "enrichment": 3, "output": 5}],
)
def test_tokens_may_be_strings_and_the_prompt_may_have_two_parts(tokens: dict[str, object]) -> None:
    assert read(native("a"), native_end(tokens=tokens)).usage == (12, 3, 5)


@pytest.mark.parametrize("tokens", [{"user": None, "enrichment": None, "output": None}, {}, None, [], "x"])
def test_tokens_with_all_null_values(tokens: object) -> None:
    """The SDK counts 0; we do not know."""
    done = read(native("a"), native_end(tokens=tokens)).done
    assert done is not None and done.usage is None


def test_tokens_with_some_null_values() -> None:
    answer = read(native("a"), native_end(tokens={"user": 100, "enrichment": None, "output": 50}))
    assert answer.usage == (100, None, 50)


def test_tokens_with_missing_keys() -> None:
    assert read(native("a"), native_end(tokens={"user": 100})).usage == (100, None, None)


def test_tokens_with_empty_object() -> None:
    """The SDK counts 0; we do not know."""
    done = read(native("a"), native_end(tokens={})).done
    assert done is not None and done.usage is None


def test_tokens_keep_the_object_as_it_came() -> None:
    usage = read(native("a"), native_end()).reader.usage
    assert usage is not None
    assert usage.raw == {"user": None, "enrichment": None, "input": 749, "output": 5}


def test_conversation_id_tracked() -> None:
    done = read(native("a", conversation_id="A"), native("b", conversation_id="B"), native_end()).done
    assert done == Done("stop", done.usage if done else None, "B", "01KJJB4T9SP5V1SYDEYHTZ5N6Y")


def test_knowledge_source_id_tracked() -> None:
    answer = read(native("a"), native("", knowledge_source_id=["ks-1", "ks-2"]), native_end())
    found = SourcesFound(
        (Source("ks-1", "ks-1", kind="knowledge_source"), Source("ks-2", "ks-2", kind="knowledge_source"))
    )
    assert answer.events[:2] == [TextDelta("a"), found]


def test_sources_may_be_objects_and_each_is_announced_once() -> None:
    source = {
        "type": "knowledge_source",
        "name": "Manual",
        "slug": "ks-1",
        "id": "1",
        "document_id": "d1",
        "url": "javascript:alert(1)",
    }
    chunk = native("a", source=[source, source], knowledge_source_id=["ks-1", None, {}, 7])
    answer = read(chunk, chunk, native_end())
    assert [e for e in answer.events if isinstance(e, SourcesFound)] == [
        SourcesFound((Source("d1", "Manual", None, "knowledge_source"),))
    ]


def test_full_stackspot_flow() -> None:
    texts = ["", "Olá", ", estou", " ", "funcio", "nando", "!", ""]
    answer = read(*map(native, texts), native_end())
    assert (answer.text, answer.code) == ("Olá, estou funcionando!", None)
    assert answer.done is not None and answer.done.stop_reason == "stop"


def test_stop_reason_null_in_the_middle_is_no_end() -> None:
    assert read(native("a", stop_reason=None, tokens=None)).code == "ended_early"


# --- errors --------------------------------------------------------------------------------------


def test_error_event_type() -> None:
    answer = read(native("a"), data({"message": "boom"}, event="error"))
    assert (answer.text, answer.code, answer.done) == ("a", "agent_failed", None)
    assert answer.reader.fault is not None and answer.reader.fault.detail == "boom"


def test_error_from_data_type_field() -> None:
    assert read(data({"type": "error", "message": "boom"})).code == "agent_failed"


def test_error_with_error_field_instead_of_message() -> None:
    fault = read(data({"type": "error", "error": "boom"})).reader.fault
    assert fault is not None and fault.detail == "boom"


def test_error_event_preserves_raw_data() -> None:
    fault = read(data({"type": "error", "message": "boom", "code": 500})).reader.fault
    assert fault is not None and fault.detail == "500: boom"


def test_non_json_error() -> None:
    fault = read(data("boom <b>loud</b>", event="error")).reader.fault
    assert fault is not None and fault.detail == "boom loud"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            {"type": "TooManyRequests", "code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", "details": "Max"},
            "busy",
        ),
        ({"error": {"message": "Rate limit reached", "type": "requests"}}, "busy"),
        ({"error": {"message": "no", "code": "insufficient_quota"}}, "credit"),
        ({"type": "error", "message": "Credit Limit Reached"}, "credit"),
        ({"error": {"message": "x", "code": "context_length_exceeded"}}, "prompt_too_long"),
        ({"error": {"message": "x", "code": "content_filter"}}, "filtered"),
        ({"error": "Internal Server Error", "status": 500, "path": "/"}, "agent_failed"),
    ],
)
def test_an_error_inside_the_stream_has_a_code(error: dict[str, object], code: str) -> None:
    answer = read(native("a"), data(error))
    assert (answer.text, answer.code) == ("a", code)


@pytest.mark.parametrize("nothing", [None, "", False, {}, []])
def test_an_empty_error_member_is_no_error(nothing: object) -> None:
    assert read(native("a", error=nothing), native_end()).code is None


def test_an_error_carries_the_usage_so_far() -> None:
    answer = read(native("a", tokens={"input": 3, "output": 1}), data({"type": "error", "message": "boom"}))
    assert answer.reader.fault is not None and answer.reader.fault.usage is not None
    assert answer.reader.fault.usage.total == 4


# --- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        data({}, event="done"),
        data({"type": "done"}),
        DONE,
        data("ok", event="done"),
        b"data:[DONE]\n\n",
        b"event: end\ndata:\n\n",
    ],
)
def test_explicit_done_event(end: bytes) -> None:
    answer = read(data({"text": "a"}), end)
    assert (answer.text, answer.code) == ("a", None)


def test_litellm_done_with_prior_metadata() -> None:
    assert read(openai("a"), openai(finish="stop"), DONE).done == Done("stop")


def test_a_marker_that_repeats_the_answer_adds_nothing() -> None:
    assert read(data({"text": "abc"}), data({"message": "abc"}, event="done")).text == "abc"


def test_a_marker_that_brings_the_whole_answer_gives_it() -> None:
    assert read(data({"message": "abc", "stop_reason": "stop"}, event="done")).text == "abc"


# --- edges ---------------------------------------------------------------------------------------


def test_plain_text_data() -> None:
    assert read(data("Hello"), data(" world"), data("42"), DONE).text == "Hello world42"


def test_metadata_none_when_no_metadata_fields() -> None:
    assert read(data({"text": "a"}), DONE).done == Done()


def test_json_array_treated_as_plain_text() -> None:
    """The SDK shows it; we do not, for it is no text of an answer."""
    answer = read(native("a"), data("[1, 2, 3]"), native_end())
    assert (answer.text, answer.reader.bad) == ("a", 1)


@pytest.mark.parametrize("key", ["content", "text", "delta", "answer"])
def test_flat_content_field_fallback(key: str) -> None:
    assert read(data({key: "a"}), DONE).text == "a"


def test_message_field_takes_precedence_over_content() -> None:
    assert read(data({"message": "a", "content": "b"}), DONE).text == "a"


@pytest.mark.parametrize("message", [{"a": 1}, ["x"], None, 7])
def test_a_message_that_is_no_text_is_left_out_and_real_text_kept(message: object) -> None:
    assert read(native("a"), data({"message": message}), native("b"), native_end()).text == "ab"


def test_stackspot_tokens_take_precedence_over_litellm_usage() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    assert read(native("a"), native_end(usage=usage)).usage == (749, None, 5)
    assert read(native("a"), native_end(), data({"choices": [], "usage": usage})).usage == (749, None, 5)


@pytest.mark.parametrize("kind", ["ping", "heartbeat", "keepalive"])
def test_a_sign_of_life_is_not_unreadable(kind: str) -> None:
    answer = read(data({"type": kind}), data({}, event=kind), native("a"), native_end())
    assert (answer.text, answer.reader.bad) == ("a", 0)
