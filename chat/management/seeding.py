"""A believable year of a team of 60, made up: people, teams, agents, prices and what they used.

The same every time but for its last day. It knows how a working year looks and nothing of tables.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

TEAMS: Final = {
    "Platform": 14, "Payments": 12, "Data": 10, "Mobile": 9, "Support": 8, "Finance": 7,
}  # fmt: skip
FIRST_NAMES: Final = (
    "Ana", "Bruno", "Camila", "Diego", "Elisa", "Fábio", "Gabriela", "Heitor", "Isabela", "João", "Karina",
    "Lucas", "Marina", "Nelson", "Olívia", "Paulo", "Rafaela", "Sérgio", "Tatiana", "Vinícius",
)  # fmt: skip
LAST_NAMES: Final = ("Almeida", "Barbosa", "Castro", "Duarte", "Esteves", "Ferraz", "Gomes", "Lima", "Moraes")

#: name, kind, model, share of all calls, user, enrichment and output tokens of a usual call
AGENTS: Final = (
    ("Architect", "stackspot", "", 30, 900, 3200, 650),
    ("Code reviewer", "stackspot", "", 26, 2400, 1500, 480),
    ("Support helper", "stackspot", "", 14, 240, 5200, 310),
    ("Data analyst", "openai", "analyst-large", 18, 1800, None, 900),
    ("Translator", "openai", "words-small", 12, 520, None, 560),
)
#: Millionths of a unit for a million tokens: user, enrichment, output, cached; from the first day and
#: from the middle of the year.
PRICES: Final = {
    "Architect": ((3_000_000, None, 12_000_000, None), (2_500_000, 2_000_000, 10_000_000, None)),
    "Code reviewer": ((3_000_000, None, 12_000_000, None), (2_500_000, 2_000_000, 10_000_000, None)),
    "Support helper": ((1_000_000, 500_000, 4_000_000, None),),
    "Data analyst": ((5_000_000, None, 15_000_000, 1_250_000), (4_000_000, None, 14_000_000, 1_000_000)),
}
CURRENCY: Final = "USD"

#: How busy an hour of a working day is, by the office's clock (UTC-3).
HOURS: Final = (
    0.2,
    0.1,
    0.1,
    0.1,
    0.1,
    0.2,
    0.6,
    2,
    6,
    10,
    11,
    10,
    5,
    7,
    11,
    11,
    10,
    8,
    4,
    2,
    1.2,
    0.9,
    0.6,
    0.4,
)
WEEKDAYS: Final = (10, 11, 11, 10, 8, 0.6, 0.4)
OFFICE: Final = timedelta(hours=-3)
HOLIDAYS: Final = {(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25)}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up. `appetite` is how much one asks beside the others."""

    username: str
    first_name: str
    last_name: str
    team: str
    appetite: float


def people(seed: int = 1) -> list[Person]:
    """Sixty of them; a few ask most."""
    chance = random.Random(seed)  # noqa: S311 (nothing secret)
    teams = [team for team, size in TEAMS.items() for _ in range(size)]
    found = []
    for number, team in enumerate(teams):
        first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number * 7 % len(LAST_NAMES)]
        name = f"{first}.{last}".lower().translate(str.maketrans("áâãéíóôõúç", "aaaeiooouc"))
        username = f"{name}{number // len(FIRST_NAMES) or ''}"
        found.append(Person(username, first, last, team, chance.lognormvariate(0, 1)))
    return found


def hours_of_year(end: datetime, count: int) -> Iterator[tuple[datetime, int]]:
    """The hours of the year that ends with `end`, and how many of `count` calls end in each."""
    first = (end - timedelta(days=365)).replace(minute=0, second=0, microsecond=0)
    hours = [first + timedelta(hours=n) for n in range(365 * 24 + 1) if first + timedelta(hours=n) < end]
    sums = list(accumulate(_busy(hour, n / len(hours)) for n, hour in enumerate(hours)))
    before = 0
    for hour, sum_ in zip(hours, sums, strict=True):
        until = round(count * sum_ / sums[-1])
        yield hour, until - before
        before = until


def _busy(hour: datetime, part: float) -> float:
    local = hour + OFFICE
    day = 0.3 if (local.month, local.day) in HOLIDAYS else WEEKDAYS[local.weekday()]
    return HOURS[local.hour] * day * (0.5 + part)  # it grows over the year


@dataclass(frozen=True, slots=True)
class MadeUp:
    """One call: who (index of people), which agent (index of AGENTS), and what came of it."""

    person: int
    agent: int
    ended_at: datetime
    duration_ms: int
    first_delta_ms: int | None
    user_tokens: int | None
    enrichment_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    outcome: str
    error_code: str
    certainty: str
    purpose: str
    reasoning_tokens: None = None


#: Shares out of a thousand: outcome, code, certainty.
ENDS: Final = (
    (938, "completed", "", "reported"), (6, "completed", "", "unknown"), (22, "stopped", "", "estimated"),
    (9, "failed", "busy", "unknown"), (8, "failed", "no_answer", "unknown"),
    (7, "failed", "stalled", "reported"),
    (6, "failed", "agent_unavailable", "unknown"), (4, "interrupted", "interrupted_restart", "unknown"),
)  # fmt: skip
PURPOSES: Final = ((86, "answer"), (7, "again"), (4, "continued"), (2, "batch"), (1, "command"))


def calls(end: datetime, count: int, staff: list[Person], seed: int = 2) -> Iterator[MadeUp]:
    """`count` calls of a year, in the order of their ends."""
    chance = random.Random(seed)  # noqa: S311 (nothing secret)
    uniform, normal = chance.random, chance.lognormvariate
    who, asked = _chooser([p.appetite for p in staff]), _chooser([agent[3] for agent in AGENTS])
    ended, why = _chooser([end[0] for end in ENDS]), _chooser([purpose[0] for purpose in PURPOSES])
    for hour, number in hours_of_year(end, count):
        for second in sorted(uniform() * 3600 for _ in range(number)):
            agent = asked(uniform())
            _, _, _, _, user, enrichment, output = AGENTS[agent]
            _, outcome, code, certainty = ENDS[ended(uniform())]
            scale = normal(0, 0.8)
            known = certainty != "unknown"
            answered = certainty != "unknown" or outcome == "completed"
            yield MadeUp(
                who(uniform()), agent, hour + timedelta(seconds=second), int(2500 * scale) + 300,
                int(700 * normal(0, 0.7)) if answered else None,
                int(user * scale) + 1 if known else None,
                int(enrichment * scale) if known and enrichment and certainty == "reported" else None,
                int(output * normal(0, 0.6)) + 1 if known else None,
                int(user * scale * uniform()) if known and enrichment is None else None,
                outcome, code, certainty, PURPOSES[why(uniform())][1],
            )  # fmt: skip


def _chooser(weights: list[Any]) -> Any:
    sums = list(accumulate(weights))
    return lambda part: bisect(sums, part * sums[-1])


def price_days(end: datetime) -> tuple[date, date]:
    """From when the first and the second prices hold."""
    return (end - timedelta(days=366)).date(), (end - timedelta(days=180)).astimezone(UTC).date()
