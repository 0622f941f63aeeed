"""The view follows the text until somebody looks up, and never moves under a reader's eyes."""

from __future__ import annotations

from typing import Any

import pytest

RULE = """
async ([state, events]) => {
  const { follow } = await import("stkweb/thread");
  return events.reduce(follow, state);
}
"""
FOLLOWING = {"following": True, "news": False}
READING = {"following": False, "news": False}


def after(page: Any, state: dict[str, bool], *events: dict[str, Any]) -> dict[str, bool]:
    return page.evaluate(RULE, [state, list(events)])


def test_one_gesture_upwards_lets_go(modules: Any) -> None:
    assert after(modules, FOLLOWING, {"type": "up", "scrollable": True}) == READING


def test_a_gesture_where_there_is_nothing_to_scroll_changes_nothing(modules: Any) -> None:
    assert after(modules, FOLLOWING, {"type": "up", "scrollable": False}) == FOLLOWING


@pytest.mark.parametrize("distance", [0, 3.5])
def test_reaching_the_end_takes_hold_again_even_by_a_fraction(modules: Any, distance: float) -> None:
    assert after(modules, READING, {"type": "moved", "distance": distance, "down": True}) == FOLLOWING


def test_a_first_small_step_up_from_the_end_does_not_take_hold(modules: Any) -> None:
    assert after(modules, READING, {"type": "moved", "distance": 2, "down": False}) == READING


def test_a_shift_of_the_layout_does_not_let_go(modules: Any) -> None:
    moved = {"type": "moved", "distance": 400, "down": False}
    assert after(modules, FOLLOWING, {"type": "grew"}, moved) == FOLLOWING


def test_new_text_below_is_told_to_a_reader(modules: Any) -> None:
    assert after(modules, READING, {"type": "grew"}) == {"following": False, "news": True}
    assert after(modules, READING, {"type": "grew"}, {"type": "jump"}) == FOLLOWING


SCROLLER = """
async () => {
  const { Scroller } = await import("stkweb/ui");
  document.body.innerHTML = `<div id="view"><div id="text"></div></div>
    <button id="pill"><i></i><span></span></button>`;
  Object.assign(document.getElementById("view").style, { height: "300px", overflowY: "auto" });
  window.line = (text) => Object.assign(document.createElement("p"), { textContent: text });
  window.grow = (lines) => {
    for (let i = 0; i < lines; i++) document.getElementById("text").append(line(`line ${i}`));
  };
  grow(100);
  window.scroller = new Scroller(document.getElementById("view"), document.getElementById("pill"));
  scroller.jump();
}
"""
SHOWN = "[...document.querySelectorAll('p')].find((p) => p.getBoundingClientRect().top >= 8).textContent"
SETTLED = (
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
)


@pytest.fixture
def view(modules: Any) -> Any:
    modules.evaluate(SCROLLER)
    modules.mouse.move(100, 100)
    return modules


def test_the_view_stays_at_the_end_while_text_grows(view: Any) -> None:
    view.evaluate("grow(50)")
    view.evaluate(SETTLED)
    assert view.evaluate("scroller.distance()") <= 1
    assert view.is_hidden("#pill")


def test_a_reader_who_looked_up_is_left_where_they_are(view: Any) -> None:
    view.mouse.wheel(0, -600)
    view.wait_for_function("!scroller.following")
    view.evaluate(SETTLED)
    line = view.evaluate(SHOWN)
    view.evaluate("grow(50); scroller.grew()")
    view.evaluate(SETTLED)
    assert view.evaluate(SHOWN) == line
    assert view.inner_text("#pill") == "jump_new"
    view.click("#pill")
    assert view.evaluate("scroller.distance()") <= 1
    assert view.evaluate("scroller.following") is True


def test_scrolling_back_to_the_end_follows_again(view: Any) -> None:
    view.mouse.wheel(0, -600)
    view.wait_for_function("!scroller.following")
    view.mouse.wheel(0, 5000)
    view.wait_for_function("scroller.following")
    view.evaluate("grow(10)")
    view.evaluate(SETTLED)
    assert view.evaluate("scroller.distance()") <= 1


def test_older_messages_above_do_not_move_what_is_read(view: Any) -> None:
    view.mouse.wheel(0, -900)
    view.wait_for_function("!scroller.following")
    view.evaluate(SETTLED)
    line = view.evaluate(SHOWN)
    view.evaluate("""scroller.keep(() => {
        for (let i = 0; i < 40; i++) document.getElementById("text").prepend(line(`old ${i}`));
    })""")
    view.evaluate(SETTLED)
    assert view.evaluate(SHOWN) == line


def test_a_gesture_right_after_the_text_grew_lets_go_all_the_same(view: Any) -> None:
    """The event of the view's own step to the end comes when the key was already pressed."""
    view.evaluate("""() => {
        grow(1);
        scroller.grew();
        scroller.element.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp" }));
    }""")
    view.evaluate(SETTLED)
    assert view.evaluate("scroller.following") is False
    assert view.is_hidden("#pill"), "and nothing is offered while the end is in view"
