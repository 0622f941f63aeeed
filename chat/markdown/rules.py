"""What we add to markdown-it: mathematics, bounded brackets, and which angle brackets are links.

Twin of the rules in static/chat/markdown-parse.js; keep both word for word alike. Must not produce HTML.
"""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLinkText
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.autolink import autolink
from markdown_it.token import Token

MAX_NESTING = 100
# More opening brackets than this in one paragraph make link parsing quadratic: 50,000 take 2 s.
MAX_BRACKETS = 1000
MAX_INLINE_MATH = 4000  # characters; bounds the search for the closing mark
MAX_BLOCK_MATH = 200  # lines

_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_LINK_IN_ANGLES = re.compile(r"<(?:https?:|mailto:|[^:<>\s]*@)", re.IGNORECASE)
# Letters written from the right next to Latin ones in one label: no valid host name.
_MIXED_DIRECTIONS = re.compile("[a-z0-9][^.]*[\u0590-\u08ff]|[\u0590-\u08ff][^.]*[a-z0-9]")
_WORD = re.compile(r"[0-9A-Za-z]")
_SPACE = " \t\n"
HTTP = re.compile(
    r"https?://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(?=[/?#]|\Z)", re.IGNORECASE | re.ASCII
)
MAIL = re.compile(r"mailto:([a-z0-9._%+-]+@[a-z0-9.-]+)", re.IGNORECASE | re.ASCII)
# A web or mail address in running text; what ends it is listed, because \s differs between the twins.
_ADDRESS = re.compile(
    r"(?<![0-9A-Za-z])https?://[^\x00-\x20\x7f-\xa0<>\"`{}|\\^\u1680\u2000-\u206f\u3000-\u303f\ufe00-\uff0f\ufff0-\uffff]{1,2000}"
    r"|(?<![0-9A-Za-z._%+-])[0-9A-Za-z][0-9A-Za-z._%+-]{0,63}@[0-9A-Za-z-]{1,63}(?:\.[0-9A-Za-z-]{1,63}){1,8}"
)


def make_parser() -> MarkdownIt:
    """Return the product's parser: no HTML, tables, strikethrough, links found in text."""
    parser = MarkdownIt("js-default", {"html": False, "linkify": False, "maxNesting": MAX_NESTING})
    parser.validateLink = _any_link  # type: ignore[method-assign, assignment]
    parser.block.ruler.before(
        "fence", "math", math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "math", math_inline)
    parser.inline.ruler.at("autolink", _autolink)
    parser.core.ruler.before("inline", "brackets", _bound_brackets)
    parser.core.ruler.after("inline", "find_links", _find_links)
    return parser


def _any_link(_url: str) -> bool:
    # Which destinations become links is decided when HTML is made: a refused one keeps its words alone.
    return True


def _autolink(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "<" or not _LINK_IN_ANGLES.match(state.src, state.pos):
        return False  # <xs:element> is text, not a link
    return autolink(state, silent)


def _bound_brackets(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > MAX_BRACKETS:
            token.type = "plain"


def _find_links(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and ("://" in token.content or "@" in token.content):
            token.children = _with_links(state, token.children or [])


def _with_links(state: StateCore, children: list[Token]) -> list[Token]:
    found: list[Token] = []
    in_link = 0
    for child in children:
        in_link += (child.type == "link_open") - (child.type == "link_close")
        if child.type == "text" and not in_link:
            found.extend(_split(state, child))
        else:
            found.append(child)
    return found


def _split(state: StateCore, text: Token) -> list[Token]:
    pieces: list[Token] = []
    done = 0
    for match in _ADDRESS.finditer(text.content):
        address = _trimmed(match[0])
        href = state.md.normalizeLink(address if "://" in address else f"mailto:{address}")
        if len(address) < 4 or not is_destination(href):
            continue
        opening = Token("link_open", "a", 1, attrs={"href": href})
        pieces += [
            _text(text.content[done : match.start()]),
            opening,
            _text(address),
            Token("link_close", "a", -1),
        ]
        done = match.start() + len(address)
    return [*pieces, _text(text.content[done:])] if pieces else [text]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _trimmed(address: str) -> str:
    """Return the address without the punctuation of the sentence around it."""
    while address:
        last = address[-1]
        opening = {")": "(", "]": "["}.get(last)
        if last not in ".,;:!?'*_~-)]" or (opening and address.count(opening) >= address.count(last)):
            break
        address = address[:-1]
    return address


def is_destination(href: str) -> bool:
    """Whether people may follow `href`: http, https and mailto, without user or password.

    No host name that browsers would read as another one.
    """
    if MAIL.match(href):
        return True
    if not HTTP.match(href):
        return False
    if "xn--" not in href.lower():
        return True
    host = normalizeLinkText(href)[:300].split("/")[2]
    return host == unicodedata.normalize("NFKC", host).lower() and not _MIXED_DIRECTIONS.search(host)


def math_inline(state: StateInline, silent: bool) -> bool:
    r"""Accept $...$, $$...$$, \(...\) and \[...\] inside a paragraph; money and shell variables stay text."""
    src, start = state.src, state.pos
    opening = src[start : start + 2]
    if opening in _CLOSING:
        found = _delimited(src, start, opening)
    elif src[start] == "$":
        found = _dollars(src, start)
    else:
        return False
    if found is None or found[0] > state.posMax:
        return False
    end, content = found
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content = content
        token.meta = {"display": opening in ("$$", "\\[")}
    state.pos = end
    return True


def _delimited(src: str, start: int, opening: str) -> tuple[int, str] | None:
    if start > 0 and src[start - 1] == opening[0]:
        return None
    end = src.find(_CLOSING[opening], start + 2, start + 2 + MAX_INLINE_MATH)
    content = src[start + 2 : end].strip(_SPACE) if end > 0 else ""
    return (end + 2, content) if content else None


def _dollars(src: str, start: int) -> tuple[int, str] | None:
    if start > 0 and (src[start - 1] == "$" or _WORD.match(src[start - 1])):
        return None
    end = src.find("$", start + 1, start + 1 + MAX_INLINE_MATH)
    while end > 0 and src[end - 1] == "\\":
        end = src.find("$", end + 1, start + 1 + MAX_INLINE_MATH)
    content = src[start + 1 : end] if end > 0 else ""
    after = src[end + 1 : end + 2]
    if not content or content[0] in _SPACE or content[-1] in _SPACE or after == "$" or _WORD.match(after):
        return None
    return end + 1, content


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Accept a formula on lines of its own, in $$ or \[ and \], without a blank line inside."""
    if state.is_code_block(start):
        return False
    first = _line(state, start)
    opening = first[:2]
    if opening not in ("$$", "\\["):
        return False
    last = _last_line(state, start, end, first[2:], _CLOSING[opening])
    if last is None:
        return False
    content = state.getLines(start, last + 1, state.blkIndent, False).strip(_SPACE)
    content = content.removeprefix(opening).removesuffix(_CLOSING[opening]).strip(_SPACE)
    if not content:
        return False
    if silent:
        return True
    state.line = last + 1
    token = state.push("math_block", "p", 0)
    token.content = content
    token.map = [start, state.line]
    return True


def _last_line(state: StateBlock, start: int, end: int, rest: str, closing: str) -> int | None:
    text = rest
    for line in range(start, min(end, start + MAX_BLOCK_MATH)):
        if line > start:
            text = _line(state, line)
            if not text.strip(_SPACE) or state.sCount[line] < state.blkIndent:
                return None
        at = text.find(closing)
        if at >= 0:
            return line if not text[at + 2 :].strip(_SPACE) else None
    return None


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
