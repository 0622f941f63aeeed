"""What a conversation has around it: its beginning, its title, its drafts, its other versions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import (
    answer,
    answers,
    ask,
    at_work,
    ended,
    hide,
    sign_in,
    stored,
    text_of,
    words,
    written,
)
from tests.real_server import Server, wait_for

Visit = Callable[..., Any]


def listed(page: Page, conversation: str) -> Any:
    return page.locator(f".conversation[data-id='{conversation}']")


def menu(page: Page, conversation: str, choice: str) -> None:
    row = listed(page, conversation)
    row.hover()
    row.locator(".square").click()
    page.locator("#row-menu").get_by_text(choice).click()


def test_the_empty_page_names_the_agent_and_offers_three_questions(visit: Visit) -> None:
    """UX 33."""
    page = visit("newcomer")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("Demo")
    expect(page.locator(".examples a")).to_have_count(3)
    expect(page.locator("#conversations")).to_contain_text("Your conversations will be listed here.")
    example = page.locator(".examples a").first
    text = example.inner_text().strip()
    example.click()
    expect(page.locator("#text")).to_have_value(text)
    expect(page.locator("#text")).to_be_focused()


def test_without_an_agent_only_an_administrator_is_told_how_to_add_one(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 33."""
    server = make_server()
    server.manage("agent", "disable", "Demo")
    alice = visit("alice", server=server)
    expect(alice.locator("#empty")).to_contain_text("An administrator adds agents.")
    expect(alice.locator("#empty a")).to_have_count(0)
    expect(alice.locator("#send")).to_be_disabled()
    admin = visit("admin", server=server)
    expect(admin.locator("#empty").get_by_role("link", name="Add an agent")).to_be_visible()


def test_a_conversation_is_called_by_its_first_question(visit: Visit) -> None:
    page = visit()
    page.evaluate("""() => {
        window.titles = new Set();
        new MutationObserver(() => window.titles.add(document.getElementById("title").textContent))
            .observe(document.getElementById("title"), { childList: true, subtree: true });
    }""")
    conversation = ask(page, "  How do\nlighthouses   work? /fast " + "really " * 30)
    ended(page)
    title = page.locator("#title").inner_text()
    assert title == "How do lighthouses work? /fast really really really really…"
    expect(listed(page, conversation).locator(".title")).to_have_text(title)
    expect(page).to_have_title(f"{title} · stkweb")
    assert page.evaluate("[...window.titles].filter(title => title)") == [title], "it says the title once"
    page.reload()
    expect(page).to_have_title(f"{title} · stkweb")


def test_a_title_can_be_changed_and_changes_everywhere(visit: Visit) -> None:
    """UX 8: the focus stays with the conversation."""
    page = visit()
    conversation = ask(page, "/fast /echo renamed soon")
    ended(page)
    other = visit("alice", f"/c/{conversation}/")
    menu(page, conversation, "Rename")
    page.fill("#ask-field", "Café <b>crème</b>")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("Café <b>crème</b>")
    expect(listed(page, conversation).locator("a")).to_be_focused()
    expect(other.locator("#title")).to_have_text("Café <b>crème</b>")
    expect(listed(other, conversation)).to_contain_text("Café <b>crème</b>")
    page.fill("#find", "cafe")
    expect(page.locator(".conversation")).to_have_count(1)
    page.fill("#find", "no such title")
    page.get_by_role("button", name="Clear the search").click()
    expect(listed(page, conversation)).to_be_visible()


def test_a_deleted_conversation_comes_back_with_undo(visit: Visit) -> None:
    """UX 8."""
    page = visit()
    ask(page, "/fast /echo the neighbour")
    ended(page)
    page.click("#new")
    conversation = ask(page, "/fast /echo deleted and back")
    ended(page)
    other = visit("alice", f"/c/{conversation}/")
    page.click("#more-button")
    page.click("#more [data-do=delete]")
    expect(page.locator(".toast")).to_contain_text("was deleted")
    expect(listed(page, conversation)).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('.list') !== null"), "the focus stays near the item"
    expect(listed(other, conversation)).to_have_count(0)
    expect(other.locator("#empty")).to_be_visible()
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(listed(page, conversation)).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("deleted and back")
    expect(listed(other, conversation)).to_be_visible()


# -- Drafts --------------------------------------------------------------------------------------------


