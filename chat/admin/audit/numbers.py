"""The numbers at the head of the audit, each with the period before: tokens, cost, calls, how much of it was
measured. The fifth, the budget, is in chat/audit/allowances.py: its period is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat import audit
from chat.admin.audit.tables import change, knowledge


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: `x` and `width` in hundredths of it."""

    kind: str
    value: int | None
    x: float
    width: float

    @property
    def share(self) -> float | None:
        """Its part of the whole; None where nothing was reported of it, or nothing at all."""
        return self.width / 100 if self.value is not None and self.width else None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in 10**-9 of `currency`, and how it changed."""

    currency: str
    amount: int
    change: float | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the head shows."""

    total: audit.Sums
    past: audit.Sums
    tokens_change: float | None
    calls_change: float | None
    tokens: list[Part]
    outcomes: list[Part]
    certainties: list[Part]
    costs: list[Money]
    unpriced: int
    measured: float | None
    measured_before: float | None
    knowledge: float | None


def numbers(now: audit.Sums, past: audit.Sums) -> Numbers:
    """The numbers of two periods."""
    certainties = [(name, now.certainties.get(name, 0)) for name in ("reported", "estimated", "unknown")]
    outcomes = [
        (name, now.outcomes.get(name, 0)) for name in ("completed", "stopped", "failed", "interrupted")
    ]
    kinds = [
        ("user", now.user_tokens), ("enrichment", now.enrichment_tokens), ("output", now.output_tokens),
    ]  # fmt: skip
    return Numbers(
        total=now,
        past=past,
        tokens_change=change(now.tokens, past.tokens),
        calls_change=change(now.calls, past.calls),
        tokens=bar(kinds),
        outcomes=bar(outcomes),
        certainties=bar(certainties),
        costs=[
            Money(currency, amount, change(amount, past.amounts.get(currency)))
            for currency, amount in sorted(now.amounts.items())
        ],
        unpriced=now.calls - now.priced,
        measured=_measured(now),
        measured_before=_measured(past),
        knowledge=knowledge(now),
    )


def _measured(sums: audit.Sums) -> float | None:
    return sums.certainties.get("reported", 0) / sums.calls if sums.calls else None


def bar(parts: Sequence[tuple[str, int | None]]) -> list[Part]:
    """Parts side by side, a hundred wide together."""
    whole, x, made = sum(value or 0 for _, value in parts), 0.0, []
    for kind, value in parts:
        width = 100 * (value or 0) / whole if whole else 0.0
        made.append(Part(kind, value, x, width))
        x += width
    return made
