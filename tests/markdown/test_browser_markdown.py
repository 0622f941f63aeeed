"""The browser's Markdown in Chromium: the same HTML as the server, streaming, and what must never happen."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, Request

from chat.markdown import Labels, render

from .conftest import EXAMPLES, HOSTILE, Site, until

pytestmark = pytest.mark.browser

STREAM = """([text, cuts]) => {
  const answer = document.getElementById("answer");
  const stream = new markdown.StreamRenderer(answer);
  for (const cut of cuts) stream.update(text.slice(0, cut));
  stream.finish(text);
  return answer.innerHTML;
}"""
SHOWN = """([text, cuts]) => {
  const answer = document.getElementById("answer");
  const stream = new markdown.StreamRenderer(answer);
  return cuts.map((cut) => (stream.update(text.slice(0, cut)), answer.innerHTML));
}"""
COLOURED = [
    ("python", "class A:\n    def f(self, x: int = 1) -> str:\n        return f'<b>{x & 1}</b>'\n"),
    ("xml", "<p class=\"a\"><style>p { color: red }</style><script>let a = '</b>';</script></p>\n"),
    ("javascript", "const f = async (a) => `x ${a.b} <img src=x onerror=alert(1)>`; // done\n"),
    ("markdown", "# T\n\n<script>alert(1)</script> **b** [l](javascript:alert(1))\n"),
]
HOSTILE_FORMULAS = [
    r"\href{javascript:alert(1)}{x}",
    r"\url{https://evil.example}",
    r"\includegraphics[height=1em]{https://evil.example/a.png}",
    r"\htmlId{strings}{x} \htmlClass{bar}{y} \htmlStyle{position:fixed}{z} \htmlData{a=b}{w}",
    r"\text{<img src=x onerror=alert(1)>} \color{red} \frac{a}{b} \begin{matrix}a&b\\c&d\end{matrix}",
    r"\textcolor{red}{x} \colorbox{aqua}{y} \boxed{z} \cancel{w} \overset{a}{b} \sqrt[3]{x}",
]
LINES = st.sampled_from(
    [
        "- a",
        "- b **c**",
        "  - d",
        "    - e",
        "* x",
        "1. one",
        "2. two",
        "10) ten",
        "   cont",
        "    code",
        "",
        "",
        "",
    ]
    + [
        "> q",
        "> - ql",
        "> > qq",
        "para text",
        "another *em* line",
        "# h1",
        "### h3",
        "| a | b |",
        "|---|:-:|",
    ]
    + ["| 1 | 2 |", "```python", "```", "~~~", "````", "x = [1](2)", "---", "===", "[r]: http://r.example/x"]
    + [
        '[r]: http://r.example/y "t"',
        "[q]: <u",
        '"title',
        'more"',
        "see [r] and [q][]",
        "- [ ] todo",
        "- [x] [r]",
    ]
    + ["$$", "x^2", "$$y$$", "\\[", "\\]", "- $$", "  $$", "-", "1.", "text\\", "![i](http://i.example/k)"]
    + [
        "- - nested",
        "- ```sh",
        "  ls",
        "  ```",
        "> ```",
        "* * *",
        "[r]",
        "1. ## h",
        "   | a | b |",
        "   |-|-|",
    ]
    + [
        "https://e.example/x_y",
        "me@x.example",
        "<b>&amp; 😀",
        "ol\u202e שלום",
        "`co",
        "de` $a",
        "b$ **",
        "** \\(",
    ]
)


@pytest.fixture(autouse=True)
def no_violation_and_no_foreign_request(browser_page: Page, site: Site) -> Iterator[None]:
    """Hold for every test: no violation of the policy, nothing fetched elsewhere, nothing run."""
    foreign: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(site.url):
            foreign.append(request.url)

    browser_page.on("request", note)
    browser_page.evaluate(
        "window.hits = []; window.hit = (x) => hits.push(x); window.alert = window.hit; null"
    )
    yield
    browser_page.remove_listener("request", note)
    assert browser_page.evaluate("violations") == []
    assert browser_page.evaluate("hits") == []
    assert foreign == []


def stream(page: Page, text: str, cuts: list[int]) -> str:
    html: str = page.evaluate(STREAM, [text, cuts])
    return html


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_browser_gives_the_same_html_as_the_server(browser_page: Page, example: Path) -> None:
    text = example.read_bytes().decode()
    expected = example.with_suffix(".html").read_bytes().decode()
    assert browser_page.evaluate("text => markdown.render(text)", text) == expected


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_streamed_example_ends_as_if_rendered_at_once(browser_page: Page, example: Path) -> None:
    text = example.read_bytes().decode()
    expected = example.with_suffix(".html").read_bytes().decode()
    chance = random.Random(example.stem)
    for count in (3, 20, 400):
        cuts = sorted(chance.randrange(units(text) + 1) for _ in range(count))
        assert stream(browser_page, text, cuts) == expected


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=25).map("\n".join), st.data())
def test_any_text_is_the_same_on_both_sides_and_streamed(
    browser_page: Page, text: str, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, units(text)), max_size=60).map(sorted))
    expected = render(text, Labels())
    assert browser_page.evaluate("text => markdown.render(text)", text) == expected
    assert stream(browser_page, text, cuts) == expected


def test_hostile_text_is_the_same_on_both_sides_and_runs_nothing(browser_page: Page) -> None:
    for text in HOSTILE:
        expected = render(text, Labels())
        assert browser_page.evaluate("text => markdown.render(text)", text) == expected, text
        assert stream(browser_page, text, list(range(units(text)))) == expected, text
        browser_page.evaluate(
            "async () => markdown.enhance(document.getElementById('answer'))",
        )
        live = "#answer :is(script, iframe, object, embed, img, video, audio, link, style, svg, form, input)"
        assert browser_page.locator(live).count() == 0, text


def test_raw_html_that_reaches_the_sanitiser_is_defused(browser_page: Page) -> None:
    survivors = browser_page.evaluate(
        """async (texts) => {
          const { sanitise, sanitiseToFragment } = await import("stkweb/markdown");
          const answer = document.getElementById("answer");
          return texts.filter((text) => {
            answer.replaceChildren(sanitiseToFragment(text));
            const all = [...answer.querySelectorAll("*")];
            return /<(script|img|svg|iframe|style|form|input)/i.test(sanitise(text)) || all.some((node) =>
              [...node.attributes].some(({ name }) => /^(on|id$|name$|src|style)/.test(name)));
          });
        }""",
        HOSTILE,
    )
    # Refused handlers are reported when the sanitiser parses them, in a document where nothing runs.
    browser_page.evaluate("violations.length = 0")
    assert survivors == []


def test_finished_blocks_keep_their_nodes(browser_page: Page) -> None:
    text = (
        "# Title\n\nFirst *paragraph*.\n\n- one\n- two\n- three\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n"
        "```python\nprint(1)\nprint(2)\n```\n\nLast [link](https://example.com/) paragraph.\n"
    )
    replaced = browser_page.evaluate(
        """(text) => {
          const answer = document.getElementById("answer");
          const stream = new markdown.StreamRenderer(answer);
          const kept = new Map();
          const lost = [];
          for (let cut = 1; cut <= text.length; cut += 1) {
            cut === text.length ? stream.finish(text) : stream.update(text.slice(0, cut));
            for (const [node, html] of kept) {
              if (!answer.contains(node) || node.outerHTML !== html) lost.push(html);
            }
            const finished = answer.querySelectorAll(":scope > :not([data-open])");
            for (const node of finished) kept.set(node, node.outerHTML);
          }
          return [lost, kept.size];
        }""",
        text,
    )
    assert replaced == [[], 6]


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("".join(f"- item {i}\n" for i in range(30)), "li:nth-child(3)"),
        ("| a |\n|---|\n" + "".join(f"| row {i} |\n" for i in range(30)), "tbody tr:nth-child(3) td"),
        ("```text\n" + "".join(f"line {i}\n" for i in range(30)), "code"),
        ("".join(f"> line {i}\n" for i in range(30)), "blockquote p"),
    ],
    ids=["list", "table", "code", "quote"],
)
def test_a_selection_inside_the_open_block_survives(browser_page: Page, text: str, selector: str) -> None:
    result = browser_page.evaluate(
        """([text, selector]) => {
          const answer = document.getElementById("answer");
          const stream = new markdown.StreamRenderer(answer);
          const half = Math.floor(text.length / 2);
          for (let cut = 1; cut < half; cut += 1) stream.update(text.slice(0, cut));
          const node = answer.querySelector(selector);
          getSelection().setBaseAndExtent(node.firstChild, 0, node.firstChild, 4);
          const before = getSelection().toString();
          for (let cut = half; cut < text.length; cut += 1) stream.update(text.slice(0, cut));
          stream.finish(text);
          return [before, getSelection().toString(), answer.querySelector(selector) === node];
        }""",
        [text, selector],
    )
    assert len(result[0]) == 4
    assert result[1:] == [result[0], True]


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("Some **bold words** here", "*"),
        ("Some `code words` here", "`"),
        ("Some ~~struck words~~ here", "~"),
        ("A [link text](https://example.com/some/path) here", "["),
        ("A [link text](https://example.com/some/path) here", "]("),
        ("An image ![alt](https://example.com/x.png) here", "!["),
        ("Intro\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n", "|"),
        ("Intro\n\n```python\nprint(1)\n```\n\nOutro\n", "`"),
        ("# Heading\n\n## Next one\n", "#"),
        ("Text\n\n- one\n- two\n", "- "),
        ("Text\n\n1. one\n2. two\n", "2."),
        ("> quoted\n> more\n", "&gt;"),
        ("Text\n\n$$\nx^2\n$$\n\nmore \\(a+b\\) text", "$"),
        ("Text \\(a+b\\) more", "\\("),
        ("See [one].\n\n[one]: https://one.example/\n", "https://one.example/<"),
    ],
)
def test_half_written_marks_are_never_shown_raw(browser_page: Page, text: str, raw: str) -> None:
    shown: list[str] = browser_page.evaluate(SHOWN, [text, list(range(1, len(text) + 1))])
    assert [html for html in shown if raw in html] == []


def test_an_open_fence_is_code_at_once(browser_page: Page) -> None:
    text = "Intro\n```python\nprint('a')\nprint('b"
    html = browser_page.evaluate(SHOWN, [text, [len(text)]])[0]
    assert "<code class=\"language-python\">print('a')\nprint('b</code>" in html


def test_a_paragraph_never_turns_into_a_heading_and_back(browser_page: Page) -> None:
    text = "Some text\n- item one\n- item two\n"
    shown: list[str] = browser_page.evaluate(SHOWN, [text, list(range(1, len(text) + 1))])
    assert not any("<h" in html for html in shown)


def test_a_late_definition_turns_earlier_words_into_links(browser_page: Page) -> None:
    text = "See [docs].\n\n- item [docs]\n- next\n\nMore.\n\n[docs]: https://docs.example/\n"
    assert stream(browser_page, text, list(range(len(text)))) == render(text, Labels())


def test_a_text_that_is_not_a_continuation_is_rendered_anew(browser_page: Page) -> None:
    html = browser_page.evaluate(
        """() => {
          const answer = document.getElementById("answer");
          const stream = new markdown.StreamRenderer(answer);
          stream.update("one\\n\\ntwo\\n\\nthr");
          stream.finish("other *text*\\n\\nwith more than before, much more");
          return answer.innerHTML;
        }"""
    )
    assert html == render("other *text*\n\nwith more than before, much more", Labels())


def long_answer(kind: str) -> str:
    words = [
        "the",
        "of",
        "model",
        "**answer**",
        "`code`",
        "and",
        "data",
        "[link](https://example.com/a)",
        "text",
        "with",
    ]
    chance = random.Random(kind)
    pieces = []
    size = 0
    while size < 200_000:
        line = " ".join([*(chance.choice(words) for _ in range(12)), f"no{len(pieces)}"])
        piece = {
            "blocks": f"## Part\n\n{line}\n\n```sh\n{line}\n```\n\n",
            "list": f"- {line}\n",
            "code": f"{line}\n",
        }
        pieces.append(piece.get(kind, f"| {line} | x |\n"))
        size += len(pieces[-1])
    head = {"table": "| a | b |\n|---|---|\n", "code": "```text\n"}
    return head.get(kind, "") + "".join(pieces)


@pytest.mark.parametrize("kind", ["blocks", "list", "table", "code"])
def test_the_cost_of_an_update_does_not_grow_with_the_answer(browser_page: Page, kind: str) -> None:
    parsed, late = browser_page.evaluate(
        """(text) => {
          const answer = document.getElementById("answer");
          const stream = new markdown.StreamRenderer(answer);
          const original = DOMParser.prototype.parseFromString;
          let made = 0;
          DOMParser.prototype.parseFromString = function (html, type) {
            made += String(html).length;
            return original.call(this, html, type);
          };
          const parts = [];
          const late = [];
          const step = Math.ceil(text.length / 4000);
          for (let cut = step; cut < text.length; cut += step) {
            stream.update(text.slice(0, cut));
            const written = text.slice(Math.max(0, cut - 600), cut);
            const number = /.*\\b(no\\d+)\\b.*\\n/s.exec(written)?.[1];
            const shown = cut % (step * 40) === 0 ? answer.textContent.slice(-800) : number;
            if (number && !shown.includes(number)) late.push(number);
            if (cut % (step * 1000) < step) parts.push(made), (made = 0);
          }
          stream.finish(text);
          DOMParser.prototype.parseFromString = original;
          return [parts, late];
        }""",
        long_answer(kind),
    )
    assert late == []  # every complete line is on the page at once
    # HTML made in each quarter: a renderer that starts from the top makes seven times as much in the last.
    assert parsed[-1] <= parsed[0] * 1.5 + 1000
    assert sum(parsed) < 4_000 * 5_000


def show(page: Page, text: str) -> None:
    page.evaluate("text => markdown.renderInto(document.getElementById('answer'), text)", text)


def test_copy_copies_the_exact_code_keeps_focus_and_says_so(browser_page: Page, site: Site) -> None:
    code = "def f(x):\n\tif x < 1:\n        return '<b>&amp;'"
    show(browser_page, f"```python\n{code}\n```\n")
    browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    browser_page.evaluate(
        """async () => {
          window.said = [];
          const strings = { copy: "Copiar", copied: "Copiado", wrap: "Quebrar" };
          const answer = document.getElementById("answer");
          await markdown.enhance(answer, { strings, announce: (x) => said.push(x) });
          await markdown.enhance(answer, { strings });
        }"""
    )
    browser_page.wait_for_selector("code .hljs-keyword")
    button = browser_page.get_by_role("button", name="Copiar")
    assert button.count() == 1
    button.focus()
    browser_page.keyboard.press("Enter")
    until(browser_page, "said.length > 0")
    assert browser_page.evaluate("said") == ["Copiado"]
    assert browser_page.evaluate("document.activeElement.className") == "copy"
    assert browser_page.evaluate("navigator.clipboard.readText()") == code
    assert browser_page.evaluate("document.querySelector('code').textContent") == code + "\n"


def test_wrap_is_a_toggle(browser_page: Page) -> None:
    show(browser_page, "```text\nlong\n```\n")
    browser_page.evaluate("() => markdown.enhance(document.getElementById('answer'))")
    toggle = browser_page.get_by_role("button", name="Wrap lines")
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    assert browser_page.locator(".code.is-wrapped").count() == 1
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"


def test_formulas_become_mathml_and_bad_ones_stay_readable(browser_page: Page) -> None:
    show(browser_page, "$x^2$ and $\\frac{1$ and $\\href{https://canary.example/}{y}$\n\n$$\\sum_i i$$\n")
    browser_page.evaluate("() => markdown.enhance(document.getElementById('answer'))")
    until(browser_page, "document.querySelectorAll('#answer math').length === 3")
    states: list[Any] = browser_page.evaluate(
        "[...document.querySelectorAll('.math')]"
        ".map((m) => [m.dataset.tex ?? null, m.querySelectorAll('math').length])"
    )
    assert states[0] == ["x^2", 1]
    assert states[1] == [None, 0]
    assert browser_page.locator("#answer :is([style], [href], annotation)").count() == 0
    assert browser_page.locator("#answer math[display=block]").count() == 1


def test_a_block_still_being_written_is_left_alone(browser_page: Page) -> None:
    browser_page.evaluate(
        """async () => {
          const answer = document.getElementById("answer");
          window.stream = new markdown.StreamRenderer(answer);
          stream.update("```js\\nlet a;\\n```\\n\\n```js\\nlet b;\\n");
          await markdown.enhance(answer);
        }"""
    )
    assert browser_page.locator("#answer button.copy").count() == 1
    browser_page.evaluate(
        "async () => { stream.finish('```js\\nlet a;\\n```\\n\\n```js\\nlet b;\\n```\\n');"
        " await markdown.enhance(document.getElementById('answer')); }"
    )
    assert browser_page.locator("#answer button.copy").count() == 2


def test_a_block_that_a_late_link_draws_anew_is_dressed_again(browser_page: Page) -> None:
    browser_page.evaluate(
        """async () => {
          const answer = document.getElementById("answer");
          window.stream = new markdown.StreamRenderer(answer);
          stream.update("$x^2$ as in [this].\\n\\nNext\\n");
          await markdown.enhance(answer);
        }"""
    )
    browser_page.wait_for_selector("#answer math")
    browser_page.evaluate(
        """async () => {
          stream.update("$x^2$ as in [this].\\n\\nNext\\n\\n[this]: https://example.org/\\n\\nEnd\\n");
          await markdown.enhance(document.getElementById("answer"));
        }"""
    )
    browser_page.wait_for_selector("#answer a[href]")
    browser_page.wait_for_selector("#answer math")


def test_colours_are_those_that_the_library_names(browser_page: Page, site: Site) -> None:
    """Nodes are built from what it found, languages inside others too; the library's HTML is never used."""
    browser = browser_page.context.browser
    assert browser is not None
    page = browser.new_page()  # one that has met no language yet
    page.goto(site.url)
    until(page, "window.markdown !== undefined")
    for language, text in COLOURED:
        expected = page.evaluate(
            """async ([language, text]) => {
              const [core, grammar] = await Promise.all(
                [import("highlight.js/core"), import(`highlight.js/${language}`)]);
              window.library ??= core.default.newInstance();
              library.registerLanguage(language, grammar.default);
              const answer = document.getElementById("answer");
              markdown.renderInto(answer, "```" + language + "\\n" + text + "```");
              await markdown.enhance(answer);
              return library.highlight(text, { language }).value;
            }""",
            [language, text],
        )
        until(page, "document.querySelector('#answer pre code span') !== null")
        shown = page.evaluate("document.querySelector('#answer pre code').innerHTML")
        assert shown == expected.replace("&quot;", '"').replace("&#x27;", "'")
    assert page.locator("#answer .language-xml").count() > 0
    page.close()