def test_a_draft_survives_a_reload_a_crash_and_another_conversation(visit: Visit) -> None:
    """UX 36."""
    page = visit("bob")
    conversation = ask(page, "/fast /echo drafts")
    ended(page)
    with page.expect_response("**/drafts/"):
        page.fill("#text", "half a thought")
    page.reload()
    at_work(page)
    expect(page.locator("#text")).to_have_value("half a thought")
    page.click("#new")
    expect(page.locator("#text")).to_have_value("")
    listed(page, conversation).locator("a").click()
    expect(page.locator("#text")).to_have_value("half a thought")
    # The tab dies without a word; another browser has the draft from the server.
    page.context.close()
    again = visit("bob", f"/c/{conversation}/")
    expect(again.locator("#text")).to_have_value("half a thought")
    again.press("#text", "Enter")
    expect(again.locator("#text")).to_have_value("")
    ended(again)
    again.reload()
    at_work(again)
    expect(again.locator("#text")).to_have_value("")


def test_a_draft_of_the_last_second_survives_a_closed_tab(visit: Visit) -> None:
    """UX 36."""
    page = visit("bob")
    conversation = ask(page, "/fast /echo closing")
    ended(page)
    page.fill("#text", "just typed")
    other = page.context.new_page()
    with page.expect_event("close"):
        page.close(run_before_unload=True)

    def kept() -> bool:  # what a closing tab sends may come later than the next page asks
        other.goto(f"/c/{conversation}/")
        return other.input_value("#text") == "just typed"

    wait_for(kept, 30, "the draft is there")


