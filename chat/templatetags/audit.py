"""Numbers of the audit pages as a person reads them. What it must not do: add anything up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import template
from django.utils import formats, timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from chat.models import State, prices
from chat.models.prices import UNIT

register = template.Library()


def _rounded(value: float, digits: int = 1) -> str:
    """Django's number_format cuts a float off where it should round it."""
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return number_format(exact, decimal_pos=digits, use_l10n=True, force_grouping=True)


@register.filter
def tokens(value: int | None) -> str:
    """A count with separators; a dash where nothing was reported, which is not 0."""
    return "–" if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def money(amount: int | None, currency: str = "") -> str:
    """An amount of the ledger with two digits, more where it would otherwise be nothing."""
    return "–" if amount is None else prices.shown(amount, currency)


@register.filter
def part(value: float | None) -> str:
    """A part of a whole as a percentage with one digit."""
    return "–" if value is None else f"{_rounded(value * 100)} %"


@register.filter
def changed(value: float | None) -> str:
    """A change against the period before, with its sign."""
    if value is None:
        return ""
    if value >= 99:
        return _("over × 100")  # there was next to nothing before
    if value >= 9.995:
        return _("× %s") % _rounded(value + 1, 0)
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    digits = 0 if abs(value) >= 0.0995 else 1
    return f"{sign}{_rounded(abs(value) * 100, digits)} %"


@register.filter
def milliseconds(value: int | None) -> str:
    """A time as seconds with one digit."""
    return "–" if value is None else _("%s s") % _rounded(value / 1000)


@register.filter
def bound(value: int | None) -> str:
    """The upper bound of a class of times, in seconds."""
    return "–" if value is None else f"≤ {number_format(value / 1000, use_l10n=True)}"


@register.filter
def measured(value: int, budget: Any) -> str:
    """A number of a budget: tokens, or money in its currency."""
    return str(budget.shown(value))


@register.filter
def of(mapping: Any, key: str) -> Any:
    """A member of a mapping; None where there is none."""
    return mapping.get(key)


@register.filter
def moment(seconds: int) -> str:
    """Seconds since 1970 as a date of the page's time zone."""
    if not seconds:
        return "–"
    return formats.date_format(timezone.localtime(datetime.fromtimestamp(seconds, UTC)), "SHORT_DATE_FORMAT")


@register.filter
def outcome_name(value: str) -> Any:
    """How a call ended, in words."""
    return State(value).label if value in State.values else value


@register.filter
def unit_price(value: int | None, currency: str) -> str:
    """A price of the ledger: millionths of a unit for a million tokens."""
    if value is None:
        return "–"
    exact = Decimal(value) / UNIT
    text = number_format(exact.normalize() + Decimal(0), use_l10n=True, force_grouping=True)
    return f"{text} {currency}"
