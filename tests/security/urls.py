"""Every address of the product, decided upon one by one; a test holds this list to the URL map.

reads   answers GET, changes nothing
writes  answers POST alone
form    shows a form on GET, changes something on POST
"""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

KINDS = {
    "login": "form",
    "logout": "writes",
    "preferences": "writes",
    "session": "reads",
    "livez": "reads",
    "readyz": "reads",
    "metrics": "reads",
    "password_change": "form",
    "password_change_done": "reads",
    "home": "reads",
    "create": "writes",
    "conversation": "reads",
    "older": "reads",
    "send": "writes",
    "stop": "writes",
    "retry": "writes",
    "continue": "writes",
    "show": "writes",
    "tool_output": "writes",
    "rename": "writes",
    "delete": "writes",
    "restore": "writes",
    "draft": "writes",
    "usage": "reads",
    "usage_now": "reads",
    "usage_more": "writes",
    "usage_go_over": "writes",
    "usage_told": "writes",
}

#: Addresses of one conversation.
OF_A_CONVERSATION = {
    name
    for name, kind in KINDS.items()
    if name
    in {
        "conversation",
        "older",
        "send",
        "stop",
        "retry",
        "continue",
        "show",
        "rename",
        "delete",
        "restore",
        "tool_output",
    }
}

#: What a script would send to each that writes; ids are filled in.
BODIES: dict[str, dict[str, object]] = {
    "create": {"text": "planted question"},
    "send": {"text": "planted question"},
    "retry": {"answer": "{answer}"},
    "continue": {"answer": "{answer}"},
    "show": {"answer": "{answer}"},
    "tool_output": {"call": "planted_a", "output": "planted output"},
    "rename": {"title": "planted title"},
    "draft": {"conversation": "{conversation}", "text": "planted draft"},
    "preferences": {"theme": "dark"},
    "usage_more": {"budget": "planted", "reason": "planted reason"},
    "usage_go_over": {"budget": "planted"},
    "usage_told": {},
}


def patterns() -> Iterator[tuple[str, str]]:
    """(name, route) of every address outside the administration and beside share links' and files'.

    Those have rules of their own: tests/sharing/test_addresses.py, tests/files/test_access.py.
    """
    for name, route in all_patterns():
        if not name.startswith(("share_", "file")):
            yield name, route


def all_patterns() -> Iterator[tuple[str, str]]:
    """(name, route) of every address outside the administration."""
    for route, pattern in _walk(get_resolver().url_patterns, ""):
        if not route.startswith("admin/"):
            yield pattern.name or "", route


def admin_routes() -> list[str]:
    """Routes of the administration."""
    return [route for route, _ in _walk(get_resolver().url_patterns, "") if route.startswith("admin/")]


def _walk(found: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in found:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield route, pattern
