"""Hostile words do nothing, nothing leaves the origin, and the policy is never broken.

The fixture `visit` holds every page of every test here to: no violation, no script error, no request
to another host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import answer, ask, at_work, ended
from tests.real_server import PASSWORD, Server

Visit = Callable[..., Any]
HOSTILE: list[str] = json.loads((Path(__file__).parents[1] / "markdown" / "hostile.json").read_text())
#: Vectors must not disturb one another: each is a document of its own, many to an answer.
BATCH = 50
ALARM = """
window.hits = [];
for (const name of ["hit", "alert", "confirm", "prompt", "print", "msgbox"])
    window[name] = (x) => window.hits.push(`${name} ${x}`);
"""
HARM = r"""() => {
    const bad = [];
    for (const e of document.querySelectorAll(".prose *, .bubble *")) {
        for (const { name, value } of e.attributes) {
            if (name.startsWith("on") || name === "style" || name === "srcdoc")
                bad.push(`${name} on ${e.tagName}`);
            if (["href", "src", "action", "formaction", "xlink:href"].includes(name)
                && !/^(https?:|mailto:|#)/i.test(value)) bad.push(`${name}=${value}`);
        }
        if (e.matches("script, iframe, object, embed, style, link, form, img, video, audio, base, input"))
            bad.push(e.outerHTML.slice(0, 100));
        if (e.matches("a[href^=http]") && !/noopener/.test(e.rel)) bad.push(`rel of ${e.href}`);
    }
    return bad;
}"""


def harmless(page: Page) -> None:
    assert page.evaluate(HARM) == []
    assert page.evaluate("() => window.hits ?? []") == []


@pytest.mark.parametrize("first", range(0, len(HOSTILE), BATCH))
def test_hostile_markdown_does_nothing_live_or_reloaded(visit: Visit, first: int) -> None:
    """S14, S15, S17: as an answer in pieces, as its question, as a title, and as the server draws it."""
    page = visit()
    page.context.add_init_script(ALARM)
    page.reload()
    at_work(page)
    text = "\n\n---\n\n".join(HOSTILE[first : first + BATCH])
    ask(page, f"/fast /echo {text}")
    ended(page)
    harmless(page)
    for link in page.locator(".prose a").all()[:5]:
        link.hover()
    page.reload()
    at_work(page)
    harmless(page)
    expect(page.locator("#text")).to_be_editable()


def test_hostile_markdown_that_arrives_slowly_does_nothing_on_the_way(visit: Visit) -> None:
    """S14, S17: looked at in every frame, at the pace of a real agent."""
    page = visit()
    page.context.add_init_script(ALARM)
    page.reload()
    at_work(page)
    page.evaluate(f"""() => {{
        const check = {HARM};
        window.harm = new Set();
        const look = () => {{
            for (const one of check()) window.harm.add(one);
            requestAnimationFrame(look);
        }};
        look();
    }}""")
    worst = [v for v in HOSTILE if "canary" in v or "script" in v.lower()][:8]
    ask(page, "/echo " + "\n\n".join(worst))
    ended(page, 90_000)
    assert page.evaluate("() => [...window.harm]") == []
    harmless(page)


def test_a_javascript_link_is_no_link(visit: Visit) -> None:
    """S15."""
    page = visit()
    page.context.add_init_script(ALARM)
    page.reload()
    at_work(page)
    ask(
        page,
        "/fast /echo [click](javascript:hit(1)) [JaVa](JaVa&#x09;script:hit(2)) <javascript:hit(3)>"
        " [d](data:text/html,x)",
    )
    ended(page)
    expect(answer(page).locator(".prose a")).to_have_count(0)
    answer(page).locator(".prose").click()
    harmless(page)


def test_a_link_shows_where_it_leads_and_leaves_the_chat_open(visit: Visit) -> None:
    """UX 27, S15."""
    page = visit()
    ask(page, "/fast /echo [our docs](https://docs.example.org/deep/path) and [own](/admin/)")
    ended(page)
    link = answer(page).locator("a[href^='https://docs.example.org']")
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    expect(answer(page).locator(".prose")).to_contain_text("docs.example.org")


def test_pictures_become_placeholders_with_their_words(visit: Visit) -> None:
    """UX 27, S17: no request is made, while streaming, at the end or after a reload (see `visit`)."""
    page = visit()
    ask(
        page,
        "/echo See ![a cat](https://canary.example/c.png?d=secret) and <img src='https://canary.example/2'>",
    )
    ended(page)
    for _ in range(2):
        shown = answer(page).locator(".blocked-image")
        expect(shown.first).to_contain_text("a cat")
        expect(page.locator(".prose img")).to_have_count(0)
        page.reload()
        at_work(page)


def test_names_that_clobber_the_document_leave_the_page_working(visit: Visit) -> None:
    """S16."""
    page = visit()
    names = [
        "composer",
        "text",
        "send",
        "stop",
        "items",
        "scroll",
        "boot",
        "strings",
        "polite",
        "title",
        "act",
    ]
    markup = "".join(f"<form id={n}><input name=attributes><a name={n} id={n}>x</a></form>" for n in names)
    ask(page, f"/fast /echo {markup}\n\n# composer\n\n[text](#text)")
    ended(page)
    assert (
        page.evaluate("names => names.filter((n) => document.querySelectorAll('#' + n).length > 1)", names)
        == []
    )
    page.reload()
    at_work(page)
    ask(page, "/fast /echo still works")
    expect(answer(page)).to_contain_text("still works")
    ended(page)


def test_a_hostile_title_and_agent_name_are_words(visit: Visit, make_server: Callable[..., Server]) -> None:
    """S14."""
    server = make_server()
    evil = "<img src=x onerror=hit(1)>"
    server.rows("UPDATE chat_agent SET name = ?, description = ?", evil, evil)
    page = visit(server=server)
    page.context.add_init_script(ALARM)
    page.reload()
    at_work(page)
    expect(page.locator("#text")).to_have_attribute("placeholder", f"Message {evil}")
    ask(page, f"{evil} /fast /echo title")
    ended(page)
    expect(page.locator("#title")).to_contain_text(evil)
    expect(answer(page).locator("h2")).to_have_text(evil)
    page.reload()
    at_work(page)
    expect(page.locator(".conversation .title").first).to_contain_text(evil)
    assert page.evaluate("() => [window.hits, document.querySelectorAll('img').length]") == [[], 0]


def test_hostile_words_do_nothing_in_the_administration(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """S14."""
    server = make_server()
    admin = visit("admin", server=server)
    admin.context.add_init_script(ALARM)
    server.rows(
        "UPDATE chat_agent SET name = ?, description = ?",
        *["<script>hit(1)</script><img src=x onerror=hit(2)>"] * 2,
    )
    for path in ("/admin/chat/agent/", "/admin/chat/agent/1/change/", "/admin/chat/ledgerentry/"):
        admin.goto(path)
        assert admin.evaluate("() => window.hits") == []


def test_a_walk_through_the_whole_product_breaks_no_policy(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """S12: every page has the policy with a nonce of its own; `visit` fails on any violation."""
    server = make_server()
    page = visit(None, "/accounts/login/", server=server)
    nonces: list[str] = []

    def note(response: Any) -> None:
        policy = response.headers.get("content-security-policy", "")
        if "text/html" in response.headers.get("content-type", "") and response.status < 300:
            assert "default-src 'none'" in policy and "unsafe" not in policy, response.url
            nonces.extend(re.findall(r"'nonce-([^']+)'", policy))

    page.on("response", note)
    page.fill("#id_username", "admin")
    page.fill("#id_password", "wrong")
    page.click("button[type=submit]")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    at_work(page)
    conversation = ask(page, "/fast Show me the formula for compound interest")
    ended(page)
    ask(page, "/fast Review this code")
    ended(page)
    expect(page.locator(".hljs-keyword").first).to_be_attached()
    page.click("[popovertarget=settings]")
    page.click("[name=theme][value=dark]")
    page.click("[data-do=shortcuts]")
    page.keyboard.press("Escape")
    page.goto("/accounts/password_change/")
    page.goto("/no/such/page/")
    page.goto(f"/c/{conversation}/")
    at_work(page)
    page.goto("/admin/")
    page.goto("/admin/chat/agent/add/")
    page.goto("/")
    at_work(page)
    page.click("[popovertarget=settings]")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/**")
    assert len(nonces) == len(set(nonces)) >= 3


def test_no_other_origin_may_frame_a_page(visit: Visit, house: Server) -> None:
    """S13."""
    page = visit()
    page.route(
        "http://evil.example/**",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<iframe name="ours" src="{house.base_url}{urlsplit(route.request.url).path}"></iframe>',
        ),
    )
    for path in ("/", "/accounts/login/", "/admin/login/", "/no/such/page/"):
        page.goto(f"http://evil.example{path}")
        frame = page.frame("ours")
        assert frame.url.startswith("chrome-error:"), path
        assert frame.locator("form, main").count() == 0, path
    page.problems.clear()


def test_junk_from_other_windows_is_ignored(visit: Visit) -> None:
    """S13."""
    page = visit()
    page.evaluate("""() => {
        for (const junk of [null, 1, "x", { type: "snapshot", items: [] }, { type: "hello", user: "eve" }])
            window.postMessage(junk, "*");
        document.dispatchEvent(new CustomEvent("frame", { detail: { type: "hello", user: "eve" } }));
    }""")
    ask(page, "/fast /echo unmoved")
    ended(page)
    expect(answer(page)).to_contain_text("unmoved")
