"""The provider's export against the ledger: read a CSV leniently, compare day by day, name a likely cause.

Columns are found by their names in English and Portuguese (docs/audit.md lists them). Nothing of the file is
kept but its checksum in the audit log.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from chat import audit

#: Words that name a column, after accents and signs are taken away; the first column that fits is taken.
WORDS: Final = {
    "day": ("date", "day", "data", "dia", "timestamp", "period", "periodo", "createdat", "starttime",
            "starttimeiso", "month", "mes"),
    "total": ("totaltokens", "tokenstotal", "tokens", "total", "totaldetokens", "consumedtokens",
              "tokensconsumed"),
    "user": ("usertokens", "prompttokens", "inputtokens", "input", "prompt", "tokensdeentrada", "entrada",
             "tokensdeprompt", "ncontexttokenstotal"),
    "enrichment": ("enrichmenttokens", "embeddingtokens", "enrichment", "embedding", "knowledgetokens",
                   "tokensdeenriquecimento", "enriquecimento", "tokensdeembedding"),
    "output": ("outputtokens", "completiontokens", "output", "completion", "tokensdesaida", "saida",
               "generatedtokens", "ngeneratedtokenstotal"),
}  # fmt: skip
#: Rows of a file that are looked at.
MAX_ROWS: Final = 200_000
#: A difference smaller than this part of the day is not explained.
SMALL: Final = 0.001

#: Calls are no cause of a difference that is more than so many times as large as they usually are.
FAR: Final = 10

_NUMBER = re.compile(r"-?(?:\d{1,3}(?:[.,\s\u00a0\u202f]\d{3})+|\d{1,15})(?:[.,]0{1,2})?")


#: A moment that names itself as one of UTC; a month, with the year ahead or behind.
_UTC = re.compile(r"\d{10}(\d{3})?|.*\d(Z|[+-]00:?00| ?UTC)", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4}[-/.]\d{1,2})|(\d{1,2}[-/.]\d{4})")


class Unreadable(Exception):
    """The file cannot be compared; the text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Export:
    """What a file says: tokens a day (`monthly`: a month, under its first day), how many rows were read, and
    how many were not understood. `utc`: its days are those of UTC, by its own account."""

    days: dict[date, int]
    rows: int
    skipped: int
    columns: dict[str, str]
    utc: bool = False
    monthly: bool = False

    @property
    def counted(self) -> list[str]:
        """The columns of the file that were added up."""
        return [name for meaning, name in self.columns.items() if meaning != "day"]


@dataclass(frozen=True, slots=True)
class Line:
    """One day, or the month from `day` to `last`: tokens of both, calls of ours without usage, and why they
    may differ."""

    day: date
    last: date
    provider: int | None
    ledger: int | None
    unknown: int
    cause: str

    @property
    def difference(self) -> int:
        """The provider's minus ours."""
        return (self.provider or 0) - (self.ledger or 0)

    @property
    def part(self) -> float | None:
        """The difference as a part of what the provider counted."""
        return self.difference / self.provider if self.provider else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All days, the totals, and what holds for the whole."""

    lines: list[Line]
    provider: int
    ledger: int
    notes: list[str] = field(default_factory=list)

    @property
    def difference(self) -> int:
        """The provider's minus ours."""
        return self.provider - self.ledger

    @property
    def part(self) -> float | None:
        """The difference as a part of what the provider counted."""
        return self.difference / self.provider if self.provider else None


def read(content: bytes, *, day_first: bool = True) -> Export:
    """Tokens a day of a provider's CSV. `day_first`: 03/04 is the third of April. Raises Unreadable."""
    text = _text(content)
    sample = text[:20_000]
    try:
        dialect: Any = csv.Sniffer().sniff(sample.partition("\n")[0] or sample, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows = csv.reader(io.StringIO(text), dialect)
    try:
        header = next((row for row in rows if len([cell for cell in row if cell.strip()]) > 1), None)
        columns = _columns(header or [])
        return _days(rows, header or [], columns, day_first=day_first)
    except csv.Error as exc:
        raise Unreadable(_("This is not a CSV file.")) from exc


def _text(content: bytes) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16" if wide else "utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding).replace("\x00", "")
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in decomposed if char.isalnum() and not unicodedata.combining(char))


def _columns(header: Sequence[str]) -> dict[str, int]:
    names = [_plain(name) for name in header]
    found: dict[str, int] = {}
    for meaning, words in WORDS.items():
        for word in words:
            if word in names:
                found[meaning] = names.index(word)
                break
    if "day" not in found:
        raise Unreadable(_("No column holds a day: name one of them “date”."))
    if not set(found) & {"total", "user", "output"}:
        raise Unreadable(
            _("No column holds tokens: name them “tokens”, or “input tokens” and “output tokens”.")
        )
    return found


