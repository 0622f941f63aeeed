"""Markdown from agents and people -> safe HTML, for what is stored, shared and printed.

The twin of static/chat/markdown.js: for every text both give the same HTML, byte for byte. A change to one is
a change to both, held by tests/markdown/examples. Must not touch rows, requests or the network.
"""

from __future__ import annotations

import hashlib
import re

from chat.bounded import Kept
from chat.markdown.output import Labels, TooDeep, plain, render_tokens
from chat.markdown.rules import make_parser
from chat.markdown.safety import sanitise

__all__ = ["MAX_UNITS", "Labels", "render"]

# UTF-16 code units, as the browser counts. 512 Ki take about a second here; beyond it text stays plain.
MAX_UNITS = 512 * 1024
CACHE_BYTES = 32 * 1024 * 1024

# Lone surrogates and control characters except newline, return and tab.
_CONTROLS = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_parser = make_parser()
_cache: Kept[str] = Kept(CACHE_BYTES)


def render(text: str, labels: Labels | None = None) -> str:
    """Return `text` (Markdown of any origin) as HTML that is safe to mark as such in a template.

    labels: the few words the HTML itself contains; by default those of the active language. Never raises for
    any text: what is too long or nested too deeply comes back as escaped preformatted text.
    """
    labels = labels or Labels.active()
    text = _CONTROLS.sub("\ufffd", text)
    key = hashlib.blake2b(repr((labels, text)).encode(), digest_size=16).digest()
    html = _cache.get(key)
    if html is None:
        html = sanitise(_render(text, labels))
        _cache.put(key, html, len(html.encode()) + len(key))
    return html


def _render(text: str, labels: Labels) -> str:
    if _is_too_long(text):
        return plain(text)
    try:
        return render_tokens(_parser.parse(text), labels)
    except TooDeep:
        return plain(text)


def _is_too_long(text: str) -> bool:
    if len(text) * 2 <= MAX_UNITS:
        return False
    return len(text.encode("utf-16-le")) // 2 > MAX_UNITS
