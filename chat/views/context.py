"""What every page knows: its theme and its language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

THEMES = ("system", "light", "dark")
THEME_COOKIE = "stkweb_theme"


def look(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the theme comes from a cookie, so a page never flashes in the wrong one."""
    return {"theme": theme_of(request.COOKIES)}


def theme_of(cookies: Mapping[str, str]) -> str:
    """The theme that these cookies ask for."""
    theme = cookies.get(THEME_COOKIE, "system")
    return theme if theme in THEMES else "system"
