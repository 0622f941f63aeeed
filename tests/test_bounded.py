"""The bounded cache: how much it keeps, and what goes first."""

from __future__ import annotations

from chat.bounded import Kept


def test_what_was_not_used_longest_goes_first() -> None:
    kept: Kept[str] = Kept(10)
    kept.put("a", "A", 4)
    kept.put("b", "B", 4)
    assert kept.get("a") == "A"
    kept.put("c", "C", 4)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), kept.size) == ("A", None, "C", 8)


def test_what_is_too_large_is_not_kept_and_drives_nothing_else_out() -> None:
    kept: Kept[str] = Kept(10)
    kept.put("a", "A", 4)
    kept.put("b", "too large", 11)
    assert (kept.get("a"), kept.get("b"), kept.size) == ("A", None, 4)
    kept.put("a", "too large", 11)
    assert (kept.get("a"), kept.size) == (None, 0), "what was there is not true any more"
    kept.put("a", "as large", 10)
    assert (kept.get("a"), kept.size) == ("as large", 10)


def test_what_is_put_again_counts_once() -> None:
    kept: Kept[str] = Kept(10)
    for size in (4, 6, 5):
        kept.put("a", str(size), size)
    assert (kept.get("a"), kept.size) == ("5", 5)
