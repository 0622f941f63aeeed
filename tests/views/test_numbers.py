"""Numbers in templates read as they do in the page's own modules."""

from __future__ import annotations

import pytest
from django.utils import translation

from chat.templatetags.page import count, duration


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "under 0.1 s"),
        (49, "under 0.1 s"),
        (50, "0.1 s"),
        (6549, "6.5 s"),
        (6550, "6.6 s"),
        (6650, "6.7 s"),
        (125_500, "2 min 6 s"),
    ],
)
def test_it_rounds_halves_of_a_duration_up(milliseconds, text):
    with translation.override("en"):
        assert duration(milliseconds) == text


def test_it_groups_counts_as_the_language_does():
    with translation.override("en"):
        assert count(1204) == "1,204"
    with translation.override("pt-br"):
        assert count(1204) == "1.204"
    assert count(None) == ""
