"""CSV and JSON of any view of the audit, sent as they are read, with a manifest that says what they are.

Memory stays flat whatever their length. A cell of text that a spreadsheet would take for a formula begins
with an apostrophe. The manifest is part of a JSON file and of a ZIP; that of a CSV is found by its number.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from threading import Lock
from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone

from chat import audit, trail
from chat.actions.recording import record
from chat.admin.audit import tables
from chat.admin.audit.query import Query
from chat.models import LedgerEntry, new_id
from chat.models.prices import Price
from chat.threads import write_transaction

FORMATS: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json", "zip": "application/zip"}
#: Version of columns and manifest.
SCHEMA: Final = 1
#: What makes a spreadsheet calculate, also behind the spaces that some of them drop.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
#: Excel reads UTF-8 as UTF-8 when this comes first.
_MARK: Final = "\ufeff".encode()

Rows = Iterator[list[list[Any]]]


def safe(value: Any) -> Any:
    """A cell that no spreadsheet calculates; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value


class Export:
    """One file on its way. Iterate over it once; both its beginning and its end are in the audit log."""

    def __init__(self, request: HttpRequest, query: Query, form: str) -> None:
        self.request, self.query, self.form = request, query, form
        self.number = new_id()
        self.until = LedgerEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self.rows = 0
        self.columns, self._read = self._source()
        self.manifest = self._manifest()
        self._parts = self._made()
        self._reading = Lock()
        self._record("export.begun", {"filter": self.manifest["filter"], "format": form})

    @property
    def name(self) -> str:
        """The file's name."""
        query = self.query
        return f"stkweb-{query.view}-{query.first_day}-{query.last_day}.{self.form}"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._reading:
            return next(self._parts)

    def close(self) -> None:
        """Whoever took it has it, or left; a part that is being read in another thread is awaited."""
        with self._reading:
            self._parts.close()

    def _made(self) -> Generator[bytes, None, None]:
        write: dict[str, Callable[[], Iterator[bytes]]] = {
            "csv": self._csv, "json": self._json, "zip": self._zip,
        }  # fmt: skip
        finished = False
        try:
            yield from (part for part in write[self.form]() if part)
            finished = True
        finally:
            if finished:
                self._record("export.finished", {"manifest": self.manifest})
            else:
                self._record("export.broken_off", {"rows": self.rows})

    # -- what is in it ---------------------------------------------------------------------------

    def _source(self) -> tuple[list[str], Rows]:
        if self.query.view == "calls":
            pages = tables.calls(self.query, self.until)
            return list(tables.CALL), ([tables.call_values(row) for row in page] for page in pages)
        groups = {self.query.view} & {*audit.BY}
        found = audit.report(self.query.filter, self.query.known, by=groups | {"person"})
        made = [tables.values(self.query, line, found) for line in tables.lines(self.query, found)]
        return tables.columns(self.query, found), iter([made] if made else [])

    def _manifest(self) -> dict[str, Any]:
        query = self.query
        chosen = {name: value for name, value in query.given.items() if name not in ("period", "from", "to")}
        return {
            "export": self.number,
            "schema": SCHEMA,
            "made_at": timezone.now().isoformat(),
            "made_by": self.request.user.get_username(),
            "view": query.view,
            "filter": {
                "from": query.filter.start.isoformat(), "to": query.filter.end.isoformat(), **chosen,
            },
            "time_zone": str(query.filter.zone),
            "period_complete": query.complete,
            "ledger_until": self.until,
            "columns": self.columns,
            "prices": [
                {
                    "id": price.pk, "agent": price.agent_name, "model": price.model,
                    "currency": price.currency, "valid_from": price.valid_from.isoformat(),
                    "millionths_a_million_tokens": dict(
                        zip(("user", "enrichment", "output", "cached", "reasoning"), price.parts, strict=True)
                    ),
                }
                for price in Price.objects.order_by("pk")
            ],
        }  # fmt: skip

    def _close(self, checksum: str, of: str) -> None:
        self.manifest |= {"rows": self.rows, "sha256": checksum, "sha256_of": of}

    def _record(self, action: str, data: dict[str, Any]) -> None:
        # The answer is sent after its request has left the middleware.
        with trail.serving(self.request), write_transaction():
            record(action, f"export:{self.number}", data)

    # -- how it is written -----------------------------------------------------------------------

    def _body(self) -> Iterator[bytes]:
        """The CSV itself; afterwards the manifest is whole."""
        digest = hashlib.sha256()
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow(self.columns)
        part = _MARK + buffer.getvalue().encode()
        digest.update(part)
        yield part
        for page in self._read:
            buffer.seek(0)
            buffer.truncate()
            writer.writerows([safe(tables.written(value)) for value in row] for row in page)
            self.rows += len(page)
            part = buffer.getvalue().encode("utf-8", "replace")
            digest.update(part)
            yield part
        self._close(digest.hexdigest(), "the CSV file")

    def _csv(self) -> Iterator[bytes]:
        return self._body()

    def _json(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        yield b'{"rows":['
        for page in self._read:
            lines = [
                json.dumps(dict(zip(self.columns, map(tables.written, row), strict=True)), ensure_ascii=False)
                for row in page
            ]
            part = (("," if self.rows else "") + ",\n".join(lines)).encode("utf-8", "replace")
            self.rows += len(page)
            digest.update(part)
            yield part
        self._close(digest.hexdigest(), "what stands between the brackets of rows")
        yield b'],\n"manifest":' + json.dumps(self.manifest, ensure_ascii=False).encode() + b"}\n"

    def _zip(self) -> Iterator[bytes]:
        sink: Any = _Sink()
        with closing(zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)) as archive:
            with archive.open(f"{self.name.removesuffix('.zip')}.csv", "w", force_zip64=True) as member:
                for part in self._body():
                    member.write(part)
                    yield sink.take()
            archive.writestr("manifest.json", json.dumps(self.manifest, ensure_ascii=False, indent=2))
        yield sink.take()


class _Sink:
    """A file that is only written to, and emptied as it is sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """There is nothing behind it."""

    def take(self) -> bytes:
        """What was written since."""
        taken, self._parts = b"".join(self._parts), []
        return taken
