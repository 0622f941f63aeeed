"""markdown-it tokens -> HTML: our classes, demoted headings, visible destinations, no embeds.

Twin of static/chat/markdown.js; keep both word for word alike. Every top-level block becomes exactly
one element followed by a newline: the streaming renderer relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext
from markdown_it.token import Token

from chat.markdown.rules import HTTP, MAIL, MAX_NESTING, is_destination

_TASK = re.compile(r"\[([ xX])\](?:[ \t]+|$)")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
_ALIGN = re.compile(r"text-align:(left|center|right)")
# Marks that reorder or override the direction of what follows: they can disguise a link's words.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_REL = 'target="_blank" rel="noopener noreferrer nofollow ugc"'
_SIMPLE = {
    "strong_open": "<strong>",
    "strong_close": "</strong>",
    "em_open": "<em>",
    "em_close": "</em>",
    "s_open": "<s>",
    "s_close": "</s>",
    "softbreak": "\n",
    "hardbreak": "<br>\n",
    "hr": "<hr>",
    "blockquote_open": '<blockquote dir="auto">',
    "blockquote_close": "</blockquote>",
    "bullet_list_open": "<ul>",
    "bullet_list_close": "</ul>",
    "ordered_list_close": "</ol>",
    "list_item_close": "</li>",
    "table_close": "</table></div>",
    "thead_open": "<thead>",
    "thead_close": "</thead>",
    "tbody_open": "<tbody>",
    "tbody_close": "</tbody>",
    "tr_open": "<tr>",
    "tr_close": "</tr>",
    "th_close": "</th>",
    "td_close": "</td>",
}


class TooDeep(Exception):
    """The text nests deeper than we render."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The words that stand in the HTML itself, as plain text in one language."""

    open: str = "open"
    image: str = "image"
    table: str = "table"

    @classmethod
    def active(cls) -> Labels:
        """Return the labels in Django's active language."""
        return cls(open=gettext("open"), image=gettext("image"), table=gettext("table"))


@dataclass(frozen=True, slots=True)
class Destination:
    """A link we let people follow: the address and what to show of it (host with port, or mail address)."""

    href: str
    shown: str
    is_mail: bool


def escape(text: str) -> str:
    """Return `text` for use in HTML text and double-quoted attributes."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text.replace("\r", "\n")


def plain(text: str) -> str:
    """Return `text` as one escaped, preformatted block."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    return f'<pre class="plain" dir="auto" tabindex="0">{escape(text)}</pre>\n'


def destination(href: str) -> Destination | None:
    """Return where `href` leads when people may follow it, else None."""
    if not is_destination(href):
        return None
    if found := HTTP.match(href):
        return Destination(href, (found[1] + (found[2] or "")).lower(), False)
    found = MAIL.match(href)
    return Destination(href, found[1], True) if found else None


def render_tokens(tokens: Sequence[Token], labels: Labels) -> str:
    """Return the HTML of a whole text's tokens; TooDeep when they nest past MAX_NESTING."""
    return _Output(labels).blocks(tokens)


