"""Writing and sending: keys, what is unsent, what comes back, and that nothing goes out twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.stage import AGENT, THREAD, Stage, answer, question

SEND = f"/c/{THREAD}/messages/"
ITEMS = [question("Q1", "Why?"), answer("A1", "Because.", "Q1")]
TAKEN = (202, {"conversation": THREAD, "question": "Q2", "answer": "A2"})


@pytest.fixture
def stage(drawn_page: Callable[..., Stage]) -> Stage:
    stage = drawn_page(ITEMS)
    stage.replies[SEND] = TAKEN
    stage.open()
    yield stage
    assert stage.problems == []


def articles(page: Any) -> list[str]:
    return page.locator("#items article").evaluate_all("all => all.map((one) => one.dataset.id)")


def test_the_composer_has_the_focus_from_the_start(stage: Stage) -> None:
    assert stage.page.evaluate("document.activeElement.id") == "text"


def test_a_touch_screen_keeps_its_keyboard_down(drawn_page: Callable[..., Stage]) -> None:
    stage = drawn_page(ITEMS, has_touch=True, is_mobile=True)
    assert stage.open().evaluate("document.activeElement === document.body")


def test_enter_sends_and_shift_enter_breaks_the_line(stage: Stage) -> None:
    stage.page.keyboard.type("one")
    stage.page.keyboard.press("Shift+Enter")
    stage.page.keyboard.type("two")
    assert stage.posts(SEND) == []
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#m-Q2")
    body, headers = stage.posts(SEND)[0]
    assert body == {"text": "one\ntwo", "agent": AGENT["id"]}
    assert headers["x-csrftoken"] == "token"
    assert len(headers["idempotency-key"]) >= 32


def test_enter_never_sends_while_an_input_method_composes(stage: Stage) -> None:
    stage.page.keyboard.type("nihao")
    stage.page.evaluate("""for (const how of [{ isComposing: true }, { keyCode: 229 }]) {
        const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...how });
        document.getElementById("text").dispatchEvent(event);
    }""")
    stage.page.keyboard.press("Shift+Enter")
    assert stage.posts(SEND) == []


def test_the_setting_swaps_the_keys(stage: Stage) -> None:
    stage.page.evaluate("""const field = document.getElementById("send-key"); field.value = "mod-enter";
        field.dispatchEvent(new Event("change", { bubbles: true }))""")
    stage.page.keyboard.type("one")
    stage.page.keyboard.press("Enter")
    stage.page.keyboard.type("two")
    assert stage.posts(SEND) == []
    stage.page.keyboard.press("Control+Enter")
    stage.page.wait_for_selector("#m-Q2")
    assert stage.posts(SEND)[0][0]["text"] == "one\ntwo"
    assert stage.posts("/preferences/")[0][0] == {"send_key": "mod-enter"}


def test_question_and_waiting_answer_stand_before_any_reply(stage: Stage) -> None:
    stage.page.keyboard.type("Now?")
    stage.page.evaluate("""window.seen = new Promise((done) => {
        const start = performance.now();
        const look = () => document.querySelector(".live .waiting") && done(performance.now() - start);
        const items = document.getElementById("items");
        new MutationObserver(look).observe(items, { childList: true, subtree: true });
        document.getElementById("composer").requestSubmit();
    })""")
    assert stage.page.evaluate("window.seen") <= 100
    stage.page.wait_for_selector("#m-A2")
    assert articles(stage.page) == ["Q1", "A1", "Q2", "A2"]


def test_the_event_before_the_reply_makes_no_second_question(stage: Stage) -> None:
    stage.replies[SEND] = "lost"
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector(".question.unsent")
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.page.wait_for_selector("#m-A2")
    assert articles(stage.page) == ["Q1", "A1", "Q2", "A2"]


def test_send_becomes_stop_and_stop_asks_the_server(stage: Stage) -> None:
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#stop:not([hidden])")
    assert stage.page.is_hidden("#send")
    stage.page.keyboard.press("Escape")
    stage.page.wait_for_selector("#stop:disabled")
    assert len(stage.posts(f"/c/{THREAD}/stop/")) == 1
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.event(type="thread.item.done", item=answer("A2", "Half", "Q2", "stopped"))
    stage.page.wait_for_selector("#m-A2 .state.stopped")
    assert stage.page.is_visible("#send")
    assert stage.page.is_hidden("#stop")


def test_a_lost_line_leaves_the_question_unsent_and_its_key_is_kept(stage: Stage) -> None:
    stage.replies[SEND] = "lost"
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector(".question.unsent")
    stage.replies[SEND] = TAKEN
    stage.page.click("[data-do=send-now]")
    stage.page.wait_for_selector("#m-Q2")
    keys = [headers["idempotency-key"] for _body, headers in stage.posts(SEND)]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_the_same_words_keep_their_key_after_they_were_taken_back(stage: Stage) -> None:
    stage.replies[SEND] = "lost"
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.click("[data-do=take-back]")
    assert stage.page.input_value("#text") == "Now?"
    assert articles(stage.page) == ["Q1", "A1"]
    stage.replies[SEND] = TAKEN
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#m-Q2")
    first, second = (headers["idempotency-key"] for _body, headers in stage.posts(SEND))
    assert first == second


def test_other_words_get_another_key(stage: Stage) -> None:
    stage.replies[SEND] = "lost"
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.click("[data-do=take-back]")
    stage.page.keyboard.type("!")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector(".question.unsent")
    first, second = (headers["idempotency-key"] for _body, headers in stage.posts(SEND))
    assert first != second


def test_offline_nothing_goes_out_until_the_line_is_back(stage: Stage) -> None:
    stage.context.set_offline(True)
    stage.page.wait_for_selector("#banner:not([hidden])")
    stage.page.keyboard.type("Later")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector(".question.unsent")
    assert stage.posts(SEND) == []
    stage.context.set_offline(False)
    stage.page.wait_for_selector("#m-Q2")
    assert len(stage.posts(SEND)) == 1
    assert stage.page.locator(".question.unsent").count() == 0


def test_an_unsent_question_survives_a_reload_and_goes_out_under_its_key(stage: Stage) -> None:
    stage.replies[SEND] = "lost"
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector(".question.unsent")
    stage.replies[SEND] = TAKEN
    stage.page.reload()
    stage.page.wait_for_selector("#m-Q2")
    first, *later = (headers["idempotency-key"] for _body, headers in stage.posts(SEND))
    assert set(later) == {first}


def test_a_refusal_gives_the_words_back_and_says_why(stage: Stage) -> None:
    error = {
        "code": "text_too_long",
        "message": "Too long.",
        "kept": "Your text is here.",
        "next": "Shorten it.",
    }
    stage.replies[SEND] = (413, {"error": error})
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#strip:not([hidden])")
    assert stage.page.input_value("#text") == "Now?"
    assert stage.page.inner_text("#strip") == "Too long. Your text is here. Shorten it."
    assert articles(stage.page) == ["Q1", "A1"]


def test_the_limit_is_told_before_it_bites(stage: Stage) -> None:
    stage.page.fill("#text", "é" * 1700)
    assert "4 of 4 KB" in stage.page.inner_text("#strip")
    stage.page.fill("#text", "é" * 2100)
    assert "Too long to send" in stage.page.inner_text("#strip")
    stage.page.keyboard.press("Enter")
    assert stage.posts(SEND) == []
    stage.page.fill("#text", "short")
    assert stage.page.is_hidden("#strip")


def test_what_was_written_survives_a_reload(stage: Stage) -> None:
    stage.page.keyboard.type("half a thought")
    stage.page.reload()
    stage.page.wait_for_selector("#keys:not(:empty)")
    assert stage.page.input_value("#text") == "half a thought"


def test_a_draft_goes_to_the_server_after_a_rest(stage: Stage) -> None:
    stage.page.keyboard.type("half")
    with stage.page.expect_request("**/drafts/") as request:
        pass
    assert request.value.post_data_json == {"conversation": THREAD, "text": "half"}


def test_arrow_up_edits_the_last_question_into_a_branch(drawn_page: Callable[..., Stage]) -> None:
    items = [*ITEMS, question("Q2", "And then?", "A1"), answer("A2", "Nothing.", "Q2")]
    stage = drawn_page(items)
    stage.replies[SEND] = (202, {"conversation": THREAD, "question": "Q3", "answer": "A3"})
    stage.open()
    stage.page.keyboard.press("ArrowUp")
    assert stage.page.input_value("#text") == "And then?"
    stage.page.keyboard.type("!")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#m-Q3")
    assert stage.posts(SEND)[0][0]["parent"] == "A1"
    assert articles(stage.page) == ["Q1", "A1", "Q3", "A3"]


def test_a_session_that_ended_asks_in_place_and_then_sends(stage: Stage) -> None:
    stage.replies[SEND] = (401, {"error": {"code": "not_signed_in"}})
    stage.replies["/accounts/login/"] = (204, "")
    stage.page.keyboard.type("Now?")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#signin[open]")
    stage.replies[SEND] = TAKEN
    stage.page.fill("#signin-password", "secret")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#m-Q2")
    assert stage.page.locator("#signin[open]").count() == 0
