"""The administration in Chromium: it works, in both themes, without one violation of its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.real_server import PASSWORD, Server


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, shared_server: Server, open_page: Callable[..., Any]) -> Any:
    page = open_page(shared_server, color_scheme=request.param)
    page.set_default_timeout(30_000)
    page.scheme = request.param
    page.goto("/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#content-main")
    return page


def luminance(color: str) -> float:
    red, green, blue = (int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_an_administrator_can_do_the_work(page: Any, shared_server: Server) -> None:
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert luminance(body) > 0.9 if page.scheme == "light" else luminance(body) < 0.2

    # An agent: add, list, change, history.
    name = f"Agent {page.scheme}"
    page.goto("/admin/chat/agent/add/")
    page.fill("#id_name", name)
    page.select_option("#id_kind", "stackspot")
    page.fill("#id_base_url", "https://agents.example")
    page.fill("#id_token_url", "https://id.example/token")
    page.fill("#id_agent_id", "01K6101856EC0MKJ8KN4S2B9CM")
    page.fill("#id_client_id", "client")
    page.fill("#id_new_secret", "planted-secret-44fe")
    page.click("input[name=_continue]")
    page.wait_for_selector(".success")
    assert page.input_value("#id_new_secret") == ""
    assert page.inner_text(".field-secret .readonly") == "set"
    assert "planted-secret" not in page.content()
    page.click("a.historylink")
    page.wait_for_selector("#change-history")

    # The list: choose all (actions.js), filter, switch off.
    page.goto("/admin/chat/agent/")
    page.check("#action-toggle")
    assert page.locator("tr.selected").count() == page.locator("#result_list tbody tr").count() >= 2
    page.uncheck("#action-toggle")
    page.locator("tr", has_text=name).locator("input.action-select").check()
    page.select_option("select[name=action]", "disable")
    page.click("button[name=index]")
    page.wait_for_selector(".success")

    # The ledger, of today.
    page.goto("/admin/chat/ledgerentry/")
    page.select_option(".filters [name=period]", "today")
    page.click(".filters .button")
    page.wait_for_url("**/admin/audit/?*period=today*")

    # A person: add, then the form with the widgets that need scripts.
    person = f"dora-{page.scheme}"
    page.goto("/admin/auth/user/add/")
    page.fill("#id_username", person)
    page.fill("#id_password1", "correct-horse-battery-8")
    page.fill("#id_password2", "correct-horse-battery-8")
    page.click("input[name=_save]")
    page.wait_for_selector("#id_user_permissions_to")
    page.locator("#id_user_permissions_from option").first.wait_for(state="attached")
    page.select_option("#id_user_permissions_from", index=0)
    page.locator("#id_user_permissions_add, #id_user_permissions_add_link").first.click()
    assert page.locator("#id_user_permissions_to option").count() == 1
    page.locator(".field-last_login .datetimeshortcuts a", has_text="Today").click()
    page.locator(".field-last_login .datetimeshortcuts a", has_text="Now").first.click()
    assert page.input_value("#id_last_login_0") != "" != page.input_value("#id_last_login_1")
    page.locator(".field-last_login .datetimeshortcuts a:has(.date-icon)").click()
    page.wait_for_selector("#calendarin0 td a")
    page.locator("#calendarin0 td a", has_text="15").first.click()
    assert page.input_value("#id_last_login_0").endswith("15")
    page.click("input[name=_save]")
    page.wait_for_selector(".success")
    assert shared_server.rows("SELECT 1 FROM auth_user WHERE username = ?", person)

    page.goto("/admin/password_change/")
    page.goto("/admin/no/such/page/")
    assert page.problems == []


def test_what_an_admin_script_sets_is_sanitised(page: Any) -> None:
    """The `default` policy is no hole: hostile markup loses its teeth, script text stays forbidden."""
    found = page.evaluate("""() => {
        const box = document.createElement("div");
        document.body.append(box);
        box.innerHTML = "<b>kept</b><img src=x onerror='window.hurt = 1'><script>window.hurt = 1</script>";
        let script = "allowed";
        try { document.createElement("script").textContent = "window.hurt = 1"; }
        catch (error) { script = error.name; }
        return [box.innerHTML, script, window.hurt ?? null];
    }""")
    assert found == ['<b>kept</b><img src="x">', "TypeError", None]


def test_the_page_of_the_product_has_no_default_policy(
    shared_server: Server, open_page: Callable[..., Any]
) -> None:
    page = open_page(shared_server)
    page.goto("/accounts/login/")
    refused = page.evaluate("""() => {
        try { trustedTypes.createPolicy("default", {}); return "made"; }
        catch (error) { return error.name; }
    }""")
    assert refused == "TypeError"
