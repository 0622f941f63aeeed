"""A StackSpot agent: what is asked of it, and how it is proved who asks.

Always streamed, even for one whole answer: the gateway cuts a blocking request at about 120 s.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ulid import ULID

from .auth import TokenSource, token_source
from .errors import AgentError
from .http import HttpSession
from .retry import RetryPolicy
from .streaming import Call, OpenResponses, stream_answer
from .transcript import transcript
from .values import AgentConfig, AgentEvent, AgentRequest, Limits

DEFAULT_BASE_URL: Final = "https://genai-inference-app.stackspot.com"
DEFAULT_TOKEN_URL: Final = "https://idm.stackspot.com/{realm}/oidc/oauth/token"  # noqa: S105

# Knowledge of other accounts is attached silently when `stackspot_knowledge` is true.
_BOOLEANS: Final[Mapping[str, bool]] = {
    "stackspot_knowledge": False,
    "return_ks_in_response": True,
    "use_conversation": True,
}
_OPTIONAL: Final[Mapping[str, type]] = {
    "deep_search_ks": bool,
    "show_chat_processing_state": bool,
    "agent_version_number": int,
    "selected_model": str,
    "knowledge_source_ids": list,
    "knowledge_sources": list,
}
OPTIONS: Final = frozenset({*_BOOLEANS, *_OPTIONAL, "cumulative"})
_AGENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class StackSpotClient:
    """Streams answers of one StackSpot agent. Safe for any number of streams at once."""

    def __init__(
        self, config: AgentConfig, http: HttpSession, limits: Limits, policy: RetryPolicy | None = None
    ) -> None:
        self._config = config
        self._http = http
        self._limits = limits
        self._policy = policy or RetryPolicy()
        self._responses = OpenResponses()

    async def stream(self, request: AgentRequest) -> AsyncGenerator[list[AgentEvent], None]:
        """The events of one answer, those of each network read in one list.

        Ends after one `Done`; raises AgentError. `Done.conversation_id` is the id to send with the
        next question of the branch.
        """
        endpoint = _StackSpotEndpoint(self._config)
        payload = payload_of(self._config, request)
        options = {**self._config.options, **request.options}
        call = Call(
            self._http,
            self._config,
            self._limits,
            endpoint,
            payload,
            conversation_id=payload.get("conversation_id"),
            cumulative=boolean("cumulative", options.get("cumulative", False)),
            policy=self._policy,
        )
        answer = stream_answer(call, self._responses)
        try:
            async for events in answer:
                yield events
        finally:
            await answer.aclose()

    async def aclose(self) -> None:
        """Closes the upstream connection of every stream at once."""
        self._responses.close_all()


class _StackSpotEndpoint:
    def __init__(self, config: AgentConfig) -> None:
        if not _AGENT_ID.fullmatch(config.agent_id):
            raise AgentError("agent_misconfigured", detail="the agent id is not usable")
        if not (config.client_id and config.client_secret):
            raise AgentError("agent_misconfigured", detail="client id or client secret is missing")
        check_url(config.token_url, "token URL")
        base_url = check_url(config.base_url or DEFAULT_BASE_URL, "base URL")
        self._config = config
        self._tokens: TokenSource = token_source(config)
        self._token = ""
        self.url = f"{base_url}/v1/agent/{config.agent_id}/chat"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._config.client_secret, self._token)

    async def headers(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        self._token = await self._tokens.get(self._token if refused is not None else None)
        return {"Authorization": f"Bearer {self._token}"}


def payload_of(config: AgentConfig, request: AgentRequest) -> dict[str, Any]:
    """The body of the call. Raises AgentError for a blank prompt or an option of a wrong kind."""
    if not request.prompt.strip():
        raise AgentError("rejected", detail="the prompt is blank")
    options = {**config.options, **request.options}
    payload: dict[str, Any] = {
        "user_prompt": transcript(request.history, request.prompt) if request.history else request.prompt,
        "streaming": True,
    }
    for name, default in _BOOLEANS.items():
        payload[name] = boolean(name, options.get(name, default))
    if payload["use_conversation"]:
        # Made here, so that two first questions at once do not fork the conversation.
        payload["conversation_id"] = request.conversation_id or str(ULID())
    if request.upload_ids:
        payload["upload_ids"] = list(request.upload_ids)
    for name, kind in _OPTIONAL.items():
        value = options.get(name)
        if value is not None and value != "" and value != []:
            payload[name] = _checked(name, value, kind)
    return payload


def _checked(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        return boolean(name, value)
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise AgentError("agent_misconfigured", detail=f"{name} must be a whole number")
    elif kind is list:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
            raise AgentError("agent_misconfigured", detail=f"{name} must be a list of ids")
        return list(value)
    elif not isinstance(value, kind):
        raise AgentError("agent_misconfigured", detail=f"{name} must be text")
    return value


def boolean(name: str, value: Any) -> bool:
    """A boolean of an option; the words true and false are taken too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise AgentError("agent_misconfigured", detail=f"{name} must be true or false")


def check_url(url: str, name: str) -> str:
    """`url` without trailing slashes. Raises AgentError unless it is a plain http(s) URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise AgentError("agent_misconfigured", detail=f"the {name} is not usable")
    if not url.isascii() or any(c.isspace() for c in url) or not url.isprintable():
        raise AgentError("agent_misconfigured", detail=f"the {name} is not usable")
    return url.rstrip("/")
