"""Days and hours are the person's own, whatever the server's clock shows (UX 29)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chat.strings import strings
from chat.views.pages import groups_of
from tests.browser.stage import Stage

#: Call a function of the page's modules; the browser is in São Paulo.
CALL = """async ([name, ...values]) => {
  const module = await import("stkweb/ui");
  const dates = values.map((value) => new Date(value));
  return module[name](...dates);
}"""


@pytest.mark.parametrize(
    ("then", "now", "days"),
    [
        ("2026-03-02T02:30Z", "2026-03-02T02:59Z", 0),  # both are the evening of the first of March
        ("2026-03-02T02:59Z", "2026-03-02T03:01Z", 1),  # a midnight between them
        ("2026-03-01T03:01Z", "2026-03-02T02:59Z", 0),
        ("2018-11-04T02:30Z", "2018-11-04T03:30Z", 1),  # summer time began at that midnight
        ("2018-11-03T03:30Z", "2018-11-05T01:30Z", 1),
        ("2018-02-17T12:00Z", "2018-02-18T12:00Z", 1),  # and ended: a day of 25 hours
        ("2026-03-03T12:00Z", "2026-03-02T12:00Z", 0),  # a clock that is ahead
    ],
)
def test_a_day_ends_at_the_persons_own_midnight(modules: Any, then: str, now: str, days: int) -> None:
    assert modules.evaluate(CALL, ["daysAgo", then, now]) == days


def test_an_hour_is_told_in_the_persons_zone_and_names_it(modules: Any) -> None:
    assert modules.evaluate(CALL, ["time", "2020-03-02T02:30Z"]).endswith("23:30")
    whole = modules.evaluate(CALL, ["wholeTime", "2020-03-02T02:30Z"])
    assert "1 March 2020" in whole and "23:30:00" in whole and "GMT-3" in whole


def test_the_list_has_the_same_groups_before_the_modules_run(drawn_page: Callable[..., Stage]) -> None:
    stage = drawn_page()
    stage.open()
    now = timezone.now()
    moments = [now - timedelta(days=days) for days in (0, 1, 2, 6, 7, 8, 70)]
    listed = [{"id": f"01C{n}", "title": f"Number {n}", "updated_at": one} for n, one in enumerate(moments)]
    for entry in listed:
        stage.tell_list("created", {**entry, "updated_at": entry["updated_at"].isoformat(), "state": "idle"})
    stage.page.wait_for_function("() => document.querySelectorAll('.conversation').length === 7")
    shown = stage.page.evaluate("""() => [...document.querySelectorAll('#conversations section')].map((one) =>
        [one.querySelector('h2').textContent, one.querySelectorAll('li').length])""")
    drawn = [[group["label"], len(group["conversations"])] for group in groups_of(listed, strings())]
    assert shown == drawn
