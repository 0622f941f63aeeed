"""Everything by keyboard, everything spoken well, and nothing that axe-core finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import expect

from tests.axe import violations
from tests.e2e.acts import answer, ask, at_work, ended, sign_in, spoken, written
from tests.real_server import Server

Visit = Callable[..., Any]
#: As in a page that was just opened: the next Tab reaches the first thing there is.
FROM_THE_TOP = """() => {
    const mark = document.createElement("span");
    mark.tabIndex = -1;
    document.body.prepend(mark);
    mark.focus();
    mark.remove();
}"""
HAS_PORTUGUESE = any(code.lower() == "pt-br" for code, _name in settings.LANGUAGES) and any(
    Path(settings.BASE_DIR, "chat", "locale").glob("pt_BR/LC_MESSAGES/django.mo")
)
LANGUAGES = ["en", "pt-br"] if HAS_PORTUGUESE else ["en"]


@pytest.fixture(params=[(scheme, language) for scheme in ("light", "dark") for language in LANGUAGES])
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Both themes in both languages; nothing moves, so that colours are what they are."""
    scheme, language = request.param
    return {
        "color_scheme": scheme,
        "locale": "pt-BR" if language == "pt-br" else "en-GB",
        "reduced_motion": "reduce",
    }


# -- Focus ---------------------------------------------------------------------------------------------


def test_the_focus_begins_in_the_composer(visit: Visit) -> None:
    """UX 1."""
    page = visit()
    expect(page.locator("#text")).to_be_focused()
    ask(page, "/fast /echo focus")
    ended(page)
    page.reload()
    at_work(page)
    expect(page.locator("#text")).to_be_focused()


