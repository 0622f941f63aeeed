"""Every screen: both themes without a flash, narrow, enlarged, still, in forced colours, on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import answer, ask, at_work, ended, written
from tests.real_server import Server

Visit = Callable[..., Any]

DARK = "rgb(22, 21, 19)"
LIGHT = "rgb(251, 250, 248)"
GROUND = "() => getComputedStyle(document.documentElement).backgroundColor"
#: Every ground that was painted since the document began.
RECORD = """
window.grounds = new Set();
const look = () => {
    if (document.body) window.grounds.add(getComputedStyle(document.documentElement).backgroundColor);
    if (performance.now() < 1500) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
WIDE_THINGS = (
    "| " + " | ".join(f"column number {n}" for n in range(9)) + " |\n" + "|---" * 9 + "|\n"
    "| " + " | ".join(f"value{n}" for n in range(9)) + " |\n\n"
    "```python\n" + "x = '" + "y" * 200 + "'\n```\n\n" + "averyveryverylongword" * 12 + "\n\n"
    "$$a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r+s+t+u+v+w+x+y+z=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r+s$$\n\n"
    "https://example.org/" + "path/" * 40
)


@pytest.mark.parametrize(("theme", "system", "ground"), [("dark", "light", DARK), ("light", "dark", LIGHT)])
def test_a_chosen_theme_holds_from_the_first_paint(
    visit: Visit, make_server: Callable[..., Server], theme: str, system: str, ground: str
) -> None:
    """UX 46: against the system's, on every page, with no other ground in between."""
    page = visit("alice", server=make_server(), color_scheme=system)
    page.click("[popovertarget=settings]")
    with page.expect_response("**/preferences/"):
        page.click(f"[name=theme][value={theme}]")
    assert page.evaluate(GROUND) == ground
    page.add_init_script(RECORD)
    for path in ("/", "/accounts/login/", "/no/such/page/"):
        page.goto(path)
        page.wait_for_function("() => window.grounds.size > 0 && performance.now() > 300")
        assert page.evaluate("() => [...window.grounds]") == [ground], path


def test_the_system_theme_is_followed_while_the_page_is_open(visit: Visit) -> None:
    """UX 46."""
    page = visit(color_scheme="light")
    assert page.evaluate(GROUND) == LIGHT
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == DARK


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_makes_the_page_scroll_sideways(visit: Visit, width: int) -> None:
    """UX 26, 48: a wide table, a long line of code, a long word, a formula, an address."""
    page = visit(viewport={"width": width, "height": 640})
    sideways = "() => document.documentElement.scrollWidth > innerWidth || scroller() ".replace(
        "scroller()",
        ("document.getElementById('scroll').scrollWidth > document.getElementById('scroll').clientWidth"),
    )
    assert not page.evaluate(sideways)
    ask(page, f"/fast /echo {WIDE_THINGS}")
    ended(page)
    expect(answer(page).locator(".code .copy")).to_be_attached()
    assert not page.evaluate(sideways)
    cut = page.evaluate("""() => [...document.querySelectorAll("main button, main select, main textarea, h1")]
        .filter((e) => e.checkVisibility()).map((e) => [e.getBoundingClientRect(), e])
        .filter(([box]) => box.width > 1 && (box.left < -1 || box.right > innerWidth + 1))
        .map(([, e]) => e.outerHTML.slice(0, 100))""")
    assert [one for one in cut if 'class="copy"' not in one and 'class="wrap"' not in one] == []
    ask(page, "/fast /fail credit")
    ended(page)
    assert not page.evaluate(sideways)
    page.goto("/no/such/page/")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_at_two_hundred_percent_nothing_is_lost(visit: Visit) -> None:
    """UX 48: 1280 x 800 at 200 % is a view of 640 x 400; the composer stays in it."""
    page = visit(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    ask(page, "/fast Write a migration plan")
    ended(page)
    for selector in ("#text", "#send", "#title", ".drawer"):
        box = page.locator(selector).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 640 and box["y"] + box["height"] <= 400
    seen = page.evaluate("() => document.getElementById('scroll').clientHeight")
    assert seen >= 160, "there is room to read"


def test_large_text_keeps_everything_in_reach(visit: Visit) -> None:
    """UX 48, 49: text at 200 % by the reader's own font size."""
    page = visit()
    client = page.context.new_cdp_session(page)
    client.send("Page.enable")
    client.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    page.reload()
    at_work(page)
    box = page.locator("#send").bounding_box()
    assert box and box["x"] + box["width"] <= 1280 and box["y"] + box["height"] <= 800
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_the_list_is_a_drawer(visit: Visit) -> None:
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    ask(page, "/fast /echo in the drawer")
    ended(page)
    expect(page.locator("#list")).to_be_hidden()
    page.tap(".drawer")
    expect(page.locator("#list")).to_be_visible()
    page.locator(".conversation a").nth(0).tap()
    expect(page.locator("#list")).to_be_hidden()
    page.tap(".drawer")
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_hidden()
    expect(page.locator(".drawer")).to_be_focused()


def test_the_composer_stays_above_the_keyboard_of_a_phone(visit: Visit) -> None:
    """UX 48: the view becomes lower, the composer stays in it."""
    page = visit(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page.tap("#text")
    page.set_viewport_size({"width": 390, "height": 420})
    page.wait_for_function(
        "() => document.getElementById('send').getBoundingClientRect().bottom <= innerHeight"
    )
    page.fill("#text", "line\n" * 30)
    box = page.locator("#send").bounding_box()
    assert box and box["y"] + box["height"] <= 420


def test_who_wants_less_motion_gets_none_and_still_the_text(visit: Visit) -> None:
    """UX 47."""
    page = visit(reduced_motion="reduce")
    ask(page, "/long 3")
    written(page, 6)
    moving = page.evaluate("""() => document.getAnimations()
        .filter((a) => a.playState === "running" && a.effect.getComputedTiming().activeDuration > 20)
        .map((a) => a.animationName ?? a.transitionProperty)""")
    assert moving == []
    count = len(answer(page).inner_text().split())
    written(page, count + 6)
    page.keyboard.press("Escape")
    ended(page)


def test_in_forced_colours_everything_has_an_edge(visit: Visit) -> None:
    """UX 46."""
    page = visit(forced_colors="active")
    ask(page, "/fast /fail credit")
    ended(page)
    ask(page, "/fast /echo a bubble")
    ended(page)
    bare = page.evaluate("""() => [".composer", ".bubble", ".state.failed", "#send",
            ".conversation:has([aria-current])"]
        .filter((s) => { const style = getComputedStyle(document.querySelector(s));
            return parseFloat(style.borderTopWidth) < 1 || style.borderTopStyle === "none"; })""")
    assert bare == []
    assert page.evaluate("""() => [...document.querySelectorAll(".icon")].filter((e) => e.checkVisibility())
        .every((e) => getComputedStyle(e).stroke !== getComputedStyle(document.body).backgroundColor)""")


def test_on_paper_there_are_words_and_no_chrome(visit: Visit) -> None:
    page = visit(color_scheme="dark")
    ask(page, "/fast /echo First [link](https://example.org/a)\n\n```python\n" + "z" * 300 + "\n```")
    ended(page)
    for _ in range(2):
        ask(page, "/fast Write a migration plan")
        ended(page)
    page.emulate_media(media="print", color_scheme="light")
    for chrome in ("#list", ".bottom", "#more-button", ".acts >> nth=0"):
        expect(page.locator(chrome)).to_be_hidden()
    assert page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    height = page.evaluate("() => document.body.scrollHeight")
    assert height > 1200, "the whole conversation, not one view of it"
    link = page.evaluate("() => getComputedStyle(document.querySelector('.prose a'), '::after').content")
    assert "https://example.org/a" in link
    assert page.evaluate(
        "() => [...document.querySelectorAll('.prose pre')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )
    assert len(page.pdf()) > 10_000


def test_the_page_says_its_language_and_numbers_follow_it(visit: Visit) -> None:
    """UX 49."""
    page = visit(locale="en-GB")
    assert page.evaluate("() => document.documentElement.lang") == "en"
    ask(page, "/fast /long 60")
    ended(page)
    expect(answer(page).locator(".tokens")).to_contain_text(",")
    in_words(page)


def in_words(page: Page) -> None:
    """Nothing is said in two languages at once: no string of the page is a key."""
    keys = page.evaluate("""() => {
        const keys = Object.keys(JSON.parse(document.getElementById("strings").textContent));
        return [...document.querySelectorAll("button, a, p, span")].map((e) => e.textContent.trim())
            .filter((text) => text.includes("_") && keys.includes(text)); }""")
    assert keys == []