def _days(rows: Any, header: Sequence[str], columns: dict[str, int], *, day_first: bool) -> Export:
    parts = (
        ["total"]
        if "total" in columns
        else [name for name in ("user", "enrichment", "output") if name in columns]
    )
    days: dict[date, int] = {}
    count = skipped = 0
    utc, months = True, 0
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        count += 1
        if count > MAX_ROWS:
            raise Unreadable(_("The file has more than %d rows: export a shorter period.") % MAX_ROWS)
        said, texts = _cell(row, columns["day"]), [_cell(row, columns[name]) for name in parts]
        day, tokens = _day(said, day_first=day_first), [number(text) for text in texts]
        # Nothing at all beside a day is nothing used, as some exports have it.
        if day is None or (any(texts) and all(value is None for value in tokens)):
            skipped += 1
            continue
        utc, months = utc and bool(_UTC.fullmatch(said)), months + bool(_MONTH.fullmatch(said))
        days[day] = days.get(day, 0) + sum(value or 0 for value in tokens)
    if not any(days.values()):
        raise Unreadable(_("No row of the file has both a day and a number of tokens."))
    if months and months != count - skipped:
        raise Unreadable(_("Some rows of the file are of days and others of months."))
    named = {name: header[at] for name, at in columns.items() if name in ("day", *parts)}
    return Export(days, count, skipped, named, utc=utc, monthly=bool(months))


def _cell(row: Sequence[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""


def number(text: str) -> int | None:
    """A whole number with or without separators of thousands, of any locale; None for anything else."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    whole = re.sub(r"[.,]0{1,2}$", "", text)
    return int(re.sub(r"[^\d-]", "", whole))


def _day(text: str, *, day_first: bool) -> date | None:
    match = re.match(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    if match:
        year, month, day = map(int, match.groups())
    elif match := _MONTH.fullmatch(text):
        ahead, behind = match.groups()
        year, month, day = (*map(int, re.split("[-/.]", ahead or behind)), 1)
        if behind:
            year, month = month, year
    elif match := re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", text):
        first, second, year = map(int, match.groups())
        day, month = (first, second) if day_first or first > 12 else (second, first)
        if month > 12:
            day, month = month, day
    elif re.fullmatch(r"\d{10}(\d{3})?", text):
        return (datetime(1970, 1, 1) + timedelta(seconds=int(text[:10]))).date()
    else:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


# -- comparing -------------------------------------------------------------------------------------

CLIENT = gettext_lazy("another client may use the same credential")


def compare(export: Export, filter: audit.Filter) -> Comparison:
    """The file against the ledger's calls of `filter`, whose period is replaced by the file's days."""
    first, last = min(export.days), max(export.days)
    if export.monthly:
        last = _month_end(last)
    wanted = replace(
        filter,
        start=audit.midnight(first, filter.zone),
        end=audit.midnight(last + timedelta(days=1), filter.zone),
    )
    ours: dict[date, audit.Sums] = {}
    for point in audit.series(wanted, "day", what="table"):
        day = point.start.astimezone(filter.zone).date()
        ours.setdefault(day.replace(day=1) if export.monthly else day, audit.Sums()).join(point.sums)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    both = {day: (export.days.get(day, 0), (ours[day].tokens or 0) if day in ours else 0) for day in days}
    lines = []
    for day in days:
        if day not in export.days and day not in ours:
            continue
        sums = ours.get(day, audit.Sums())
        unknown = sums.certainties.get("unknown", 0)
        estimated = sums.certainties.get("estimated", 0)
        cause = _cause(day, both, unknown, estimated, sums)
        until = _month_end(day) if export.monthly else day
        lines.append(Line(day, until, export.days.get(day), sums.tokens, unknown, cause))
    provider, ledger = sum(export.days.values()), sum(sums.tokens or 0 for sums in ours.values())
    return Comparison(lines, provider, ledger, _notes(lines, provider, ledger))


def _month_end(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _cause(
    day: date, both: dict[date, tuple[int, int]], unknown: int, estimated: int, sums: audit.Sums
) -> str:
    theirs, mine = both[day]
    difference = theirs - mine
    if abs(difference) <= SMALL * max(theirs, mine):
        return ""
    for neighbour in (day - timedelta(days=1), day + timedelta(days=1)):
        other = both.get(neighbour)
        if other and other[0] - other[1] and abs(difference + other[0] - other[1]) <= 0.05 * abs(difference):
            return _("the day ends at another hour there: the day beside it differs by as much the other way")
    if theirs == 0:
        return _("the file holds nothing of then: it may be of other agents, or end before")
    if difference > 0 and _explains(unknown, difference, mine, sums.calls - unknown):
        text = ngettext("%d call came without usage", "%d calls came without usage", unknown)
        return text % unknown
    if difference > 0 and mine == 0:
        return _("nothing went through here then: %s") % CLIENT
    if difference > 0:
        return str(CLIENT)
    if _explains(estimated, difference, mine, sums.calls - unknown):
        text = ngettext("%d call was estimated", "%d calls were estimated", estimated)
        return text % estimated
    bad = sum(sums.outcomes.get(name, 0) for name in ("failed", "stopped", "interrupted"))
    if _explains(bad, difference, mine, sums.calls - unknown):
        text = ngettext(
            "%d call failed or was stopped: the provider may not charge it",
            "%d calls failed or were stopped: the provider may not charge them",
            bad,
        )
        return text % bad
    return _("the file may hold a part of the agents, or the day is not over there")


def _explains(calls: int, difference: int, tokens: int, counted: int) -> bool:
    """Whether so many calls can make up a difference, next to those that were counted with `tokens`."""
    return calls > 0 and (not counted or abs(difference) <= FAR * calls * tokens / counted)


def _notes(lines: list[Line], provider: int, ledger: int) -> list[str]:
    differing = [line for line in lines if line.difference]
    if len(differing) > 1 and provider and abs(provider - ledger) <= SMALL * provider:
        return [_("The totals agree and the days do not: the provider's day begins at another hour.")]
    return []
