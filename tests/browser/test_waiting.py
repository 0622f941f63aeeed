"""What a person is told of an answer that waits, was continued, or knows only part of the conversation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.browser.stage import BORN, THREAD, Stage, answer, question

Draw = Callable[..., Stage]


def snapshot(stage: Stage, items: list[dict[str, Any]]) -> None:
    stage.frame(type="snapshot", thread_id=THREAD, seq=stage.seq, complete=True, items=items)


def placed(id: str, place: dict[str, int] | None) -> dict[str, Any]:
    return {"type": "progress_update", "text": "", "stkweb": {"item_id": id, "place": place}}


def asked_to_wait(seconds: int) -> dict[str, Any]:
    return {"code": "busy", "params": {"retry_after": seconds}, "retryable": True, "id": "01E"}


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
                                                         on_length=setting, duration_ms=200))  # fmt: skip
        stage.page.wait_for_selector("#m-A1 .took:not(:has-text('1'))", state="attached")
        assert stage.page.locator("[data-do=continue]").count() == offered, "drawn by the page too"


def test_a_wait_is_counted_and_says_when_it_is_given_up(drawn_page: Draw) -> None:
    stage = drawn_page([question("Q1", "Why?"), answer("A1", "", "Q1", "queued")])
    stage.open()
    for waited, said in ((0, "Thinking…"), (7, "Thinking… 7 s"), (34, "No answer yet after 34 s."),
                         (75, "No answer yet after 1 min 15 s.")):  # fmt: skip
        stage.event(type="progress_update", text="", stkweb={"item_id": "A1", "waited": waited})
        stage.page.wait_for_selector(f"#m-A1 .waiting:has-text('{said}')")
    assert "It is given up after 2 min; you can stop at any time." in stage.page.inner_text("#m-A1 .waiting")
    # A region speaks a moment after what it says is drawn; 75 s are within the minute and say nothing again.
    stage.page.wait_for_selector("#polite:has-text('No answer yet after 34 s.')", state="attached")
    stage.event(type="progress_update", text="", stkweb={"item_id": "A1", "waited": 130})
    stage.page.wait_for_selector("#m-A1 .waiting:has-text('after 2 min 10 s. Still waiting')")
    stage.delta("A1", "At last")
    stage.page.wait_for_selector("#m-A1 .waiting", state="detached")
    assert stage.problems == []


def test_who_comes_later_sees_how_long_it_has_waited(drawn_page: Draw) -> None:
    stage = drawn_page([question("Q1", "Why?"), answer("A1", "", "Q1", "queued", waited=40)])
    stage.open()
    stage.page.wait_for_selector("#m-A1 .waiting:has-text('No answer yet after 4')")


def test_an_agent_that_asked_for_a_pause_is_asked_again_when_it_is_over(drawn_page: Draw) -> None:
    """UX 32: a countdown, and then the button lights up; the same after a reload."""
    ended = datetime.now(UTC) - timedelta(seconds=10)
    busy = answer("A1", "", "Q1", "failed", ended_at=ended.isoformat(), error=asked_to_wait(70))
    stage = drawn_page([question("Q1", "Why?"), busy])
    stage.page.clock.install(time=ended + timedelta(seconds=10))
    stage.open()
    page = stage.page
    page.wait_for_selector("#m-A1 .pause:has-text('You can do this in')")
    again = page.locator("#m-A1 .state [data-do=retry]")
    assert again.get_attribute("aria-disabled") == "true"
    again.click(force=True)
    page.clock.pause_at(ended + timedelta(seconds=45))  # until here it ran on by itself
    page.clock.run_for(15_000)
    # It counts once a second, at any moment of one.
    assert page.inner_text("#m-A1 .pause").endswith(("in 10 s.", "in 11 s."))
    page.clock.run_for(11_000)
    page.wait_for_selector("#m-A1 .pause", state="detached")
    page.clock.run_for(1_000)
    assert page.inner_text("#polite") == "You can try again now."
    assert stage.posts(f"/c/{THREAD}/retry/") == [], "nothing went out before"
    again.click()
    page.clock.run_for(1_000)
    assert len(stage.posts(f"/c/{THREAD}/retry/")) == 1


def test_a_pause_that_is_over_holds_nobody_up(drawn_page: Draw) -> None:
    busy = answer("A1", "", "Q1", "failed", ended_at=BORN, error=asked_to_wait(30))
    stage = drawn_page([question("Q1", "Why?"), busy])
    stage.open()
    again = stage.page.locator("#m-A1 .state [data-do=retry]")
    assert again.get_attribute("aria-disabled") is None
    assert stage.page.locator(".pause").count() == 0
