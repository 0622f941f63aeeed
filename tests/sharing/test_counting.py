"""What is counted, and for which link: openings of a limited number, and wrong passphrases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chat.actions import share_reading
from chat.models import Conversation, Share
from tests.sharing.conftest import PASSPHRASE, Link

pytestmark = pytest.mark.django_db


def test_the_last_opening_is_given_to_one_of_two_who_found_the_link_open(
    conversation: Conversation, share: Callable[..., Link]
) -> None:
    link = share(conversation, max_openings=1)
    reader = share_reading.Reader(None, "203.0.113.0/24")
    both = [share_reading.find(link.token, reader) for _ in range(2)]
    assert [found is not None and share_reading.count(found, reader) for found in both] == [True, False]
    assert Share.objects.get().openings == 1


def test_wrong_passphrases_of_one_link_shut_no_other(
    conversation: Conversation, share: Callable[..., Link], client: Client, settings: Any
) -> None:
    tried, other = (share(conversation, passphrase=PASSPHRASE) for _ in range(2))
    for _ in range(settings.SHARE_PASSPHRASE_TRIES):
        client.post(tried.path, {"passphrase": "a rainy afternoon"})
    right = {"passphrase": PASSPHRASE}
    assert client.post(tried.path, right).status_code == 404
    assert client.post(other.path, right).status_code == 200
