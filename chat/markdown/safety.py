"""The last word on HTML: an explicit allow-list. Twin of the DOMPurify settings in static/chat/markdown.js.

Our own output passes unchanged; whatever else reaches this point loses what is not listed here.
"""

from __future__ import annotations

import re

import nh3

OWN_CLASSES = frozenset(
    [
        "code",
        "code-head",
        "table-scroll",
        "blocked-image",
        "blocked-image-alt",
        "blocked-link",
        "link-host",
        "punycode",
        "math",
        "task",
        "task-box",
        "plain",
        "align-left",
        "align-center",
        "align-right",
    ]  # noqa: SIM905
)
TAGS = frozenset(
    [
        "a",
        "blockquote",
        "br",
        "code",
        "div",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ]  # noqa: SIM905
)
ATTRIBUTES = {
    "*": {"class", "dir"},
    "a": {"href", "target", "rel"},
    "div": {"data-language", "tabindex", "role", "aria-label"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "span": {"data-display"},
}
_LANGUAGE_CLASS = re.compile(r"language-[a-z0-9_+#.-]{1,32}")
_DESTINATION = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


def _keep_attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "class":
        kept = [word for word in value.split() if word in OWN_CLASSES or _LANGUAGE_CLASS.fullmatch(word)]
        return " ".join(kept) or None
    if name == "href" and not _DESTINATION.match(value):
        return None
    return value


_cleaner = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags={"script", "style", "template", "noscript", "iframe", "svg", "math"},
    attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
    attribute_filter=_keep_attribute,
    strip_comments=True,
    link_rel=None,
    url_schemes={"http", "https", "mailto"},
)


def sanitise(html: str) -> str:
    """Return `html` with only allow-listed elements, attributes, classes and destinations."""
    return _cleaner.clean(html)
