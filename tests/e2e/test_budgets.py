"""Budgets as a person meets them: a soft one asks, a hard one refuses and keeps everything, both warn."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.acts import ask, ended, sign_in
from tests.real_server import Server

Visit = Callable[..., Any]
FILE = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"what is to be done"}

_BUDGET = """
from chat.models import Budget
Budget.objects.create(measure="tokens", period="month", contact="Dora", **{values})
"""


def budget(server: Server, **values: Any) -> None:
    values = {"scope": "everyone", "limit": 0, **values}
    done = server.manage("shell", "-c", _BUDGET.replace("{values}", repr(values)))
    assert done.returncode == 0, done.stderr


def test_a_soft_budget_is_confirmed_and_the_question_goes_out(server: Server, visit: Visit) -> None:
    budget(server, hard=False)
    page = visit("alice", server=server)
    page.set_input_files("#upload", [FILE])
    expect(page.locator(".given .file")).to_contain_text("Ready")
    page.fill("#text", "/fast Hello")
    page.press("#text", "Enter")
    strip = page.locator("#strip")
    expect(strip).to_contain_text("The budget of 0 tokens is used up")
    expect(strip).to_contain_text("ask Dora")
    expect(page.locator("#text")).to_have_value("/fast Hello")
    expect(page.locator(".given .file")).to_have_count(1)
    expect(page.locator(".question")).to_have_count(0)
    strip.get_by_role("button", name="Go over the budget").click()
    ended(page)
    expect(page.locator(".question .file")).to_contain_text("notes.txt")
    ask(page, "/fast Once more")
    ended(page)
    rows = server.rows("SELECT actor FROM chat_auditevent WHERE action = 'budget.confirmed'")
    assert rows == [("alice",)], "asked and recorded once"


def test_a_hard_budget_says_limit_reset_and_whom_to_ask_and_keeps_all(server: Server, visit: Visit) -> None:
    budget(server)
    page = visit("alice", server=server)
    page.set_input_files("#upload", [FILE])
    expect(page.locator(".given .file")).to_contain_text("Ready")
    page.fill("#text", "/fast Hello")
    page.press("#text", "Enter")
    strip = page.locator("#strip")
    expect(strip).to_contain_text("The budget of 0 tokens is used up until")
    expect(strip).to_contain_text("Ask Dora for more")
    expect(strip).not_to_contain_text("You can send again in")
    expect(page.locator("#text")).to_have_value("/fast Hello")
    expect(page.locator(".given .file")).to_have_count(1)
    expect(page.locator(".question")).to_have_count(0)
    expect(strip.get_by_role("button")).to_have_count(0)


def test_another_try_over_a_soft_budget_is_confirmed_too(server: Server, visit: Visit) -> None:
    page = visit("alice", server=server)
    ask(page, "/fast Hello")
    ended(page)
    budget(server, hard=False)
    page.get_by_role("button", name="Try again").click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("The budget of 0 tokens is used up")
    toast.get_by_role("button").click()
    ended(page)
    expect(page.locator(".answer .which")).to_contain_text("2/2")


@pytest.mark.parametrize("hard", [True, False])
def test_without_javascript_text_and_files_are_kept_and_a_soft_one_is_confirmed(
    server: Server, visit: Visit, hard: bool
) -> None:
    budget(server, hard=hard)
    page = visit(None, server=server, java_script_enabled=False)
    sign_in(page)
    page.fill("#text", "/fast Hello")
    page.set_input_files("input[name=upload]", [FILE])
    page.click("#send")
    said = page.locator(".alert[role=alert]")
    expect(said).to_contain_text("The budget of 0 tokens is used up until")
    expect(said).to_contain_text("Dora")
    for _ in range(2):
        expect(page.locator("#text")).to_have_value("/fast Hello")
        expect(page.locator("input[name=files]")).to_be_checked()
        expect(page.locator(".kept")).to_contain_text("notes.txt")
        page.reload()
    if hard:
        expect(page.get_by_role("button", name="Go over the budget")).to_have_count(0)
        return
    page.click("#send")
    page.get_by_role("button", name="Go over the budget").click()
    expect(page.locator(".alert.success")).to_contain_text("Confirmed")
    page.click("#send")
    page.wait_for_url("**/c/**")
    expect(page.locator(".question .file")).to_contain_text("notes.txt")
    expect(page.locator(".kept")).to_have_count(0)


def test_a_warning_comes_into_the_open_page_and_not_again(server: Server, visit: Visit) -> None:
    budget(server, limit=400)
    page = visit("alice", server=server)
    ask(page, "/fast Write a migration plan")
    ended(page)
    expect(page.locator("#notices")).to_contain_text("everyone's budget of 400 tokens is used.")
    expect(page.locator(".toast")).to_contain_text("everyone's budget")
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(page.locator(".answer")).to_have_count(1)
    expect(page.locator("#notices")).to_be_hidden()
    plain = visit(None, server=server, java_script_enabled=False)
    sign_in(plain, "bob")
    expect(plain.locator("#notices")).to_contain_text("everyone's budget of 400 tokens is used.")
    plain.reload()
    expect(plain.locator("#notices")).to_have_count(1)
    expect(plain.locator("#notices .notice")).to_have_count(0)


def test_ones_own_use_stands_in_the_list_and_follows_every_answer(server: Server, visit: Visit) -> None:
    page = visit("alice", server=server)
    line = page.locator("#use")
    expect(line).to_contain_text("0 tokens this month")
    ask(page, "/fast Hello")
    ended(page)
    expect(line).to_contain_text(re.compile(r"[1-9]\d* tokens this month"))
    budget(server, scope="everyone", limit=10_000_000)
    ask(page, "/fast And again")
    ended(page)
    expect(line).to_contain_text("Everyone: 0 % of this month")
    expect(line.locator("svg")).to_be_visible()
    line.click()
    expect(page).to_have_url(re.compile("/usage/$"))
