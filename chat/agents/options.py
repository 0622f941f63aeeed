"""Checks of an agent's options, each refused by its name and range. No defaults live here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from .errors import AgentError


def wrong(name: str, rule: str) -> AgentError:
    """The error for an option that cannot be used."""
    return AgentError("agent_misconfigured", detail=f"{name} must be {rule}")


def boolean(name: str, value: Any) -> bool:
    """A boolean; the words true and false are taken too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise wrong(name, "true or false")


def number(name: str, value: Any, low: float, high: float) -> float:
    """A number from `low` to `high`. A boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(name, f"a number from {low:g} to {high:g}")
    if not low <= value <= high:
        raise wrong(name, f"a number from {low:g} to {high:g}")
    return value


def whole(name: str, value: Any, low: int) -> int:
    """A whole number of at least `low`. A boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise wrong(name, f"a whole number of at least {low}")
    return value


def words(name: str, value: Any) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(name, "text that is not blank")
    return value


def list_of_words(name: str, value: Any) -> list[str]:
    """A list of texts none of which is empty."""
    if not isinstance(value, list | tuple) or not all(isinstance(member, str) and member for member in value):
        raise wrong(name, "a list of texts, none of them empty")
    return list(value)


def members(name: str, value: Any) -> dict[str, Any]:
    """A mapping with texts for keys."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(name, "an object")
    return dict(value)


@lru_cache(maxsize=256)  # asked for every call; a refusal is not kept
def address(url: str, name: str) -> str:
    """`url` without trailing slashes. Raises AgentError unless it is a plain http(s) URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    plain = url.isascii() and url.isprintable() and not any(c.isspace() for c in url)
    if not (usable and plain) or parts.username or parts.password or parts.query or parts.fragment:
        raise AgentError("agent_misconfigured", detail=f"the {name} is not usable")
    return url.rstrip("/")
