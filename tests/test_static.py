"""What is served of our modules."""

from __future__ import annotations

from stkweb.static import bare


def test_comments_that_fill_whole_lines_are_not_served() -> None:
    module = b"""// @ts-check
/**
 * What it is for.
 */
import { h } from "stkweb/ui";

  /** one line */
  // another
/** @type {number} */ let kept = 1; /* as it shares its line */
const address = "https://example.com/"; // this too
/** gone */
"""
    assert (
        bare(module)
        == b"""import { h } from "stkweb/ui";

/** @type {number} */ let kept = 1; /* as it shares its line */
const address = "https://example.com/"; // this too
"""
    )
