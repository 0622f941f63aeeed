"""Points at what looks like a secret or personal data in a text. It points; people decide.

Numbers that carry check digits (CPF, CNPJ, cards) are checked, so that any eleven digits are not a
CPF. Every pattern is linear: no nested repetition, bounded where it repeats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a finding looks like."""

    KEY = "key"
    PASSWORD = "password"  # noqa: S105 (a kind's name)
    CPF = "cpf"
    CNPJ = "cnpj"
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"


@dataclass(frozen=True, slots=True)
class Finding:
    """`text[start:end]` looks like `kind`."""

    kind: Kind
    start: int
    end: int


#: Keys and tokens that carry a mark of their maker.
_KEYS = (
    r"(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255}",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|soat)-[A-Za-z0-9_\-.]{20,100}",  # GitLab
    r"xox[abeprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}",  # Slack
    r"AIza[0-9A-Za-z_\-]{35}|ya29\.[0-9A-Za-z_\-]{20,500}|GOCSPX-[A-Za-z0-9_\-]{28}",  # Google
    r"sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_\-]{20,250}",  # OpenAI, Anthropic and their like
    r"hf_[A-Za-z0-9]{30,100}|gsk_[A-Za-z0-9]{40,100}|pplx-[A-Za-z0-9]{40,100}",
    r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{24,100}",  # Stripe
    r"SG\.[A-Za-z0-9_\-]{16,64}\.[A-Za-z0-9_\-]{16,64}",  # SendGrid
    r"npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,250}|dckr_pat_[A-Za-z0-9_\-]{20,100}",
    r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|dop_v1_[a-f0-9]{64}|shpat_[a-fA-F0-9]{32}|lin_api_[A-Za-z0-9]{40}",
    r"AC[0-9a-f]{32}|[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",  # Twilio, Telegram
    r"APP_USR-[0-9]{10,20}-[0-9]{6}-[0-9a-f]{32}-[0-9]{6,12}",  # Mercado Pago
    r"eyJ[A-Za-z0-9_\-]{8,4000}\.eyJ[A-Za-z0-9_\-]{8,8000}\.[A-Za-z0-9_\-]{8,2000}",  # JSON Web Token
    r"AccountKey=[A-Za-z0-9+/]{60,100}={0,2}|SharedAccessSignature=[^\s;,|()\"'`]{20,300}",  # Azure
)
_KEY = re.compile(r"(?<![A-Za-z0-9_])(?:" + "|".join(_KEYS) + r")(?![A-Za-z0-9])")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PRIVATE_KEY_END = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s{1,4}(?P<secret>[A-Za-z0-9\-._~+/]{16,4000}={0,2})")
_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|senha|secret|segredo|token|api[_\- ]?key|apikey|access[_\- ]?key|"
    r"client[_\- ]?secret|private[_\- ]?key|secret[_\- ]?key|auth[_\- ]?token|chave(?:[_\- ]?de[_\- ]?api)?"
)
_ASSIGNED = re.compile(
    rf"(?i)(?<![A-Za-z0-9])(?:[A-Za-z0-9]{{1,30}}[_\-]){{0,4}}(?:{_WORDS})[\"'`]?"
    r"(?:\s{0,3}(?:=>|:=|=|:)|\s(?:is|é))\s{0,3}[\"'`]?(?P<secret>[^\s\"'`,;<>|(){}\[\]]{6,400})"
)
_IN_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s:@/\"'<>]{0,100}:(?P<secret>[^\s@/\"'<>]{1,200})@"
)
_CPF = re.compile(r"(?<![\w.\-])(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{9}-\d{2}|\d{11})(?![\w\-]|\.\d)")
_CNPJ = re.compile(
    r"(?<![\w.\-/])(?:[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}|[0-9A-Z]{12}\d{2})(?![\w\-/]|\.\d)"
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9_%+\-][A-Za-z0-9._%+\-]{0,63}@"
    r"(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
_PHONE = re.compile(
    r"(?<![\w.\-/+])(?:"
    r"\+\d{1,3}[ .\-]?(?:\(\d{1,4}\)[ .\-]?)?\d{1,4}(?:[ .\-]?\d{2,5}){1,5}"  # international
    r"|\(0?\d{2}\)\s?9?\d{4}[ .\-]?\d{4}"  # Brazil, with the area in brackets
    r"|0?[1-9]{2}\s9\d{4}[ .\-]?\d{4}"  # Brazil, mobile
    r"|[1-9]{2}9\d{8}"  # the same without a space; checked against CPF by what comes first
    r"|9\d{4}-\d{4}"
    r"|\(\d{3}\)\s?\d{3}-\d{4}|\d{3}-\d{3}-\d{4}"  # North America
    r")(?![\w\-/]|\.\d)"
)
_CARD = re.compile(r"(?<![\w.\-])\d(?:[ \-]?\d){12,18}(?![\w\-]|\.\d)")
#: What stands where a secret would, in examples.
_PLACEHOLDER = re.compile(
    r"(?i)[x*.•█…_\-]+|<.*|\$.*|%.*|(?:your|my|seu|sua|minha|the|none|null|true|false|"
    r"example|exemplo|changeme|required|optional|string|str|environ|os\.|process\.).*"
)


