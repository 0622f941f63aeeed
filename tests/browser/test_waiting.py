"""What a person is told of an answer that waits, was continued, or knows only part of the conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.stage import THREAD, Stage, answer, question

Draw = Callable[..., Stage]


def snapshot(stage: Stage, items: list[dict[str, Any]]) -> None:
    stage.frame(type="snapshot", thread_id=THREAD, seq=stage.seq, complete=True, items=items)


def placed(id: str, place: dict[str, int] | None) -> dict[str, Any]:
    return {"type": "progress_update", "text": "", "stkweb": {"item_id": id, "place": place}}


def test_who_waits_sees_how_many_are_before_and_about_how_long(drawn_page: Draw) -> None:
    stage = drawn_page([question("Q1", "Why?"), answer("A1", "", "Q1", "queued")])
    stage.open()
    for place, said in (
        ({"before": 2, "seconds": 40}, "2 questions before yours, about 40 s"),
        ({"before": 1, "seconds": 20}, "1 question before yours, about 20 s"),
        ({"before": 0, "seconds": 5}, "you are next, in about 5 s"),
        (None, "Thinking…"),
    ):
        stage.event(**placed("A1", place))
        stage.page.wait_for_selector(f"#m-A1 .waiting:has-text('{said}')")
    assert stage.page.is_visible("#stop"), "and may leave"
    assert stage.problems == []


def test_a_page_that_comes_later_sees_the_place_too(drawn_page: Draw) -> None:
    waiting = answer("A1", "", "Q1", "queued", place={"before": 3, "seconds": 60})
    stage = drawn_page([question("Q1", "Why?"), answer("A1", "", "Q1", "queued")])
    stage.open()
    snapshot(stage, [question("Q1", "Why?"), waiting])
    stage.page.wait_for_selector("#m-A1 .waiting:has-text('3 questions before yours')")


def test_a_trimmed_and_a_continued_answer_say_so(drawn_page: Draw) -> None:
    items = [question("Q1", "Why?"), answer("A1", "Because.", "Q1", trimmed=4, continued=2)]
    stage = drawn_page(items)
    stage.open()
    drawn = stage.page.inner_text("#m-A1 .told")
    assert "The agent was not told the 4 oldest messages" in drawn
    assert "continued by itself 2 times" in drawn
    stage.event(type="thread.item.done", item=answer("A1", "Because!", "Q1", trimmed=1, continued=1))
    stage.page.wait_for_selector("#m-A1 .told:has-text('not told the oldest message')")
    assert "continued by itself." in stage.page.inner_text("#m-A1 .told")


def test_an_answer_cut_by_its_length_is_continued_only_where_the_agent_allows_it(drawn_page: Draw) -> None:
    for setting, offered in (("ask", 1), ("auto", 1), ("off", 0)):
        items = [question("Q1", "Why?"), answer("A1", "Be", "Q1", stop_reason="length", on_length=setting)]
        stage = drawn_page(items)
        stage.open()
        assert stage.page.locator("[data-do=continue]").count() == offered
        stage.event(type="thread.item.done", item=answer("A1", "Be", "Q1", stop_reason="length",
                                                         on_length=setting, duration_ms=3))  # fmt: skip
        stage.page.wait_for_selector("#m-A1 .took:not(:has-text('1'))", state="attached")
        assert stage.page.locator("[data-do=continue]").count() == offered, "drawn by the page too"
