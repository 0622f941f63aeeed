"""Typed readers of the environment, used by settings alone.

A variable NAME may be given as NAME_FILE, whose file's content is then the value (Docker and
systemd hand secrets over like that). A value that does not parse stops the start with one line.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

#: Every name that was asked for, so that a test can hold docs/deploying.md to the code.
NAMES: set[str] = set()


def env(name: str, default: str = "") -> str:
    """The value of NAME, or of the file that NAME_FILE names; an empty value counts as unset."""
    NAMES.add(name)
    path = os.environ.get(f"{name}_FILE", "")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise ImproperlyConfigured(f"{name}_FILE={path!r} cannot be read: {exc.strerror}") from exc
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """`1 true yes on` or `0 false no off`, in any case."""
    value = env(name, "1" if default else "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false")


def env_int(name: str, default: int, minimum: int = 0) -> int:
    """A whole number of at least `minimum`."""
    value = env(name, str(default))
    try:
        number = int(value.replace("_", ""))
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number") from exc
    if number < minimum:
        raise ImproperlyConfigured(f"{name}={value!r} is below {minimum}")
    return number


def env_float(name: str, default: float) -> float:
    """A number of seconds above zero."""
    value = env(name, str(default))
    try:
        number = float(value)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}={value!r} is not a number") from exc
    if not 0 < number < 1e9:
        raise ImproperlyConfigured(f"{name}={value!r} is not a number above zero")
    return number


def env_list(name: str, default: str = "") -> list[str]:
    """Values parted by commas; empty ones are left out."""
    return [part.strip() for part in env(name, default).split(",") if part.strip()]


def env_choice(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`; the first of them when it is not set."""
    value = env(name, choices[0]).lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of {', '.join(choices)}")
    return value


def env_choices(name: str, default: str, none: str) -> list[str]:
    """Some of the values that `default` lists; the word `none` stands for not a single one."""
    found = [value.lower() for value in env_list(name, default)]
    if found == [none]:
        return []
    unknown = sorted(set(found) - set(default.split(",")))
    if unknown:
        raise ImproperlyConfigured(f"{name}: {', '.join(unknown)} is none of {default} or {none}")
    return found
