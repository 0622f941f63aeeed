"""The tools that an answer called, on the page: folded cards, and an output by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.stage import BORN, THREAD, Stage, answer, question

PATH = f"/c/{THREAD}/tool-output/"


def call(number: int = 1, status: str = "pending", **more: Any) -> dict[str, Any]:
    return {
        "id": f"A1.c{number}", "thread_id": THREAD, "created_at": BORN, "type": "client_tool_call",
        "call_id": "call_a", "name": "weather", "arguments": {"place": "Olinda"}, "status": status,
        "stkweb": {"answer": "A1", "over": False}, **more,
    }  # fmt: skip


ITEMS = [question("Q1", "How is it?"), answer("A1", "I look.", "Q1"), call()]


@pytest.fixture
def stage(drawn_page: Callable[..., Stage]) -> Iterator[Stage]:
    stage = drawn_page(ITEMS, viewport={"width": 360, "height": 700})
    stage.open()
    yield stage
    assert stage.problems == []


def card(stage: Stage, number: int = 1) -> Any:
    return stage.page.locator(f"[data-call='A1.c{number}']")


def test_a_card_is_folded_and_holds_name_arguments_and_a_field(stage: Stage) -> None:
    assert card(stage).locator("summary").inner_text().split("\n")[0].startswith("weather")
    assert "waits for its output" in card(stage).locator("summary").inner_text()
    assert not card(stage).locator("pre").is_visible()
    card(stage).locator("summary").focus()
    stage.page.keyboard.press("Enter")
    assert '"place": "Olinda"' in card(stage).locator("pre").inner_text()
    assert card(stage).locator("textarea").is_visible()
    assert stage.page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_the_page_draws_what_the_server_drew(stage: Stage) -> None:
    def looks() -> list[str]:
        return card(stage).evaluate(
            "e => [...e.querySelectorAll('summary, h3, pre, label, button')].map(x => x.innerText.trim())"
        )

    card(stage).locator("summary").click()
    drawn = looks()
    stage.frame(type="snapshot", thread_id=THREAD, seq=8, complete=True, items=ITEMS[:2])
    stage.page.wait_for_selector("[data-call='A1.c1']", state="detached")
    stage.frame(type="snapshot", thread_id=THREAD, seq=9, complete=True, items=ITEMS)
    card(stage).locator("summary").click()
    assert looks() == drawn


def test_an_output_goes_out_by_hand_and_the_card_says_so(stage: Stage) -> None:
    stage.replies[PATH] = (200, {"conversation": THREAD, "answer": None, "pending": 0})
    card(stage).locator("summary").click()
    card(stage).locator("textarea").fill("sunny\nand warm")
    with stage.page.expect_response(f"**{PATH}"):
        card(stage).locator("button").click()
    assert [body for body, _ in stage.posts(PATH)] == [{"call": "A1.c1", "output": "sunny\nand warm"}]
    stage.event(type="thread.item.done", item=call(status="completed", output="sunny\nand warm"))
    card(stage).locator("summary:has-text('output given')").wait_for()
    assert card(stage).locator("textarea").count() == 0
    assert card(stage).locator("pre").nth(1).inner_text() == "sunny\nand warm", "still unfolded"


def test_what_is_being_typed_outlives_other_news(stage: Stage) -> None:
    card(stage).locator("summary").click()
    card(stage).locator("textarea").fill("half an outp")
    stage.event(type="thread.item.done", item=answer("A1", "I look.", "Q1", duration_ms=1300))
    stage.page.wait_for_selector("#m-A1 .took:has-text('1.3')")
    assert card(stage).locator("textarea").input_value() == "half an outp"


def test_a_refused_output_stays_in_the_field(stage: Stage) -> None:
    error = {"code": "output_too_long", "message": "Too long.", "next": "Shorten it."}
    stage.replies[PATH] = (413, {"error": error})
    card(stage).locator("summary").click()
    card(stage).locator("textarea").fill("x")
    card(stage).locator("button").click()
    stage.page.wait_for_selector("text=Too long. Shorten it.")
    assert card(stage).locator("textarea").input_value() == "x"
    assert card(stage).locator("button").is_enabled()


def test_a_call_that_was_passed_over_asks_for_nothing_and_stays(stage: Stage) -> None:
    stage.event(type="thread.item.done", item=question("Q2", "Never mind.", "A1"))
    card(stage).locator("summary:has-text('no output was given')").wait_for()
    assert card(stage).locator("textarea").count() == 0


def test_a_call_that_comes_with_the_end_of_an_answer_is_shown(drawn_page: Callable[..., Stage]) -> None:
    stage = drawn_page([question("Q1", "How is it?"), answer("A1", "", "Q1", "streaming")])
    stage.open()
    stage.event(type="thread.item.done", item=answer("A1", "", "Q1", stop_reason="tool_calls"))
    stage.event(type="thread.item.done", item=call())
    stage.event(type="thread.item.done", item=call(2, name="time"))
    card(stage, 2).locator("summary:has-text('time')").wait_for()
    assert stage.page.locator("article").count() == 2
    assert stage.problems == []