def is_cpf(digits: str) -> bool:
    """True for eleven digits with the right two at the end, not all alike."""
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return _check_digits(digits, (range(10, 1, -1), range(11, 1, -1)))


def is_cnpj(text: str) -> bool:
    """True for fourteen digits, or twelve letters and digits and two digits, with the right end."""
    if len(text) != 14 or len(set(text)) == 1:
        return False
    return _check_digits(
        text, ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
    )


def _check_digits(text: str, weights: tuple[range, range] | tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    for row in weights:
        rest = sum((ord(c) - 48) * weight for c, weight in zip(text, row, strict=False)) % 11
        if ord(text[len(row)]) - 48 != (0 if rest < 2 else 11 - rest):
            return False
    return True


def is_card(digits: str) -> bool:
    """True for 13 to 19 digits that begin as cards do and pass Luhn's check."""
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _digits(text: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", text)


def _plain(pattern: re.Pattern[str], kind: Kind, group: int | str = 0) -> Callable[[str], Iterator[Finding]]:
    return lambda text: (Finding(kind, *found.span(group)) for found in pattern.finditer(text))


def _checked(
    pattern: re.Pattern[str], kind: Kind, holds: Callable[[str], bool]
) -> Callable[[str], Iterator[Finding]]:
    return lambda text: (
        Finding(kind, *found.span()) for found in pattern.finditer(text) if holds(_digits(found[0]))
    )


def _private_keys(text: str) -> Iterator[Finding]:
    """From the first line to the last; to the end of the text where the last is missing."""
    for found in _PRIVATE_KEY.finditer(text):
        end = _PRIVATE_KEY_END.search(text, found.end())
        yield Finding(Kind.KEY, found.start(), end.end() if end else len(text))


def _assigned(text: str) -> Iterator[Finding]:
    for found in _ASSIGNED.finditer(text):
        start, end = found.span("secret")
        secret = found["secret"].rstrip(".!?:*_")
        if len(secret) >= 6 and not _PLACEHOLDER.fullmatch(secret) and not secret.isalpha():
            yield Finding(Kind.PASSWORD, start, end - len(found["secret"]) + len(secret))


def _is_phone(text: str) -> bool:
    return 9 <= len(text) <= 15


#: In the order of their weight: what comes first keeps its place where two overlap.
_SEARCHES: tuple[Callable[[str], Iterator[Finding]], ...] = (
    _private_keys,
    _plain(_KEY, Kind.KEY),
    _plain(_IN_ADDRESS, Kind.PASSWORD, "secret"),
    _plain(_BEARER, Kind.KEY, "secret"),
    _checked(_CARD, Kind.CARD, is_card),
    _checked(_CNPJ, Kind.CNPJ, is_cnpj),
    _checked(_CPF, Kind.CPF, is_cpf),
    _plain(_EMAIL, Kind.EMAIL),
    _checked(_PHONE, Kind.PHONE, _is_phone),
    _assigned,
)


def scan(text: str) -> list[Finding]:
    """Everything in `text` that looks like a secret or personal data, in order, without overlaps."""
    taken: list[Finding] = []
    covered = bytearray(len(text))
    for search in _SEARCHES:
        for finding in list(search(text)):
            if covered.find(1, finding.start, finding.end) < 0:
                covered[finding.start : finding.end] = b"\x01" * (finding.end - finding.start)
                taken.append(finding)
    return sorted(taken, key=lambda finding: finding.start)


#: Characters at the end of a growing text that are looked at; longer words are shown as they come.
_TAIL = 400
#: What a number in groups is made of: a card, a phone; whole words, or the spaces between them.
_NUMBERS = re.compile(r"[\d.\-()/+]+|\s+|")


def settled(text: str) -> str:
    """`text` of an answer that still grows, without the end of it that may yet become a finding."""
    begun = list(_PRIVATE_KEY.finditer(text))
    if begun and not _PRIVATE_KEY_END.search(text, begun[-1].end()):
        text = text[: begun[-1].start()]
    head, tail = text[:-_TAIL], text[-_TAIL:]
    words = re.split(r"(\s+)", tail)
    words.pop()
    while words and _NUMBERS.fullmatch(words[-1]):
        words.pop()
    return head + "".join(words)
