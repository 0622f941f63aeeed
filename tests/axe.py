"""What axe-core finds in a page that a browser shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()


def violations(page: Any) -> list[str]:
    """Rule, element and why."""
    page.evaluate(_AXE)
    found = page.evaluate(
        """async () => {
        const options = { resultTypes: ["violations"], iframes: false, preload: false };
        const result = await axe.run(document, options);
        return result.violations.flatMap((rule) => rule.nodes.map(
            (node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
    }"""
    )
    return list(found)