def test_on_a_phone_no_keyboard_pops_up(visit: Visit) -> None:
    """UX 1."""
    page = visit(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page.wait_for_function("() => document.readyState === 'complete'")
    assert page.evaluate("() => document.activeElement === document.body")


def test_enter_sends_and_shift_enter_breaks_the_line(visit: Visit) -> None:
    """UX 2."""
    page = visit()
    page.keyboard.type("/fast /echo one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.input_value("#text") == "/fast /echo one\ntwo"
    page.keyboard.press("Enter")
    expect(page.locator(".question .bubble")).to_have_text("/fast /echo one\ntwo")
    ended(page)


def test_a_setting_makes_ctrl_enter_send_and_it_is_kept(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 2."""
    page = visit(server=make_server())
    page.click("[popovertarget=settings]")
    with page.expect_response("**/preferences/"):
        page.select_option("#send-key", "mod-enter")
    page.reload()
    at_work(page)
    page.keyboard.type("/fast /echo one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    expect(page.locator(".question")).to_have_count(0)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".question .bubble")).to_have_text("/fast /echo one\ntwo")
    ended(page)


def test_enter_that_picks_a_word_of_an_input_method_does_not_send(visit: Visit) -> None:
    """UX 2."""
    page = visit()
    client = page.context.new_cdp_session(page)
    page.focus("#text")
    client.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    page.evaluate("""() => document.getElementById("text").dispatchEvent(
        new KeyboardEvent("keydown",
            { key: "Enter", keyCode: 229, isComposing: true, bubbles: true, cancelable: true }))""")
    client.send("Input.insertText", {"text": "日本"})
    expect(page.locator(".question")).to_have_count(0)
    expect(page.locator("#text")).to_have_value("日本")
    page.fill("#text", "")


def test_escape_stops_the_answer_but_in_a_dialog_only_closes_it(visit: Visit) -> None:
    """UX 3: the focus goes back to what opened the dialog."""
    page = visit()
    ask(page, "/long 30")
    written(page, 4)
    page.focus("#more-button")
    page.keyboard.press("Enter")
    page.locator("#more").get_by_role("button", name="Rename").click()
    expect(page.locator("#ask")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#stop")).to_be_visible()
    page.focus("#more-button")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator("#more")).to_be_hidden()
    expect(page.locator("#more-button")).to_be_focused()
    expect(page.locator("#stop")).to_be_visible()
    page.focus("#text")
    page.keyboard.press("Escape")
    expect(page.locator(".state.stopped")).to_be_visible(timeout=10_000)
    expect(page.locator("#text")).to_be_focused()


def test_the_shortcuts_work_and_can_be_switched_off(visit: Visit) -> None:
    """UX 4."""
    page = visit()
    ask(page, "/fast /echo shortcuts")
    ended(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.press("Control+Shift+o")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.locator("#send").focus()
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    expect(page.locator("#shortcuts")).to_be_hidden()
    expect(page.locator("#find")).not_to_be_focused()
    page.reload()
    at_work(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#find")).not_to_be_focused()


def test_everything_is_reached_by_tab_in_the_order_it_is_seen(visit: Visit) -> None:
    """UX 5: the way past the list comes first, nothing traps, nothing is left out."""
    page = visit("charlie")
    ask(page, "/fast /echo Tab\n\n```python\npass\n```\n\n[a link](https://example.org/)")
    ended(page)
    page.reload()
    at_work(page)
    expect(page.locator(".code .copy")).to_be_visible()
    page.evaluate(FROM_THE_TOP)
    places = []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate("""() => {
            const e = document.activeElement;
            if (e === document.body) return null;
            const box = e.getBoundingClientRect();
            e.dataset.reached = "1";
            const regions = [".skip", "#list", ".bar", "#scroll", ".bottom"];
            const scrolled = e.closest("#scroll") && e.id !== "scroll" ? e.closest("#scroll").scrollTop : 0;
            return [e.textContent.trim().slice(0, 30), regions.findIndex((one) => e.closest(one)),
                box.left, box.top + scrolled, box.bottom + scrolled];
        }""")
        if here is None:
            break
        places.append(here)
    else:
        pytest.fail(f"Tab goes round without an end: {places[-5:]}")
    assert places[0][0] == "Skip to conversation"
    for (name, region, left, top, bottom), after in pairwise(places):
        same_line = min(bottom, after[4]) - max(top, after[3]) > 0
        inside = (after[0] and after[0] in name) or after[4] - after[3] >= bottom - top > 400
        later = after[3] >= top if not same_line else after[2] >= left
        assert after[1] > region or (after[1] == region and (later or inside)), (name, after)
    missed = page.evaluate("""() => [...document.querySelectorAll(
            "a[href], button, select, textarea, input, summary")]
        .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && e.type !== "hidden")
        .filter((e) => !e.dataset.reached && e.id !== "scroll").map((e) => e.outerHTML.slice(0, 120))""")
    assert missed == []
    page.evaluate(FROM_THE_TOP)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "items"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_can_be_seen_and_targets_are_large_enough(visit: Visit, scheme: str) -> None:
    """UX 6."""
    page = visit("charlie", color_scheme=scheme)
    ask(page, "/fast /echo targets")
    ended(page)
    page.mouse.move(0, 0)
    page.evaluate(FROM_THE_TOP)
    faint = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen = page.evaluate(RING)
        if seen is None:
            break
        if not seen["ring"] or seen["contrast"] < 3:
            faint.append(seen)
    assert faint == []
    small = page.evaluate(
        """least => [...document.querySelectorAll("a[href], button, select, summary, input")]
        .filter((e) => e.checkVisibility({ opacityProperty: false }) && !e.closest(".prose p"))
        .map((e) => [e.closest("label") ?? e, e]).map(([box, e]) => [box.getBoundingClientRect(), e])
        .filter(([box]) => box.width && (box.width < least || box.height < least) && box.width > 1)
        .map(([box, e]) => `${box.width}x${box.height} ${e.outerHTML.slice(0, 100)}`)""",
        24,
    )
    assert small == []


def test_targets_are_large_enough_for_a_thumb(visit: Visit) -> None:
    """UX 6."""
    page = visit("charlie", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    ask(page, "/fast /think /echo Big\n\n```python\npass\n```\n")
    ended(page)
    answer(page).locator("[data-do=retry]").click()
    ended(page)
    expect(page.locator(".which")).to_contain_text("2/2")
    check = """least => [...document.querySelectorAll("a[href], button, select, summary, input")]
        .filter((e) => e.checkVisibility() && !e.closest(".prose p") && !e.matches(".skip"))
        .map((e) => [(e.closest("label") ?? e).getBoundingClientRect(), e])
        .filter(([box]) => box.width && (box.width < least || box.height < least))
        .map(([box, e]) => `${box.width}x${box.height} ${e.outerHTML.slice(0, 100)}`)"""
    assert page.evaluate(check, 44) == []
    page.tap(".drawer")
    assert page.evaluate(check, 44) == []


#: The ring around what has the focus, and its contrast with what lies around it. The composer's
#: field shows its focus by its frame.
RING = """() => {
    let e = document.activeElement;
    if (e === document.body) return null;
    if (e.id === "text") e = e.form;
    if (e.id === "find") e = e.parentElement;
    const numbers = (text) => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d");
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const style = getComputedStyle(e);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const color = outlined ? style.outlineColor : style.borderTopColor;
    let ground = e.parentElement;
    const solid = (one) => numbers(getComputedStyle(one).backgroundColor)[3] === 255;
    while (ground && !solid(ground)) ground = ground.parentElement;
    const behind = ground ? getComputedStyle(ground).backgroundColor : "white";
    const [a, b] = [light(numbers(color)), light(numbers(behind))].sort((x, y) => y - x);
    return { what: e.outerHTML.slice(0, 90), ring: outlined || parseFloat(style.borderTopWidth) > 0,
        contrast: (a + 0.05) / (b + 0.05), color, behind };
}"""


def test_opening_a_conversation_focuses_its_title_and_says_it(visit: Visit) -> None:
    """UX 7."""
    page = visit()
    conversation = ask(page, "/fast /echo said when opened")
    ended(page)
    page.click("#new")
    spoken(page)
    page.locator(f".conversation[data-id='{conversation}'] a").click()
    expect(page.locator("#title")).to_be_focused()
    expect(page.locator("#polite")).to_have_text("/fast /echo said when opened")


# -- Speech ----------------------------------------------------------------------------------------------


def test_the_list_of_messages_is_a_log_and_the_growing_answer_is_busy(visit: Visit) -> None:
    """UX 9, 11: no part of an answer that is being written is a live region."""
    page = visit()
    ask(page, "/long 4")
    written(page, 4)
    log = page.get_by_role("log", name="Messages")
    expect(log).to_have_attribute("aria-live", "off")
    live = answer(page)
    expect(live).to_have_attribute("aria-busy", "true")
    assert live.evaluate(
        "e => !e.closest('[aria-live=polite], [aria-live=assertive], [role=status]')"
        " && !e.querySelector('[aria-live], [role=status], [role=alert]')"
    )
    page.keyboard.press("Escape")
    ended(page)
    expect(answer(page)).not_to_have_attribute("aria-busy", "true")
    names = page.locator("article").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert re.fullmatch(r"(You|alice), \d\d:\d\d", names[0]) and re.fullmatch(r"Demo, \d\d:\d\d", names[1])
    page.reload()
    again = page.locator("article").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert again[1] == names[1]


def test_an_answer_is_announced_twice_and_never_word_by_word(visit: Visit) -> None:
    """UX 10."""
    page = visit()
    spoken(page)
    ask(page, "/long 2")
    ended(page)
    expect(page.locator("#polite")).to_have_text(re.compile(r"^Answer ready, \d+ words$"))
    heard = page.evaluate("() => window.heard")
    assert [region for region, _ in heard] == ["polite", "polite"]
    assert heard[0][1] == "Answering…"


def test_sentences_are_read_as_they_arrive_for_who_asks_for_it(visit: Visit) -> None:
    """UX 10."""
    page = visit()
    page.evaluate("() => localStorage.setItem('stkweb.speak', '1')")
    page.reload()
    at_work(page)
    spoken(page)
    ask(page, "/long 2")
    ended(page)
    heard = [text for _, text in page.evaluate("() => window.heard")]
    assert any("." in text and "Answer" not in text for text in heard), heard


def test_an_error_is_said_once_as_an_alert(visit: Visit) -> None:
    """UX 12."""
    page = visit()
    spoken(page)
    ask(page, "/fail agent_unavailable")
    ended(page)
    expect(page.locator("#urgent")).to_have_text("The agent's service has a problem.")
    page.wait_for_function("() => window.heard.length >= 2")
    heard = page.evaluate("() => window.heard")
    assert heard.count(["urgent", "The agent's service has a problem."]) == 1
    assert not any("ready" in text for _, text in heard)
    assert page.locator(".state[role=alert]").count() == 0


def test_a_change_of_the_connection_is_said_once(visit: Visit) -> None:
    """UX 12."""
    page = visit()
    spoken(page)
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("offline", timeout=10_000)
    page.wait_for_function("() => window.heard.length > 0")
    page.evaluate("() => new Promise(done => setTimeout(done, 1500))")
    assert [region for region, _ in page.evaluate("() => window.heard")] == ["polite"]
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()


def test_headings_of_answers_stay_below_those_of_the_page(visit: Visit) -> None:
    """UX 11."""
    page = visit()
    ask(page, "/fast /echo # One\n\n## Two\n\n###### Six\n\ntext")
    ended(page)
    levels = page.evaluate("""() => [...document.querySelectorAll("main :is(h1,h2,h3,h4,h5,h6)")]
        .filter((e) => e.checkVisibility()).map((e) => +e.tagName[1])""")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(level >= 3 for level in levels[2:])
    page.reload()
    again = page.evaluate("""() => [...document.querySelectorAll(".prose :is(h1,h2,h3,h4,h5,h6)")]
        .map((e) => +e.tagName[1])""")
    assert again == levels[2:]


def test_buttons_have_names_and_switches_say_their_state(visit: Visit) -> None:
    """UX 13."""
    page = visit()
    ask(page, "/fast /think /echo names\n\n```python\npass\n```\n")
    ended(page)
    nameless = page.evaluate("""() => [...document.querySelectorAll(
            "button, a[href], select, input, textarea")]
        .filter((e) => e.checkVisibility())
        .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    expect(page.locator(".code .wrap")).to_have_attribute("aria-pressed", "false")
    page.click("[popovertarget=settings]")
    expect(page.locator("[name=theme][value=system]")).to_have_attribute("aria-pressed", "true")
    page.click("[name=theme][value=dark]")
    expect(page.locator("[name=theme][value=dark]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[name=theme][value=system]")).to_have_attribute("aria-pressed", "false")
    page.click("[name=theme][value=system]")


# -- axe-core ------------------------------------------------------------------------------------------------


def test_axe_finds_nothing_where_people_sign_in(visit: Visit, house: Server, look: dict[str, Any]) -> None:
    """UX 14."""
    page = visit(None, "/accounts/login/", **look)
    assert violations(page) == []
    sign_in(page, "nobody-at-all", "wrong")
    expect(page.locator("[role=alert]")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_in_the_empty_page_and_the_settings(visit: Visit, look: dict[str, Any]) -> None:
    """UX 14."""
    page = visit("bob", **look)
    assert violations(page) == []
    page.click("[popovertarget=settings]")
    assert violations(page) == []
    page.click("[data-do=shortcuts]")
    assert violations(page) == []


def test_axe_finds_nothing_while_an_answer_comes_and_when_it_is_there(
    visit: Visit, look: dict[str, Any]
) -> None:
    """UX 14."""
    page = visit("bob", **look)
    ask(page, "/think Write a migration plan for the orders database")
    written(page, 20)
    expect(answer(page)).to_have_class(re.compile("live"))
    assert violations(page) == []
    page.keyboard.press("Escape")
    ended(page)
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    ask(page, f"/fast /echo $x^2$\n\n{table}\nand\n\n{table}")
    ended(page)
    expect(page.locator("math").first).to_be_visible()
    expect(answer(page).locator("table")).to_have_count(2)
    page.locator(".question").last.hover()
    assert violations(page) == []


def test_axe_finds_nothing_in_failures(visit: Visit, look: dict[str, Any]) -> None:
    """UX 14."""
    page = visit("bob", **look)
    for question in ("/fail credit", "/cut some words", "/fail agent_failed some words"):
        ask(page, question)
        ended(page)
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_be_visible()
    page.fill("#text", "unsent")
    page.keyboard.press("Enter")
    expect(page.locator(".question.unsent")).to_be_visible()
    assert violations(page) == []
    page.click("[data-do=take-back]")
    page.fill("#text", "")


def test_axe_finds_nothing_on_error_pages(visit: Visit, look: dict[str, Any]) -> None:
    """UX 14: 404 as the server sends it; the others as their templates: browser/test_plain_pages.py."""
    page = visit(None, "/accounts/login/", **look)
    page.goto("/no/such/page/")
    expect(page.get_by_role("heading")).to_have_count(1)
    assert violations(page) == []


def test_axe_finds_nothing_in_the_administration(visit: Visit, look: dict[str, Any]) -> None:
    """UX 14."""
    page = visit("admin", "/admin/", **look)
    for path in ("/admin/", "/admin/chat/agent/", "/admin/chat/agent/add/", "/admin/chat/ledgerentry/"):
        page.goto(path)
        assert violations(page) == [], path
