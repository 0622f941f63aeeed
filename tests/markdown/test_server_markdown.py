"""The server's Markdown: the shared examples, hostile text, and bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from chat.markdown import MAX_UNITS, Labels, render
from chat.markdown.safety import ATTRIBUTES, TAGS, sanitise

from .conftest import EXAMPLES, HOSTILE

ENGLISH = Labels()
PIECES = st.sampled_from(
    [
        *"*_`~[]()<>!#|-+=\\$&\"' \t\n\r\0",
        "](",
        "![",
        "](javascript:x)",
        "](https://e.example/)",
        "\n\n",
        "- ",
        "> ",
    ]
    + [
        "```\n",
        "|-|-|\n",
        "<img src=x onerror=y>",
        "https://e.example/x",
        "a@b.example",
        "[r]: //x\n",
        "$$",
        "\\[",
    ]
    + ["é", "שלום", "😀", "\u202e", "\ud800", "&#13;", "\x85", "word"]
)


class Inventory(HTMLParser):
    """Every element and attribute of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.thread_time()  # of this thread's own work, whatever else the machine does
    yield
    assert time.thread_time() - started < seconds


def assert_harmless(html: str) -> None:
    for tag, attributes in Inventory(html).elements:
        assert tag in TAGS
        for name in attributes:
            assert name in ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set()), (tag, name)
        if tag == "a" and "href" in attributes:
            assert attributes["href"].startswith(("http://", "https://", "mailto:"))
            assert attributes["rel"] == "noopener noreferrer nofollow ugc"
            assert attributes["target"] == "_blank"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_server_gives_the_expected_html(example: Path) -> None:
    expected = example.with_suffix(".html").read_bytes().decode()
    assert render(example.read_bytes().decode(), ENGLISH) == expected


def test_there_are_enough_examples_and_hostile_texts() -> None:
    assert len(EXAMPLES) >= 60
    assert len(HOSTILE) >= 200


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_leaves_only_harmless_elements(text: str) -> None:
    assert_harmless(render(text, ENGLISH))


@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_text_gives_harmless_html_that_the_sanitiser_leaves_alone(text: str) -> None:
    html = render(text, ENGLISH)
    assert_harmless(html)
    assert sanitise(html) == html


@given(st.lists(PIECES, max_size=20).map("".join))
def test_the_sanitiser_alone_makes_raw_html_harmless(text: str) -> None:
    text = text.replace("\ud800", "")  # no HTML can hold half a character
    for tag, attributes in Inventory(sanitise(f"<p>{text}</p>{text}")).elements:
        assert tag in TAGS
        assert not set(attributes) - {name for names in ATTRIBUTES.values() for name in names}
        assert attributes.get("href", "https://").startswith(("http://", "https://", "mailto:"))


def test_classes_and_ids_of_the_page_cannot_be_forged() -> None:
    html = sanitise('<div class="code composer language-js onload" id="composer" style="x">a</div>')
    assert html == '<div class="code language-js">a</div>'


@pytest.mark.parametrize(
    "text",
    [
        ">" * 20_000 + "a",
        "\n".join("  " * depth + "- x" for depth in range(2_000)),
        "a" + "\u0301" * 10_000,
        "[" * 50_000,
        "![" * 50_000,
        "*a " * 50_000,
        "*_" * 5_000 + "a" + "_*" * 5_000,
        "\\(" * 100_000,
        "$$a\n" * 30_000,
        "a@" * 50_000,
        "https://" * 20_000,
        "|" * 50_000 + "\n" + "|-" * 50_000,
        "a" * 200_000 + "@",
        "x" * (2 << 20),
        "word " * (400 << 10),
    ],
    ids=lambda text: f"{text[:6]!r}-{len(text)}",
)
def test_pathological_text_is_rendered_in_bounded_time(text: str) -> None:
    with within(5.0):
        html = render(text, ENGLISH)
    assert html


def test_text_over_the_limit_is_shown_whole_as_plain_text() -> None:
    text = "**x** <b>" + "y" * MAX_UNITS
    html = render(text, ENGLISH)
    assert html == f'<pre class="plain" dir="auto" tabindex="0">**x** &lt;b&gt;{"y" * MAX_UNITS}</pre>\n'


def test_the_limit_counts_as_the_browser_counts() -> None:
    assert render("😀" * (MAX_UNITS // 2), ENGLISH).startswith("<p")
    assert render("😀" * (MAX_UNITS // 2 + 1), ENGLISH).startswith("<pre")


def test_what_nests_too_deeply_loses_no_text() -> None:
    html = render(">" * 150 + " the end", ENGLISH)
    assert html.startswith('<pre class="plain"')
    assert "the end" in html


def test_the_words_in_the_html_are_those_given() -> None:
    labels = Labels(open="abrir", image="imagem", table="tabela")
    assert ">abrir</a>" in render("![](https://x.example/y)", labels)
    assert 'aria-label="tabela"' in render("|a|\n|-|\n", labels)


def test_the_words_default_to_the_active_language() -> None:
    with translation.override("en"):
        assert render("![](https://x.example/y)") == render("![](https://x.example/y)", ENGLISH)
