"""The generated parts of docs/protocol.md: `python -m tests.protocol.document` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def table(*, refusals: bool) -> str:
    """The codes of chat/faults.py in English: why a request is refused, or how an answer ends badly."""
    from django.utils import translation

    from chat.agents.errors import RETRYABLE
    from chat.faults import FAULTS, all_texts

    with translation.override("en"):
        texts = all_texts()
    rows = []
    for code, fault in FAULTS.items():
        if (fault.status == 200) == refusals:
            continue
        text = texts[code]
        first = str(fault.status) if refusals else "yes" if code in RETRYABLE else "no"
        rows.append(f"| `{code}` | {first} | {text['sentence']} | {text['kept']} | {text['next']} |")
    head = "| code | status | what happened | kept | next |" if refusals else (
        "| code | retryable | what happened | kept | next |"
    )  # fmt: skip
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def generated(text: str) -> str:
    """`text` with both tables as the code has them."""
    for name, refusals in (("faults of an answer", False), ("refusals", True)):
        part = f"<!-- {name} -->\n{table(refusals=refusals)}\n<!-- end -->"
        text, count = re.subn(rf"(?s)<!-- {name} -->.*?<!-- end -->", lambda _, part=part: part, text)
        assert count == 1, f"docs/protocol.md has no part {name!r}"
    return text


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
    django.setup()
    DOCUMENT.write_text(generated(DOCUMENT.read_text()))
