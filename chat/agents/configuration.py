"""The SDK's settings by their own names (STKAI_*), with its precedence and its errors.

For commands and scripts: what a caller gives wins over the environment, and that over the default.
An empty variable counts as unset. Nothing is read before it is asked for, and only from what is
handed in.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .retry import RetryPolicy
from .stackspot import DEFAULT_BASE_URL
from .uploads import DEFAULT_BASE_URL as DEFAULT_UPLOAD_URL
from .values import AgentConfig, Limits

Kind = Literal["text", "secret", "url", "int", "float", "bool", "wait"]


class ConfigurationError(ValueError):
    """A setting that cannot be used; its words name the setting and never show a secret."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `above` is the bound of its value, `inclusive` whether the bound itself is fine."""

    name: str
    kind: Kind
    default: Any
    above: float = 0
    inclusive: bool = False

    @property
    def variable(self) -> str:
        """The environment variable: agent.base_url is STKAI_AGENT_BASE_URL."""
        return "STKAI_" + self.name.upper().replace(".", "_")


# The SDK's defaults, but for four: a minute is too short for a reasoning model's first byte, a third
# retry of a paid call is one too many, a token URL cannot be guessed, and who waits in a queue that is
# shown may wait as long as an answer may take.
SETTINGS: Final = (
    Setting("auth.client_id", "text", None),
    Setting("auth.client_secret", "secret", None),
    Setting("auth.token_url", "url", None),
    Setting("agent.base_url", "url", DEFAULT_BASE_URL),
    Setting("agent.request_timeout", "int", 120),
    Setting("agent.retry_max_retries", "int", 2, inclusive=True),
    Setting("agent.retry_initial_delay", "float", 0.5),
    Setting("agent.max_workers", "int", 8),
    Setting("file_upload.base_url", "url", DEFAULT_UPLOAD_URL),
    Setting("file_upload.request_timeout", "int", 30),
    Setting("file_upload.transfer_timeout", "int", 120),
    Setting("file_upload.retry_max_retries", "int", 3, inclusive=True),
    Setting("file_upload.retry_initial_delay", "float", 0.5),
    Setting("file_upload.max_workers", "int", 8),
    Setting("rate_limit.enabled", "bool", False),
    Setting("rate_limit.max_requests", "int", 100),
    Setting("rate_limit.time_window", "float", 60.0),
    Setting("rate_limit.max_wait_time", "wait", None),
)
#: What the SDK reads and stkweb has no use for: a name, or the beginning of names, and why.
NOT_APPLICABLE: Final[Mapping[str, str]] = {
    "file_upload.max_workers": "the files of one question are handed over one after another",
    "rate_limit.strategy": "one queue for all; it pauses when a 429 asks for it",
    "rate_limit.min_rate_floor": "of the adaptive strategy alone",
    "rate_limit.penalty_factor": "of the adaptive strategy alone",
    "rate_limit.recovery_factor": "of the adaptive strategy alone",
    "rqc.*": "Quick Commands are not called",
}
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting as it stands. A secret's `value` says only whether there is one."""

    name: str
    value: str
    source: str


class Configuration:
    """All settings, read once. Raises ConfigurationError for the first that cannot be used."""

    def __init__(
        self, given: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        given = {name: value for name, value in (given or {}).items() if value is not None}
        environment = os.environ if environment is None else environment
        for name in given:
            if name not in _BY_NAME:
                raise ConfigurationError(f"No setting is called {name!r}")
        self._values: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        for setting in SETTINGS:
            value, source = setting.default, "default"
            if environment.get(setting.variable):
                value, source = environment[setting.variable], f"env:{setting.variable}"
            if setting.name in given:
                value, source = given[setting.name], "given"
            called = setting.variable if source.startswith("env:") else setting.name
            self._values[setting.name] = None if value is None else _read(setting, value, called)
            self._sources[setting.name] = source

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def explain(self) -> list[Explained]:
        """Every setting, its value and where it comes from; secrets masked whole."""
        return [Explained(s.name, _shown(s, self._values[s.name]), self._sources[s.name]) for s in SETTINGS]

    def agent(self, agent_id: str, **more: Any) -> AgentConfig:
        """The StackSpot agent `agent_id`. Raises ConfigurationError when no credential is set."""
        missing = [
            _BY_NAME[name].variable
            for name in ("auth.client_id", "auth.client_secret", "auth.token_url")
            if self[name] is None
        ]
        if missing:
            raise ConfigurationError("Not set: " + ", ".join(missing))
        return AgentConfig(
            "stackspot",
            more.pop("name", agent_id),
            base_url=self["agent.base_url"],
            agent_id=agent_id,
            token_url=self["auth.token_url"],
            client_id=self["auth.client_id"],
            client_secret=self["auth.client_secret"],
            options={"upload_base_url": self["file_upload.base_url"]} | dict(more.pop("options", {})),
            **more,
        )

    @property
    def requests_per_minute(self) -> int | None:
        """What rate_limit allows, at least 1; None unless it is enabled."""
        if not self["rate_limit.enabled"]:
            return None
        return max(1, int(self["rate_limit.max_requests"] * 60 / self["rate_limit.time_window"]))

    def limits(self) -> Limits:
        """Limits whose first byte is due within agent.request_timeout."""
        return Limits(first_byte=float(self["agent.request_timeout"]))

    def policy(self, section: Literal["agent", "file_upload"] = "agent") -> RetryPolicy:
        """How calls of `section` are made again."""
        return RetryPolicy(
            max_retries=self[f"{section}.retry_max_retries"],
            initial_delay=self[f"{section}.retry_initial_delay"],
            harmless=section == "file_upload",
        )


def _read(setting: Setting, value: Any, called: str) -> Any:
    shown = "***" if setting.kind == "secret" else repr(value)
    if setting.kind in ("text", "secret"):
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"Invalid value for {called}: {shown} (expected text)")
        return value
    if setting.kind == "url":
        if not isinstance(value, str) or not value.startswith(("http://", "https://")):
            raise ConfigurationError(f"Invalid value for {called}: {shown} (expected an http(s) URL)")
        return value.rstrip("/")
    if setting.kind == "bool":
        return str(value).strip().lower() in ("true", "1", "yes")
    if setting.kind == "wait" and str(value).strip().lower() in ("none", "null", "unlimited"):
        return None
    try:
        number = int(value) if setting.kind == "int" else float(value)
        usable = not isinstance(value, bool) and math.isfinite(number) and number == float(value)
    except (ValueError, TypeError, OverflowError):
        usable = False
    if not usable:
        expected = "float" if setting.kind == "wait" else setting.kind
        raise ConfigurationError(f"Invalid value for {called}: {shown} (expected {expected})")
    if number < setting.above or (number == setting.above and not setting.inclusive):
        bound = "at least" if setting.inclusive else "above"
        raise ConfigurationError(f"Invalid value for {called}: {shown} (expected {bound} {setting.above:g})")
    return number


def _shown(setting: Setting, value: Any) -> str:
    if setting.kind == "secret":
        return "set" if value else "not set"
    return "not set" if value is None else str(value)