def test_signing_out_leaves_nothing_in_the_browser(visit: Visit, make_server: Callable[..., Server]) -> None:
    """UX 36."""
    page = visit("alice", server=make_server())
    page.fill("#text", "a secret thought")
    assert "a secret thought" in page.evaluate("JSON.stringify({...sessionStorage})")
    page.click("[popovertarget=settings]")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/**")
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert kept == "[{},{}]"
    page.goto("/")
    expect(page).to_have_url(re.compile("/accounts/login/"))


# -- Versions --------------------------------------------------------------------------------------------


def test_another_answer_keeps_the_first_one_within_reach(visit: Visit) -> None:
    """UX 22."""
    page = visit()
    ask(page, "/long 1")
    ended(page)
    answer(page).locator("[data-do=retry]").click()
    ended(page)
    expect(page.locator(".which")).to_contain_text("2/2")
    second = answer(page).get_attribute("data-id")
    page.get_by_role("button", name="Previous answer").click()
    expect(page.locator(".which")).to_contain_text("1/2")
    assert answer(page).get_attribute("data-id") != second
    page.get_by_role("button", name="Next answer").click()
    expect(page.locator(".which")).to_contain_text("2/2")
    expect(answer(page)).to_have_attribute("data-id", second or "")
    page.reload()
    expect(answer(page)).to_have_attribute("data-id", second or "")


def test_an_edited_question_branches_and_the_old_one_stays(visit: Visit) -> None:
    """UX 4, 22: the arrow key edits the last question."""
    page = visit()
    ask(page, "/fast /echo first version")
    ended(page)
    page.press("#text", "ArrowUp")
    expect(page.locator("#text")).to_have_value("/fast /echo first version")
    page.fill("#text", "/fast /echo second version")
    page.press("#text", "Enter")
    expect(answer(page)).to_contain_text("second version")
    ended(page)
    expect(page.locator(".question")).to_have_count(1)
    page.locator(".question").hover()
    page.get_by_role("button", name="Previous version").click()
    expect(answer(page)).to_contain_text("first version")
    page.get_by_role("button", name="Next version").click()
    expect(answer(page)).to_contain_text("second version")


@pytest.fixture
def crowded(visit: Visit, house: Server) -> tuple[Any, str]:
    """A conversation of 70 messages."""
    session = house.sign_in("bob")
    sent = house.ask(session, "/fast /echo answer 1")
    running = "SELECT 1 FROM chat_message WHERE public_id = ? AND state IN ('queued', 'streaming')"
    for number in range(2, 36):
        wait_for(lambda last=sent: not house.rows(running, last["answer"]))
        reply = house.post(
            session, f"/c/{sent['conversation']}/messages/", {"text": f"/fast /echo answer {number}"}
        )
        sent = reply.json()
    wait_for(lambda: not house.rows(running, sent["answer"]))
    return visit("bob", f"/c/{sent['conversation']}/"), sent["conversation"]


def test_older_messages_come_when_asked_for_without_a_jump(crowded: tuple[Any, str]) -> None:
    """UX 17, 23."""
    page, _conversation = crowded
    first = page.locator("article").first
    before = page.locator("article").count()
    assert before < 70
    page.locator("#scroll").hover()
    page.mouse.wheel(0, -100_000)
    page.wait_for_function("() => document.getElementById('scroll').scrollTop === 0")
    top = first.evaluate("e => e.getBoundingClientRect().top")
    marked = first.get_attribute("id")
    page.click("#earlier a")
    expect(page.locator("article")).to_have_count(70)
    expect(page.locator("#earlier")).to_be_hidden()
    moved = page.locator(f"#{marked}").evaluate("e => e.getBoundingClientRect().top") - top
    assert abs(moved) <= 2, "what was read stays where it was"
    page.evaluate("() => new Promise(done => setTimeout(done, 300))")
    moved = page.locator(f"#{marked}").evaluate("e => e.getBoundingClientRect().top") - top
    assert abs(moved) <= 2, "and goes on staying there"
    expect(page.locator(".answer .prose").first).to_have_text("answer 1")


def test_back_returns_to_the_place_in_the_conversation_before(crowded: tuple[Any, str]) -> None:
    """UX 7."""
    page, _conversation = crowded
    page.locator("#scroll").hover()
    page.mouse.wheel(0, -900)
    page.wait_for_function(
        "() => { const e = document.getElementById('scroll');"
        " return e.scrollHeight - e.clientHeight - e.scrollTop > 500 }"
    )
    # The wheel glides, and heights settle: what is compared is the message in the middle of the view.
    middle = page.wait_for_function(
        "() => { const e = document.getElementById('scroll'), rests = window.restedAt === e.scrollTop;"
        " window.restedAt = e.scrollTop; const box = e.getBoundingClientRect();"
        " const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
        " return rests && at?.closest('article')?.id }",
        polling=200,
    ).json_value()
    page.click("#new")
    expect(page.locator("#empty")).to_be_visible()
    page.go_back()
    expect(page.locator("article").first).to_be_attached()
    expect(page.locator(f"#{middle}")).to_be_in_viewport()


# -- What happens elsewhere --------------------------------------------------------------------------------


def test_the_list_says_who_is_answering_and_what_is_new(visit: Visit) -> None:
    page = visit()
    conversation = ask(page, "/long 2 in the background")
    written(page, 3)
    expect(listed(page, conversation).locator(".mark.ring")).to_have_count(1)
    page.click("#new")
    expect(listed(page, conversation).locator(".mark.dot")).to_have_count(1)
    expect(listed(page, conversation)).to_contain_text("new answer")
    listed(page, conversation).locator("a").click()
    expect(listed(page, conversation).locator(".mark")).to_have_count(0)
    page.reload()
    expect(listed(page, conversation).locator(".mark")).to_have_count(0)


def test_a_tab_in_the_background_marks_its_title_when_the_answer_is_there(visit: Visit) -> None:
    """UX 50."""
    page = visit()
    ask(page, "/long 1 behind another tab")
    written(page, 2)
    hide(page)
    expect(page).to_have_title(re.compile("^● /long 1"))
    hide(page, False)
    expect(page).to_have_title(re.compile("^/long 1"))


def test_each_answer_shows_agent_time_duration_and_tokens(visit: Visit) -> None:
    """UX 28, 29: the absolute time with its zone stands on the time."""
    page = visit()
    ask(page, "Write a migration plan /fast")
    head = ended(page).locator("header")
    expect(head).to_contain_text("Demo")
    expect(head.locator("time")).to_have_attribute("title", re.compile(r"\d{4}.*(GMT|UTC|BRT|-03)"))
    expect(head.locator(".took")).to_have_text(re.compile(r"\d\.\d s"))
    expect(answer(page).locator(".tokens")).to_have_text(
        re.compile(r"[\d,]+ tokens\s*\d+ asked\s*\d+ knowledge\s*[\d,]+ answered")
    )
    ask(page, "/fast /nousage /echo unknown")
    expect(ended(page).locator(".tokens")).to_have_text("Tokens: not reported")
    shown = [page.locator(".answer .tokens").nth(n).inner_text() for n in range(2)]
    page.reload()
    assert [page.locator(".answer .tokens").nth(n).inner_text() for n in range(2)] == shown


def test_the_tokens_of_an_answer_do_not_go_away_when_the_page_asks_again(visit: Visit) -> None:
    """The page asks for news as soon as an answer has ended: the turn may still be in memory then."""
    page = visit()
    for number in range(12):
        ask(page, f"/fast /echo number {number}")
        ended(page)
    page.evaluate("() => new Promise(done => setTimeout(done, 300))")
    shown = page.locator(".answer .tokens").all_text_contents()
    assert [text for text in shown if "answered" not in text] == []


def test_copying_a_message_gives_its_markdown_and_copying_a_selection_clean_text(visit: Visit) -> None:
    """UX 25."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    ask(page, "/fast /echo **bold** and\n\n```python\nprint(1)\n```\n")
    ended(page)
    answer(page).get_by_role("button", name="Copy", exact=True).last.click()
    expect(page.locator("#polite")).to_have_text("Copied")
    source = text_of(answers(stored(page))[0])
    assert page.evaluate("navigator.clipboard.readText()") == source
    page.evaluate("""() => {
        const range = document.createRange();
        range.selectNodeContents(document.querySelector(".answer"));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
    }""")
    page.keyboard.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "print(1)" in copied and "bold" in copied
    for chrome in ("Wrap lines", "Copy", "Try again"):
        assert chrome not in copied


def test_code_has_its_language_a_copy_button_and_wrapping(visit: Visit) -> None:
    """UX 24."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    code = "def long():\n\treturn '" + "x" * 300 + "'"
    ask(page, f"/fast /echo Look:\n\n```python\n{code}\n```\n\nDone.")
    ended(page)
    block = page.locator(".code")
    expect(block.locator(".code-head")).to_contain_text("python")
    copy = block.get_by_role("button", name="Copy")
    copy.focus()
    page.keyboard.press("Enter")
    expect(block.locator(".copy")).to_have_text("Copied")
    expect(block.locator(".copy")).to_be_focused()
    expect(page.locator("#polite")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code
    pre = block.locator("pre")
    assert pre.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wrap = block.get_by_role("button", name="Wrap lines")
    wrap.click()
    expect(wrap).to_have_attribute("aria-pressed", "true")
    assert pre.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_mixed_directions_keep_to_their_paragraph(visit: Visit) -> None:
    """UX 30, R10: letters, marks and joined emoji arrive whole; each paragraph has its own direction."""
    page = visit()
    source = "Olá, café e\u0301 👩‍👩‍👧‍👦 🇧🇷.\n\nمرحبا بالعالم 123 abc.\n\nשלום עולם!\n\nPlain end."
    ask(page, f"/echo {source}")
    ended(page)
    shown = answer(page).locator(".prose p").all_text_contents()
    assert shown == source.split("\n\n")
    sides = page.evaluate("""() => [...document.querySelectorAll(".answer .prose p")].map((p) => {
        const range = document.createRange();
        range.selectNodeContents(p);
        const text = range.getBoundingClientRect(), box = p.getBoundingClientRect();
        return text.left - box.left < box.right - text.right ? "left" : "right";
    })""")
    assert sides == ["left", "right", "right", "left"]
    assert words(page)


def test_a_new_version_is_offered_without_taking_anything(visit: Visit) -> None:
    """UX 35."""
    page = visit()
    page.route_web_socket(
        "**/ws/",
        lambda ws: ws.connect_to_server().on_message(
            lambda text: ws.send(re.sub(r'"version":"\w+"', '"version":"newer"', str(text)))
        ),
    )
    page.reload()
    at_work(page)
    expect(page.locator("#banner")).to_contain_text("A new version is ready.")
    page.fill("#text", "still writing")
    expect(page.locator("#text")).to_have_value("still writing")
    page.locator("#banner").get_by_role("button", name="Reload").click()
    page.wait_for_load_state()
    at_work(page)
    expect(page.locator("#text")).to_have_value("still writing")
    page.fill("#text", "")


def test_a_form_sign_in_returns_to_the_page_that_was_asked_for(visit: Visit) -> None:
    page = visit()
    conversation = ask(page, "/fast /echo come back")
    ended(page)
    stranger = visit(None, f"/c/{conversation}/")
    expect(stranger).to_have_url(re.compile("/accounts/login/"))
    sign_in(stranger)
    expect(stranger).to_have_url(re.compile(f"/c/{conversation}/"))
    expect(stranger.locator(".answer")).to_contain_text("come back")
