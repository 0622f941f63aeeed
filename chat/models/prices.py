"""Prices of tokens: written once, chosen at the time of a call, never applied to the past.

A price holds for one agent or all, one model or all, from a day on in the site's time zone. The
narrowest holds, of these the latest day, of these the row that was written last. Numbers are whole:
millionths of a currency unit for a million tokens, amounts in 10**-9 of a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar

from django.db import connection, models
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

#: Of a price's number: a unit of currency.
UNIT = 10**6
#: Of an amount's number: a unit of currency.
AMOUNT_UNIT = 10**9

Parts = tuple[int | None, int | None, int | None, int | None, int | None]


def shown(amount: int, currency: str) -> str:
    """An amount with its currency, by the active language's rules: two digits, rounded half up, and more
    where it would otherwise be nothing."""
    exact = Decimal(amount) / AMOUNT_UNIT
    digits = 2 if not exact or abs(exact) >= Decimal("0.01") else 6
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{number_format(rounded, digits, use_l10n=True, force_grouping=True)} {currency}".strip()


@dataclass(frozen=True, slots=True)
class Value:
    """What a call is worth, and by which price: all of it empty when none held. `parts` are the prices
    of user, enrichment, output, cached and reasoning tokens."""

    price_id: int | None = None
    currency: str = ""
    parts: Parts = (None, None, None, None, None)
    amount: int | None = None


class Price(models.Model):
    """What a million tokens cost. An empty enrichment or cached price means "as user tokens", an empty
    reasoning price "as output tokens". `agent_id` and `model` empty: for all."""

    agent_id = models.BigIntegerField(_("agent"), null=True, blank=True)
    agent_name = models.CharField(max_length=80, blank=True, default="")
    model = models.CharField(_("model"), max_length=120, blank=True, default="")
    currency = models.CharField(_("currency"), max_length=3)
    user = models.PositiveBigIntegerField(_("user tokens"))
    enrichment = models.PositiveBigIntegerField(_("enrichment tokens"), null=True, blank=True)
    output = models.PositiveBigIntegerField(_("output tokens"))
    cached = models.PositiveBigIntegerField(_("cached tokens"), null=True, blank=True)
    reasoning = models.PositiveBigIntegerField(_("reasoning tokens"), null=True, blank=True)
    valid_from = models.DateField(_("valid from"))
    created_at = models.DateTimeField(_("written"))
    created_by = models.CharField(_("by"), max_length=150, blank=True, default="")

    class Meta:
        ordering = ("-valid_from", "-pk")
        verbose_name = _("price")
        verbose_name_plural = _("prices")

    def __str__(self) -> str:
        return f"{self.agent_name or '*'} {self.model or '*'} {self.valid_from}"

    @property
    def parts(self) -> Parts:
        """The price of each kind, with what stands in for those left empty."""
        return (
            self.user,
            self.user if self.enrichment is None else self.enrichment,
            self.output,
            self.user if self.cached is None else self.cached,
            self.output if self.reasoning is None else self.reasoning,
        )


class Prices:
    """All prices there are. They are few and never change, so the process keeps them while no new one
    is written."""

    _known: ClassVar[tuple[Any, Prices] | None] = None

    def __init__(self, rows: list[Price]) -> None:
        self._rows = rows

    @classmethod
    def now(cls) -> Prices:
        """What holds as of this transaction."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM chat_price ORDER BY id DESC LIMIT 1")
            return cls.after(cursor.fetchone())

    @classmethod
    def after(cls, newest: tuple[Any, ...] | None) -> Prices:
        """The same, where the newest price's row was read already; None when there is none."""
        if newest is None:
            return cls([])
        # By the whole row, because another database may use its key again.
        if cls._known is None or cls._known[0] != newest:
            cls._known = (newest, cls(list(Price.objects.all())))
        return cls._known[1]

    def of(self, agent_id: int | None, model: str, day: date) -> Price | None:
        """The price that holds for an agent and model on a day of the site's time zone."""
        fitting = [
            row for row in self._rows
            if row.valid_from <= day and row.agent_id in (None, agent_id) and row.model in ("", model)
        ]  # fmt: skip
        narrowest = lambda row: (row.agent_id is not None, row.model != "", row.valid_from, row.pk)  # noqa: E731
        return max(fitting, key=narrowest, default=None)

    def value_of(self, entry: Any) -> Value:
        """What a ledger entry is worth on the day its call began."""
        if not self._rows:
            return Value()
        price = self.of(
            entry.agent_id,
            entry.model,
            timezone.localtime(entry.started_at, timezone.get_default_timezone()).date(),
        )
        if price is None:
            return Value()
        return Value(price.pk, price.currency, price.parts, amount_of(price.parts, entry))


def amount_of(parts: Parts, entry: Any) -> int | None:
    """The worth of an entry's tokens, rounded half up once; None when nothing is known of them.

    Cached tokens are a part of the user's and reasoning tokens of the output's: each is paid once.
    """
    user, enrichment, output = entry.user_tokens, entry.enrichment_tokens, entry.output_tokens
    if user is None and enrichment is None and output is None:
        return None
    cached = min(entry.cached_tokens or 0, user or 0)
    reasoning = min(entry.reasoning_tokens or 0, output or 0)
    counts = ((user or 0) - cached, enrichment or 0, (output or 0) - reasoning, cached, reasoning)
    exact = sum(count * (price or 0) for count, price in zip(counts, parts, strict=True))
    return (exact * AMOUNT_UNIT + UNIT * UNIT // 2) // (UNIT * UNIT)


__all__ = ["AMOUNT_UNIT", "UNIT", "Price", "Prices", "Value", "amount_of", "shown"]
