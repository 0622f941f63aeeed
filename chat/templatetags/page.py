"""Numbers as a person reads them, for the templates: counts, durations, shares of a token bar.

What it must not do: read a row or decide what is shown. The page's modules format the same
numbers with Intl; both follow the language of the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from django import template
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from chat.importmap import IMPORTS

register = template.Library()

#: Length of the token bar in its own units; the drawing is scaled by CSS.
BAR = 100

#: What the chat page imports at once; rendering, maths and code colours come when an answer has need of them.
FIRST_MODULES = tuple(
    f"stkweb/{name}"
    for name in (
        "app",
        "ui",
        "thread",
        "net",
        "parts",
        "transcript",
        "rendering",
        "composer",
        "files",
        "sidebar",
        "verbs",
        "controls",
    )
)


class Share(NamedTuple):
    """One kind of tokens: `tokens` None is "not reported"; `x` and `width` place it in the bar."""

    kind: str
    tokens: int | None
    x: float
    width: float


@register.filter
def count(value: int | None) -> str:
    """A count with the thin separators of the language; the empty string for None."""
    return "" if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def duration(milliseconds: int | None) -> str:
    """Milliseconds as "under 0.1 s", "0.4 s", "9.4 s", "2 min 5 s"; the empty string for None."""
    if milliseconds is None:
        return ""
    # Halves go up, as in the page's own module: the same answer never reads 6.5 s here and 6.6 s there.
    tenths = (milliseconds + 50) // 100
    if not tenths:
        return _("under %(seconds)s s") % {"seconds": number_format(0.1, decimal_pos=1, use_l10n=True)}
    if milliseconds < 60_000:
        return _("%(seconds)s s") % {"seconds": number_format(tenths / 10, decimal_pos=1, use_l10n=True)}
    minutes, seconds = divmod((milliseconds + 500) // 1000, 60)
    return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds}


@register.filter
def size(number_of_bytes: int) -> str:
    """Bytes as "812 B", "48 KB", "3.2 MB"; 1024 of one are the next."""
    step = 0 if number_of_bytes < 1024 else 1 if number_of_bytes < 1024**2 else 2
    value = number_of_bytes / 1024**step
    if step < 2:
        return f"{count(ceil(value))}\u00a0{'B' if not step else 'KB'}"
    tenths = int(value * 10 + 0.5)
    decimals = 1 if tenths % 10 else 0
    return f"{number_format(tenths / 10, decimal_pos=decimals, use_l10n=True)}\u00a0MB"


@register.filter
def shares(usage: Mapping[str, Any] | None) -> list[Share]:
    """The three kinds of tokens of one answer, placed side by side; [] where nothing was reported."""
    if not usage:
        return []
    counts = [(kind, usage.get(kind)) for kind in ("user", "enrichment", "output")]
    whole = sum(value or 0 for _kind, value in counts)
    placed: list[Share] = []
    x = 0.0
    for kind, value in counts:
        width = BAR * (value or 0) / whole if whole else 0.0
        placed.append(Share(kind, value, x, width))
        x += width
    return placed


@register.filter
def svg(value: float) -> SafeString:
    """A number for an SVG attribute: a full stop in every language."""
    return mark_safe(f"{value:.2f}")  # noqa: S308 - a formatted float holds no markup


@register.simple_tag
def import_map() -> SafeString:
    """The page's import map as JSON: each bare module name and the hashed address behind it."""
    imports = {name: static(path) for name, path in IMPORTS.items()}
    return mark_safe(json.dumps({"imports": imports}).replace("<", "\\u003c"))  # noqa: S308 - our own names


@register.simple_tag
def module_urls() -> list[str]:
    """Addresses of the modules every chat page needs, fetched at once instead of one after another."""
    return [static(IMPORTS[name]) for name in FIRST_MODULES if name in IMPORTS]