def _text_of(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type == "image":
            parts.append(_text_of(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        else:
            parts.append(token.content)
    return "".join(parts)


def _shows(text: str, target: Destination) -> bool:
    text, shown = text.strip(" \t\n").lower(), target.shown.lower()
    if target.is_mail:
        return text.removeprefix("mailto:") == shown
    if "xn--" in shown:
        return False
    text = text.removeprefix("https://").removeprefix("http://")
    return text.startswith(shown) and text[len(shown) : len(shown) + 1] in ("", "/", "?", "#")


def _host(shown: str) -> str:
    classes = "link-host punycode" if "xn--" in shown else "link-host"
    return f'<span class="{classes}" dir="ltr">{escape(shown)}</span>'


class _Output:
    """One pass over the tokens of one text."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.headings: list[int] = []
        self.heading_tag = ""
        self.handlers: dict[str, Callable[[Sequence[Token], int], str]] = {
            "paragraph_open": self.paragraph_open,
            "paragraph_close": lambda tokens, i: "" if tokens[i].hidden else "</p>",
            "heading_open": self.heading_open,
            "heading_close": lambda tokens, i: f"</{self.heading_tag}>",
            "ordered_list_open": self.ordered_list_open,
            "list_item_open": self.list_item_open,
            "table_open": self.table_open,
            "th_open": lambda tokens, i: self.cell_open("th", tokens[i]),
            "td_open": lambda tokens, i: self.cell_open("td", tokens[i]),
            "fence": lambda tokens, i: self.code(tokens[i].content, tokens[i].info),
            "code_block": lambda tokens, i: self.code(tokens[i].content, ""),
            "math_block": lambda tokens, i: f"<p>{self.math(tokens[i].content, True)}</p>",
            "inline": lambda tokens, i: self.inline(tokens[i].children or [], False),
            "plain": lambda tokens, i: escape(tokens[i].content),
        }

    def blocks(self, tokens: Sequence[Token]) -> str:
        parts = []
        for i, token in enumerate(tokens):
            if token.level >= MAX_NESTING - 1:
                raise TooDeep
            simple = _SIMPLE.get(token.type)
            parts.append(self.handlers[token.type](tokens, i) if simple is None else simple)
            if token.level == 0 and token.nesting <= 0 and token.type not in ("inline", "plain"):
                parts.append("\n")
        return "".join(parts)

    def paragraph_open(self, tokens: Sequence[Token], i: int) -> str:
        if tokens[i].hidden:
            return ""
        # The first paragraph gives its direction to the item or quotation around it.
        first = i > 0 and tokens[i - 1].type in ("list_item_open", "blockquote_open")
        return "<p>" if first else '<p dir="auto">'

    def heading_open(self, tokens: Sequence[Token], i: int) -> str:
        level = int(tokens[i].tag[1:])
        while self.headings and self.headings[-1] >= level:
            self.headings.pop()
        self.heading_tag = f"h{min(6, 3 + len(self.headings))}"
        self.headings.append(level)
        return f'<{self.heading_tag} dir="auto">'

    def ordered_list_open(self, tokens: Sequence[Token], i: int) -> str:
        start = tokens[i].attrGet("start")
        return "<ol>" if start is None else f'<ol start="{int(start)}">'

    def list_item_open(self, tokens: Sequence[Token], i: int) -> str:
        inline = tokens[i + 2] if i + 2 < len(tokens) else None
        if inline is not None and tokens[i + 1].type == "paragraph_open" and inline.type == "inline":
            first = inline.children[0] if inline.children else None
            found = _TASK.match(first.content) if first is not None and first.type == "text" else None
            if found and first is not None:
                first.content = first.content[found.end() :]
                first.meta = {"task": found[1] != " "}
                return '<li class="task" dir="auto">'
        return '<li dir="auto">'

    def table_open(self, tokens: Sequence[Token], i: int) -> str:
        label = escape(self.labels.table)
        return f'<div class="table-scroll" tabindex="0" role="group" aria-label="{label}"><table>'

    def cell_open(self, tag: str, token: Token) -> str:
        found = _ALIGN.match(str(token.attrGet("style") or ""))
        return f'<{tag} class="align-{found[1]}" dir="auto">' if found else f'<{tag} dir="auto">'

    def code(self, content: str, info: str) -> str:
        words = info.split(" ")
        language = words[0].lower() if _LANGUAGE.fullmatch(words[0]) else "text"
        return (
            f'<div class="code" data-language="{language}" dir="ltr">'
            f'<div class="code-head"><span>{language}</span></div>'
            f'<pre tabindex="0"><code class="language-{language}">{escape(content)}</code></pre></div>'
        )

    def math(self, content: str, display: bool) -> str:
        return f'<span class="math"{" data-display" if display else ""} dir="ltr">{escape(content)}</span>'

    def inline(self, tokens: Sequence[Token], in_link: bool) -> str:
        parts: list[str] = []
        depth = 0
        closing: list[str] = []
        for i, token in enumerate(tokens):
            depth += token.nesting
            if depth > MAX_NESTING:
                raise TooDeep
            if token.type == "link_open":
                opening, end = self.link(tokens, i)
                parts.append(opening)
                closing.append(end)
            elif token.type == "link_close":
                parts.append(closing.pop())
            else:
                if token.type in ("softbreak", "hardbreak") and parts:
                    parts[-1] = parts[-1].rstrip(" ")
                parts.append(self.leaf(token, in_link or bool(closing)))
        return "".join(parts)

    def leaf(self, token: Token, in_link: bool) -> str:
        if token.type in _SIMPLE:
            return _SIMPLE[token.type]
        if token.type == "image":
            return self.image(token, in_link)
        if token.type == "code_inline":
            return f"<code>{escape(_REORDERING.sub('', token.content) if in_link else token.content)}</code>"
        if token.type == "math_inline":
            return self.math(token.content, bool(token.meta["display"]))
        text = escape(_REORDERING.sub("", token.content) if in_link else token.content)
        if "task" in token.meta:
            return f'<span class="task-box">{"☑" if token.meta["task"] else "☐"}</span> {text}'
        return text

    def link(self, tokens: Sequence[Token], i: int) -> tuple[str, str]:
        end = i
        while tokens[end].type != "link_close":
            end += 1
        target = destination(str(tokens[i].attrGet("href") or ""))
        if target is None:
            return '<span class="blocked-link">', "</span>"
        suffix = "" if _shows(_text_of(tokens[i + 1 : end]), target) else f" {_host(target.shown)}"
        return f'<a href="{escape(target.href)}" {_REL}>', f"{suffix}</a>"

    def image(self, token: Token, in_link: bool) -> str:
        alt = _text_of(token.children or []).strip(" \t\n") or self.labels.image
        parts = f'<span class="blocked-image-alt">{escape(alt)}</span>'
        target = destination(str(token.attrGet("src") or ""))
        if target is not None and not target.is_mail:
            parts += f" {_host(target.shown)}"
            if not in_link:
                parts += f' <a href="{escape(target.href)}" {_REL}>{escape(self.labels.open)}</a>'
        return f'<span class="blocked-image">{parts}</span>'
