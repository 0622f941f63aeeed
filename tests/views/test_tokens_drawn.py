"""The tokens under an answer as the server draws them: what was not reported is never 0."""

from __future__ import annotations

import re

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import strip_tags


@pytest.mark.parametrize(
    ("usage", "estimated", "said"),
    [
        ((1265, 578, 361, 2204), None, "2,204 tokens 1,265 asked 578 knowledge 361 answered"),
        ((12, 0, 3, 15), None, "15 tokens 12 asked 0 knowledge 3 answered"),
        ((None, 5, 3, 8), None, "8 tokens asked: not reported 5 knowledge 3 answered"),
        ((12, None, 3, 15), None, "15 tokens 12 asked knowledge: not reported 3 answered"),
        ((12, 5, None, 17), None, "17 tokens 12 asked 5 knowledge answered: not reported"),
        (None, None, "Tokens: not reported"),
        (None, 4120, "about 4,120 tokens (estimated)"),
        ((1, 2, 3, 6), 41, "6 tokens 1 asked 2 knowledge 3 answered and about 41 tokens (estimated)"),
    ],
)
def test_each_part_that_was_not_reported_says_so(
    usage: tuple[int | None, ...] | None, estimated: int | None, said: str
) -> None:
    names = ("user", "enrichment", "output", "total")
    facts = {"usage": usage and dict(zip(names, usage, strict=True)), "estimated": estimated}
    with translation.override("en"):
        drawn = render_to_string("chat/_tokens.html", facts)
    text = strip_tags(re.sub("<(li|span)>", " ", drawn))
    assert " ".join(text.split()) == said