@pytest.mark.parametrize("tex", HOSTILE_FORMULAS)
def test_a_formula_is_nothing_but_mathematics(browser_page: Page, tex: str) -> None:
    browser_page.evaluate(
        """async (tex) => {
          markdown.renderInto(document.getElementById("answer"), "$$" + tex + "$$ and $z$");
          await markdown.enhance(document.getElementById("answer"));
        }""",
        tex,
    )
    until(browser_page, "document.querySelector('#answer .math:last-child math') !== null")
    found = browser_page.evaluate(
        """[...document.querySelectorAll("#answer .math *")].flatMap((node) => [
          node.namespaceURI.split("/").at(-1), ...[...node.attributes].map(({ name }) => name)])"""
    )
    assert found.count("MathML") > 1
    assert not {"xhtml", "svg", "href", "style", "id", "class", "src"} & set(found)
    assert not [name for name in found if name.startswith("on")]
    assert browser_page.locator("#answer annotation").count() == 0


def test_libraries_for_code_and_formulas_come_only_when_needed(browser_page: Page, site: Site) -> None:
    browser = browser_page.context.browser
    assert browser is not None
    page = browser.new_page()
    asked = len(site.requests)
    page.goto(site.url)
    until(page, "window.markdown !== undefined")
    page.evaluate("markdown.renderInto(document.getElementById('answer'), 'plain **text**')")
    page.evaluate("() => markdown.enhance(document.getElementById('answer'))")
    loaded = json.dumps(site.requests[asked:])
    page.close()
    assert "markdown-it" in loaded
    assert "highlightjs" not in loaded
    assert "katex" not in loaded


def test_the_words_in_the_html_can_be_set(browser_page: Page) -> None:
    html = browser_page.evaluate(
        """() => {
          markdown.setLabels({ open: "abrir", image: "imagem", table: "tabela" });
          const html = markdown.render("![](https://x.example/y)\\n\\n|a|\\n|-|\\n");
          markdown.setLabels({ open: "open", image: "image", table: "table" });
          return html;
        }"""
    )
    assert html == render("![](https://x.example/y)\n\n|a|\n|-|\n", Labels("abrir", "imagem", "tabela"))
