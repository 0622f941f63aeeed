"""One truth about a link's end: the address, my links and the administration say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chat.models import Share
from tests.sharing.conftest import Link
from tests.sharing.test_opening import end_by

pytestmark = pytest.mark.django_db

#: What my links say of each end. The link has been opened three times, and was made five days ago.
SAID = {
    "": r"ends on",
    "revoked": r"revoked on",
    "expired": r"ended on",
    "used up": r"used up",
    "ceiling": r"ended on",
    "forbidden": r"not allowed any more",
    "live forbidden": r"not allowed any more",
    "passphrase required": r"not allowed any more",
    "sharing off": r"not allowed any more",
}


@pytest.mark.parametrize("how", SAID)
def test_the_address_my_links_and_the_administration_agree(
    how: str, link: Link, client: Client, client_of: Callable[..., Client], alice: Any, administrator: Any,
    settings: Any,
) -> None:  # fmt: skip
    now = timezone.now()
    Share.objects.update(created_at=now - timedelta(days=5), openings=3, last_opened_at=now)
    end_by(how, link)
    match how:
        case "ceiling":
            settings.SHARE_MAX_DAYS = 2
        case "forbidden":
            settings.SHARE_WITH = ["colleagues"]
        case "live forbidden":
            settings.SHARE_OPTIONS = ["copy"]
            Share.objects.update(live=True)
        case "passphrase required":
            settings.SHARE_PASSPHRASE = "required"
        case "sharing off":
            settings.SHARE_WITH = []
    opens = client.get(link.path).status_code == 200
    assert opens == (how == "")
    mine = client_of(alice).get("/shares/").content.decode()
    live, _, over = mine.partition(">Over<")
    row = live if opens else over
    assert link.row.public_id in row
    assert re.search(SAID[how], row)
    assert ("/revoke/" in row) == opens
    one = client_of(alice).get(f"/shares/{link.row.public_id}/").content.decode()
    assert re.search(SAID[how], one)
    listed = client_of(administrator).get("/admin/chat/share/").content.decode()
    assert (link.row.public_id in listed) == opens
    ended = client_of(administrator).get("/admin/chat/share/?state=over").content.decode()
    assert (link.row.public_id in ended) != opens


def test_a_day_of_an_end_that_the_ceiling_brought_is_the_ceiling_s(
    link: Link, client_of: Callable[..., Client], alice: Any, settings: Any
) -> None:
    settings.SHARE_MAX_DAYS = 10
    page = client_of(alice).get("/shares/", headers={"Accept-Language": "en"}).content.decode()
    day = timezone.localtime(link.row.created_at + timedelta(days=10))
    assert f"ends on {day:%b}. {day.day}, {day.year}" in page or f"ends on {day:%B} {day.day}, " in page
