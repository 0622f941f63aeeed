"""One log record is one line: control characters are escaped, whoever wrote them.

An answer or an upstream's error text may carry CR, LF, ANSI or OSC sequences; none of them may
begin a second record or move the reader's terminal.
"""

from __future__ import annotations

import logging
import re

import redis.exceptions

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

#: The address of a share link is its key, and a log line must not hold it.
_SHARE = re.compile(r"/s/[A-Za-z0-9_-]{20,}")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class OutageFilter(logging.Filter):
    """A connection that broke is told in one line: it was to be expected, and its traceback says nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError | redis.exceptions.ConnectionError | redis.exceptions.TimeoutError):
            record.msg, record.args = "%s: %s", (record.getMessage(), type(error).__name__)
            record.exc_info = record.exc_text = None
        return True


class LineFormatter(logging.Formatter):
    """`time level logger: message`; a traceback follows on lines of its own, indented by a tab."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        line = super().formatMessage(record).replace("\n", "\\n").replace("\t", "\\t")
        return _SHARE.sub("/s/…", _CONTROL.sub(_escape, line))

    def formatException(self, ei: object) -> str:  # noqa: N802 (logging's own name)
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join("\t" + _CONTROL.sub(_escape, line) for line in text.splitlines())
