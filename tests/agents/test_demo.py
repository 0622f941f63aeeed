"""The demo agent: samples for newcomers, and commands that make it fail as real agents do."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentConfig, HttpSession, Limits, ReasoningDelta, SourcesFound, TextDelta
from chat.agents.demo import orders_of
from chat.agents.demo_answers import FOLDER, SUBJECTS, WELCOME, language_of, subject_of, text
from chat.agents.errors import CODES

from .calls import Answer, ask

DEMO = AgentConfig("demo", "Demo")
AT_ONCE = AgentConfig("demo", "Demo", options={"pace": 0, "first_after": 0})
SHORT = Limits(first_byte=0.2, idle=0.2, total=1)


async def answer_to(prompt: str, config: AgentConfig = AT_ONCE, limits: Limits | None = None) -> Answer:
    return await ask(HttpSession(), config, prompt, limits=limits)


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "subject", "language"),
    [
        ("Write a migration plan for our database", "plan", "en"),
        ("Escreva um plano de migração do nosso banco de dados", "plan", "pt"),
        ("Review this code", "review", "en"),
        ("Revise este código", "review", "pt"),
        ("Explain idempotency", "concept", "en"),
        ("Explique o que é idempotência", "concept", "pt"),
        ("What is the formula for compound interest?", "formula", "en"),
        ("Qual é a fórmula dos juros compostos?", "formula", "pt"),
        ("Hello!", WELCOME, "en"),
        ("Oi, tudo bem?", WELCOME, "pt"),
        ("شنو هذا", WELCOME, "en"),
    ],
)
async def test_a_question_gets_the_sample_of_its_subject_in_its_language(
    question: str, subject: str, language: str
) -> None:
    assert (subject_of(question), language_of(question)) == (subject, language)
    answer = await answer_to(question)
    assert answer.text.startswith(text(subject, language))
    assert len(answer.text) > 400


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_text_exists_in_both_languages(language: str) -> None:
    for name in (*SUBJECTS, WELCOME, "footnote", "thinking", "long"):
        assert text(name, language).strip(), name
    names = {path.name.partition(".")[0] for path in FOLDER.glob(f"*.{language}.md")}
    assert names == {path.name.partition(".")[0] for path in FOLDER.glob("*.md")}


def test_the_samples_together_show_what_the_page_can_render() -> None:
    for language in ("en", "pt"):
        everything = "".join(text(name, language) for name in (*SUBJECTS, WELCOME))
        for mark in ("## ", "| --- |", "```python", "- [x]", "1. ", "> ", "$$", "**", "*"):
            assert mark in everything, mark


async def test_the_questions_the_welcome_suggests_have_answers_of_their_own() -> None:
    for language in ("en", "pt"):
        suggested = [line[3:-1] for line in text(WELCOME, language).splitlines() if line.startswith("- *")]
        assert {subject_of(question) for question in suggested} == set(SUBJECTS)
        assert {language_of(question) for question in suggested} == {language}


async def test_a_sample_comes_with_usage_and_sometimes_reasoning_and_sources() -> None:
    plan = await answer_to("a migration plan")
    assert plan.reasoning and isinstance(plan.events[0], ReasoningDelta)
    assert plan.done.usage is not None
    assert plan.done.usage.output == sum(isinstance(e, TextDelta | ReasoningDelta) for e in plan.events)
    concept = await answer_to("Explain idempotency")
    assert any(isinstance(e, SourcesFound) for e in concept.events)
    assert concept.done.usage is not None and concept.done.usage.enrichment == 128


async def test_it_is_paced_like_a_real_agent() -> None:
    config = AgentConfig("demo", "Demo", options={"pace": 100, "first_after": 0.2})
    before = time.monotonic()
    answer = await answer_to("/echo " + "x" * 60, config)
    assert 0.2 + len(answer.reads) / 100 <= time.monotonic() - before + 0.05
    assert all(len(events) == 1 for events in answer.reads)


async def test_it_keeps_the_conversation_it_was_given() -> None:
    answer = await ask(HttpSession(), AT_ONCE, "Hello", conversation_id="C1")
    assert answer.done.conversation_id == "C1"


async def test_a_blank_prompt_is_refused() -> None:
    assert (await answer_to(" \n")).code == "rejected"


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CODES - {"too_long", "no_answer", "stalled"}))
async def test_fail_with_a_code_fails_with_it(code: str) -> None:
    answer = await answer_to(f"/fail {code}", limits=SHORT)
    assert answer.code == code
    early = answer.error.family in ("refused", "files", "setup") or code in (
        "unreachable", "agent_unavailable", "filtered", "empty_answer",
    )  # fmt: skip
    assert (answer.text == "") is early


async def test_fail_alone_keeps_a_partial_answer() -> None:
    answer = await answer_to("/fail")
    assert answer.code == "agent_failed"
    assert text(WELCOME, "en").startswith(answer.text) and answer.text


@pytest.mark.parametrize(
    ("command", "code", "text_before"),
    [
        ("/silent", "no_answer", False),
        ("/stall", "stalled", True),
        ("/cut", "ended_early", True),
        ("/empty", "empty_answer", False),
        ("/fail too_long", "too_long", True),
    ],
)
async def test_faults_that_are_silences_last_as_long_as_the_limits(
    command: str, code: str, text_before: bool
) -> None:
    before = time.monotonic()
    answer = await answer_to(command, limits=SHORT)
    lasted = time.monotonic() - before
    assert (answer.code, bool(answer.text)) == (code, text_before)
    assert lasted >= {"no_answer": 0.2, "stalled": 0.2, "too_long": 0.9}.get(code, 0)
    assert lasted < 1.5


async def test_the_whole_answer_has_an_end_in_time() -> None:
    answer = await answer_to("/slow /long 100", DEMO, Limits(total=0.3))
    assert answer.code == "too_long"


async def test_long_writes_so_many_paragraphs() -> None:
    answer = await answer_to("/long 30")
    assert len(answer.text.split("\n\n")) == 30
    assert len((await answer_to("/long")).text.split("\n\n")) == 40


async def test_an_answer_above_the_limit_is_cut_as_a_real_one() -> None:
    answer = await answer_to("/long 1000", limits=Limits(answer_bytes=5000))
    assert answer.code == "answer_too_large"
    assert len(answer.text.encode()) <= 5000


async def test_fast_comes_in_bursts_without_waiting() -> None:
    before = time.monotonic()
    answer = await answer_to("/fast /long 200", DEMO)
    assert time.monotonic() - before < 2
    assert max(map(len, answer.reads)) > 10


async def test_think_reasons_first() -> None:
    answer = await answer_to("/think hello")
    assert answer.reasoning == text("thinking", "en")
    assert answer.text == text(WELCOME, "en")


async def test_nousage_reports_nothing() -> None:
    assert (await answer_to("/nousage hello")).done.usage is None


@given(st.text(min_size=1, max_size=60))
async def test_echo_answers_exactly_what_it_was_given(words: str) -> None:
    answer = await answer_to("/echo " + words)
    assert answer.text == words
    assert all(len(e.text) <= 5 for e in answer.events if isinstance(e, TextDelta))


async def test_what_stands_after_echo_is_no_command() -> None:
    answer = await answer_to("/nousage /echo # a\n/fail /echo b\n")
    assert (answer.text, answer.done.usage) == ("# a\n/fail /echo b\n", None)


@pytest.mark.parametrize("prompt", ["see /fast/path", "/failure", "a/cut", "http://x/slow", "/Fast"])
def test_a_path_is_no_command(prompt: str) -> None:
    assert orders_of(prompt).words == set()


def test_commands_are_no_part_of_the_question() -> None:
    orders = orders_of("/fast Explain /long 3 idempotency /fail busy please")
    assert orders.question.split() == ["Explain", "idempotency", "please"]
    assert (orders.paragraphs, orders.fault, orders.words) == (3, "busy", {"fast", "long", "fail"})
