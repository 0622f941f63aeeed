"""Everything that can go wrong with an agent, as one error with a stable code.

    AgentError
    ├── network    unreachable            DNS, refused connection, TLS
    │              connection_lost        cut in the middle of the answer
    ├── timeout    no_answer              no first byte in time
    │              stalled                silence in the middle of the answer
    │              too_long               the whole call took too long
    ├── stream     ended_early            the body ended, the answer did not
    │              event_too_large        one event above the limit
    │              answer_too_large       the answer above the limit
    │              protocol               not a stream we know
    ├── agent      agent_failed           the agent itself reported an error
    │              agent_unavailable      5xx
    │              filtered               withheld by a content filter
    │              empty_answer           ended properly without a single character
    ├── refused    busy                   429, too many requests
    │              credit                 429, the account's credit is used up
    │              credentials            401 after a renewed token, or no token
    │              forbidden              403
    │              agent_not_found        404
    │              prompt_too_long        above the model's context
    │              rejected               any other 4xx
    ├── files      upload_forbidden       the account may not upload
    │              upload_failed          a file did not reach the agent's storage
    │              file_lost              its bytes are not there any more
    └── setup      agent_misconfigured    unusable URL, id or secret

A code is what programs, documents and translations share. What a person reads is made from the
code elsewhere; `detail` is for administrators and `str(error)` for logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from .values import Usage

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "network": ("unreachable", "connection_lost"),
    "timeout": ("no_answer", "stalled", "too_long"),
    "stream": ("ended_early", "event_too_large", "answer_too_large", "protocol"),
    "agent": ("agent_failed", "agent_unavailable", "filtered", "empty_answer"),
    "refused": (
        "busy",
        "credit",
        "credentials",
        "forbidden",
        "agent_not_found",
        "prompt_too_long",
        "rejected",
    ),
    "files": ("upload_forbidden", "upload_failed", "file_lost"),
    "setup": ("agent_misconfigured",),
}
FAMILY_OF: Final[Mapping[str, str]] = {code: name for name, codes in FAMILIES.items() for code in codes}
CODES: Final[frozenset[str]] = frozenset(FAMILY_OF)

# Worth asking again unchanged. The others need a person to change something first.
RETRYABLE: Final[frozenset[str]] = frozenset({
    "unreachable", "connection_lost", "no_answer", "stalled", "too_long", "ended_early",
    "agent_failed", "agent_unavailable", "empty_answer", "busy", "upload_failed",
})  # fmt: skip

DETAIL_CHARACTERS: Final = 300


class AgentError(Exception):
    """A call that did not end well.

    code         one of `CODES`
    retryable    whether asking again unchanged may help; by the code when not given
    detail       what the upstream said, for administrators: one line, no markup, no control
                 characters, at most 300 characters
    status       the HTTP status, when one was received
    retry_after  seconds the upstream asked us to wait, when it did
    usage        what was reported before the failure
    params       numbers for the sentence a person reads (`limit` and `size` of prompt_too_long)
    """

    def __init__(
        self,
        code: str,
        *,
        retryable: bool | None = None,
        detail: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        usage: Usage | None = None,
        params: Mapping[str, int] | None = None,
    ) -> None:
        if code not in CODES:
            raise ValueError(f"not a code of an agent's error: {code!r}")
        self.code = code
        self.retryable = code in RETRYABLE if retryable is None else retryable
        self.detail = one_line(detail)
        self.status = status
        self.retry_after = retry_after
        self.usage = usage
        self.params: Mapping[str, int] = dict(params or {})
        super().__init__(f"{code} ({self.detail})" if self.detail else code)

    @property
    def family(self) -> str:
        """network, timeout, stream, agent, refused, files or setup."""
        return FAMILY_OF[self.code]


_MARKUP = re.compile(r"(?s)<(script|style)\b.*?</\1\s*>|<!--.*?-->|</?[a-zA-Z!][^<>]*>")
# C0, DEL, C1, line separators, and what reorders or hides text.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_SECRETS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"),
    re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,2}"),
    re.compile(r"\bsk-[\w-]{8,}"),
    re.compile(
        r"(?i)([\"']?\b[\w-]*(?:secret|token|password|api[_-]?key|authorization|signature|credential)\b"
        r"[\"']?\s*[:=]\s*)[\"']?[^\s\"',;&}]{4,}"
    ),
)


def one_line(text: str) -> str:
    """`text` as a harmless line of at most 300 characters: no markup, controls escaped, known
    shapes of secrets blotted out.
    """
    # A bounded look: the regular expressions never see a whole page.
    text = _MARKUP.sub(" ", text[:8_000])
    text = text.replace("<", "\u2039").replace(">", "\u203a")
    text = " ".join(re.split(r"[ \t\r\n]+", text)).strip()
    text = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: (found[1] if found.re.groups else "") + " [hidden]", text)
    if len(text) > DETAIL_CHARACTERS:
        text = text[: DETAIL_CHARACTERS - 1] + "\u2026"
    return text


def without(secrets: Iterable[str], text: str) -> str:
    """`text` with every one of `secrets` blotted out, for bodies that echo what was sent."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[hidden]")
    return text
