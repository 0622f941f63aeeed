"""The form that makes a link, in Chromium: what comes first, what is in sight, what a second click does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.real_server import Server
from tests.sharing.test_browser import asked

__all__ = ["asked"]
pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.mark.parametrize(("width", "height"), [(360, 780), (1366, 700)])
def test_the_preview_comes_first_and_what_makes_the_link_is_within_reach(
    width: int, height: int, shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    page = open_page(shared_server, "alice", viewport={"width": width, "height": height})
    page.goto(f"/c/{asked}/share/")
    parts = (".preview", ".share-options", "button[value=make]")
    preview, options, button = (page.locator(part).bounding_box() for part in parts)
    if width < 960:
        assert preview["y"] + preview["height"] <= options["y"] < button["y"]
        assert preview["height"] < height, "the choices are not behind a long conversation"
    else:
        assert preview["x"] + preview["width"] <= options["x"]
        assert preview["height"] > height, "a long conversation"
        assert button["y"] + button["height"] <= height


def test_two_clicks_make_one_link(shared_server: Server, open_page: Callable[..., Any], asked: str) -> None:
    page = open_page(shared_server, "alice")
    page.goto(f"/c/{asked}/share/")
    page.dblclick("button[value=make]")
    page.wait_for_selector("#address")
    made = "SELECT count(*) FROM chat_share s JOIN chat_conversation c ON c.id = s.conversation_id"
    assert shared_server.rows(f"{made} WHERE c.public_id = ?", asked) == [(1,)]
