"""The SDK's defects (stkai 0.4.18, seen by running it), one test each: what we do instead.

Those about status codes, identity and requests are in test_stackspot, by the same numbers.
"""

from __future__ import annotations

import pytest

from chat.agents.values import Source, SourcesFound

from .streams import DONE, data, native, native_end, openai, read


def test_defect_01_input_tokens_are_the_prompt() -> None:
    usage = read(native("a"), native_end()).reader.usage
    assert usage is not None
    assert (usage.user, usage.output, usage.total) == (749, 5, 754)


def test_defect_02_text_is_utf8_whatever_the_header_says() -> None:
    assert read(native("Olá"), native_end()).text == "Olá"


def test_defect_03_a_byte_0x85_does_not_cut_an_event() -> None:
    assert read(native("Åland"), native_end()).text == "Åland"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
def test_defect_04_unicode_line_separators_do_not_cut_an_event(mark: str) -> None:
    assert read(native(f"a{mark}b"), native_end()).text == f"a{mark}b"


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c"])
def test_defect_04_raw_control_characters_do_not_cut_an_event(mark: str) -> None:
    answer = read(data("a" + mark + "b"), DONE)
    assert answer.deltas == [f"a{mark}b"]


def test_defect_05_an_error_event_after_text_is_a_failure() -> None:
    answer = read(native("a"), data({"message": "x"}, event="error"), native_end())
    assert (answer.text, answer.code, answer.done) == ("a", "agent_failed", None)


def test_defect_06_a_native_error_object_after_text_is_a_failure_with_its_code_and_details() -> None:
    error = {"type": "ServerError", "code": "INFERENCE_9001", "details": "model crashed"}
    answer = read(native("a"), data(error))
    assert (answer.text, answer.code) == ("a", "agent_failed")
    assert answer.reader.fault is not None
    assert answer.reader.fault.detail == "INFERENCE_9001: model crashed"


def test_defect_07_an_openai_error_after_text_is_a_failure() -> None:
    answer = read(openai("a"), data({"error": {"message": "x"}}))
    assert (answer.text, answer.code) == ("a", "agent_failed")


def test_defect_08_an_end_without_an_end_marker_is_not_an_answer() -> None:
    answer = read(native("a"))
    assert (answer.text, answer.code, answer.reader.usage) == ("a", "ended_early", None)


def test_defect_09_a_json_body_instead_of_a_stream_is_one_answer() -> None:
    body = native_end(message="Olá").removeprefix(b"data: ").strip()
    answer = read(body[:20], body[20:])
    assert (answer.text, answer.usage, answer.code) == ("Olá", (749, None, 5), None)


def test_defect_09_a_json_error_instead_of_a_stream_is_an_error() -> None:
    answer = read(
        b'{"type":"TooManyRequests","code":"INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED","details":"M"}'
    )
    assert answer.code == "busy"


def test_defect_10_text_after_the_end_marker_is_left_out() -> None:
    assert read(openai("A"), DONE, openai("B")).text == "A"
    assert read(openai("A") + DONE + openai("B")).text == "A"
    answer = read(native("A"), native_end(), native("B"))
    assert (answer.text, answer.reader.ignored) == ("A", 1)


def test_defect_11_plain_text_loses_one_leading_space_only() -> None:
    assert read(data("Hello"), data(" world"), DONE).text == "Hello world"


def test_defect_12_the_event_name_does_not_outlive_its_blank_line() -> None:
    assert read(b"event: done\n\n", native("a"), native_end()).text == "a"


def test_defect_13_a_conversation_id_is_not_lost_by_a_later_marker() -> None:
    done = read(native("a", conversation_id="C"), data({"type": "done"})).done
    assert done is not None and done.conversation_id == "C"


def test_defect_14_a_null_message_with_a_content_filter_is_explained() -> None:
    assert read(native("", message=None, stop_reason="content_filter")).code == "filtered"


def test_defect_14_a_null_message_with_output_tokens_is_explained() -> None:
    tokens = {"input": 5, "output": 9}
    assert read(native("", message=None, stop_reason="stop", tokens=tokens)).code == "filtered"


def test_defect_15_reasoning_is_not_dropped() -> None:
    chunk = data({"choices": [{"delta": {"content": None, "reasoning_content": "let me see"}}]})
    assert read(chunk, openai("a", "stop"), DONE).reasoning == "let me see"


def test_defect_20_null_knowledge_sources_are_no_sources() -> None:
    answer = read(native("a", knowledge_source_id=None, source=None), native_end(knowledge_source_id=None))
    assert not [e for e in answer.events if isinstance(e, SourcesFound)]


def test_defect_22_bytes_are_decoded() -> None:
    assert read(native("é")[:-1], b"\n", native_end()).text == "é"


def test_defect_23_a_later_empty_list_does_not_erase_sources() -> None:
    answer = read(native("a", knowledge_source_id=["k"]), native_end(knowledge_source_id=[]))
    assert [e for e in answer.events if isinstance(e, SourcesFound)] == [
        SourcesFound((Source("k", "k", kind="knowledge_source"),))
    ]


def test_what_the_sdk_does_well_is_kept() -> None:
    body = native("Olá, ") + native("mundo") + native_end()
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
    assert read(*pieces).text == "Olá, mundo"
    assert read(native("a", usage=None, tokens=None), native_end()).usage == (749, None, 5)
