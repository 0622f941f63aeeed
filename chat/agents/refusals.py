"""What an upstream's refusal means: status, headers and body to one `AgentError`. No I/O.

Used for answers with an error status and for error objects inside a stream that began well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .errors import AgentError, without
from .values import Usage

# Enough for every error object seen; a gateway's HTML page is cut here.
BODY_BYTES: Final = 8_192

_CREDIT = re.compile(r"(?i)credit[ _-]?limit|insufficient[ _]quota|exceeded your current quota|billing")
_BUSY = re.compile(r"(?i)rate[ _-]?limit|too ?many ?requests")
_TOO_LONG = re.compile(
    r"(?i)context[ _]length|context window|prompt is too long|tokens? exceeds?|limit of \d+ tokens"
)
_LIMIT = re.compile(r"(?i)(?:limit of|context length is|maximum of|maximum:?) ?(\d{1,12}) tokens?")
_SIZE = re.compile(r"(?i)(?:resulted in|requested|you have|contains?) (\d{1,12}) (?:input )?tokens?")
_FILTERED = re.compile(r"(?i)content[ _-]?(?:filter|policy|management)|responsible ?ai")

_BY_STATUS: Final[Mapping[int, str]] = {
    401: "credentials",
    403: "forbidden",
    404: "agent_not_found",
    408: "no_answer",
    413: "prompt_too_long",
    429: "busy",
}


def error_text(body: Any) -> str:
    """The code and the words of an error object, in every shape seen; "" when it has none."""
    if isinstance(body, str):
        return body
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error")
    if isinstance(inner, Mapping):
        body = inner
    words = []
    for key in ("code", "type", "details", "detail", "message", "error", "error_description"):
        value = body.get(key)
        if isinstance(value, int | str) and not isinstance(value, bool) and value != "":
            # {"type": "error"} says nothing that is not known.
            if not (key == "type" and (value == "error" or "code" in body)):
                words.append(str(value))
        elif isinstance(value, list | dict) and value:
            words.append(_compact(value))
    return ": ".join(words)


def _compact(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:1_000]
    except (ValueError, RecursionError):  # nested without end
        return ""


def refusal(
    status: int | None,
    text: str,
    *,
    retry_after: float | None = None,
    secrets: Iterable[str] = (),
    usage: Usage | None = None,
) -> AgentError:
    """The error for a refusal that says `text`.

    `status` is None for an error inside a stream. `secrets` are blotted out of the detail.
    """
    params: dict[str, int] = {}
    code = _code(status, text)
    if code == "prompt_too_long":
        if (limit := _LIMIT.search(text)) is not None:
            params["limit"] = int(limit[1])
        if (size := _SIZE.search(text)) is not None:
            params["size"] = int(size[1])
    return AgentError(
        code,
        detail=without(secrets, text),
        status=status,
        retry_after=retry_after,
        usage=usage,
        params=params,
    )


def _code(status: int | None, text: str) -> str:
    said_no = status is None or status in (400, 402, 413, 422, 429)
    if (said_no and _CREDIT.search(text)) or status == 402:
        return "credit"
    if status is None and _BUSY.search(text):
        return "busy"
    if said_no and status != 429:
        if _TOO_LONG.search(text):
            return "prompt_too_long"
        if _FILTERED.search(text):
            return "filtered"
    if status is None:
        return "agent_failed"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return "agent_unavailable"
    if status >= 400:
        return "rejected"
    # A redirect is never followed: the credentials would go to another host.
    return "agent_misconfigured" if status >= 300 else "protocol"


def refusal_of_response(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str] = ()
) -> AgentError:
    """The error for an HTTP answer that is not a stream. `body` may be cut at `BODY_BYTES`."""
    raw = body[:BODY_BYTES].decode("utf-8", "replace")
    try:
        text = error_text(json.loads(raw)) or raw
    except (ValueError, RecursionError):
        text = raw
    if 300 <= status < 400:
        text = f"redirect refused: {headers.get('Location', '')}"
    return refusal(
        status,
        text if text.strip() else f"HTTP {status}",
        retry_after=retry_after_seconds(headers.get("Retry-After")),
        secrets=secrets,
    )


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header: a number or an HTTP date. None for junk, never negative."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
