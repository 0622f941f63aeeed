"""A StackSpot agent: what is asked of it, and how it is proved who asks.

Always streamed, even for one whole answer: the gateway cuts a blocking request at about 120 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from ulid import ULID

from . import options
from .auth import TokenSource, token_source
from .errors import AgentError
from .http import Vet
from .streaming import Call, StreamingClient
from .transcript import transcript
from .values import AgentConfig, AgentRequest

DEFAULT_BASE_URL: Final = "https://genai-inference-app.stackspot.com"
DEFAULT_TOKEN_URL: Final = "https://idm.stackspot.com/{realm}/oidc/oauth/token"  # noqa: S105

# Knowledge of other accounts is attached silently when `stackspot_knowledge` is true.
_BOOLEANS: Final[Mapping[str, bool]] = {
    "stackspot_knowledge": False,
    "return_ks_in_response": True,
    "use_conversation": True,
}
_OPTIONAL: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "deep_search_ks": options.boolean,
    "show_chat_processing_state": options.boolean,
    "agent_version_number": partial(options.whole, low=0),
    "selected_model": options.words,
    "knowledge_source_ids": options.list_of_words,
    "knowledge_sources": options.list_of_words,
}
OPTIONS: Final = frozenset({*_BOOLEANS, *_OPTIONAL, "cumulative", "files"})
_AGENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class StackSpotClient(StreamingClient):
    """Streams answers of one StackSpot agent."""

    def _call(self, request: AgentRequest) -> Call:
        endpoint = StackSpotEndpoint(self._config, self._http.vet)
        payload = payload_of(self._config, request)
        chosen = {**self._config.options, **request.options}
        return Call(
            self._http, self._config, self._limits, endpoint, payload,
            conversation_id=payload.get("conversation_id"),
            cumulative=options.boolean("cumulative", chosen.get("cumulative", False)),
            policy=self._policy, attempts=request.attempts,
        )  # fmt: skip


class StackSpotEndpoint:
    """The address, and the token that everybody with this credential shares."""

    renewable = True

    def __init__(self, config: AgentConfig, vet: Vet | None) -> None:
        if not _AGENT_ID.fullmatch(config.agent_id):
            raise AgentError("agent_misconfigured", detail="the agent id is not usable")
        if not (config.client_id and config.client_secret):
            raise AgentError("agent_misconfigured", detail="client id or client secret is missing")
        options.address(config.token_url, "token URL")
        base_url = options.address(config.base_url or DEFAULT_BASE_URL, "base URL")
        self._config = config
        self._tokens: TokenSource = token_source(config, vet)
        self._token = ""
        self.url = f"{base_url}/v1/agent/{config.agent_id}/chat"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._config.client_secret, self._token)

    async def headers(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        self._token = await self._tokens.get(self._token if refused is not None else None)
        return {"Authorization": f"Bearer {self._token}"}

    def headers_blocking(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        self._token = self._tokens.get_blocking(self._token if refused is not None else None)
        return {"Authorization": f"Bearer {self._token}"}


def payload_of(config: AgentConfig, request: AgentRequest) -> dict[str, Any]:
    """The body of the call. Raises AgentError for a blank prompt or an option of a wrong kind."""
    if not request.prompt.strip():
        raise AgentError("rejected", detail="the prompt is blank")
    chosen = {**config.options, **request.options}
    payload: dict[str, Any] = {
        "user_prompt": transcript(request.history, request.prompt) if request.history else request.prompt,
        "streaming": True,
    }
    for name, default in _BOOLEANS.items():
        payload[name] = options.boolean(name, chosen.get(name, default))
    if payload["use_conversation"]:
        # Made here, so that two first questions at once do not fork the conversation.
        payload["conversation_id"] = request.conversation_id or str(ULID())
    if request.upload_ids:
        payload["upload_ids"] = list(request.upload_ids)
    for name, check in _OPTIONAL.items():
        value = chosen.get(name)
        if value is not None and value != "" and value != []:
            payload[name] = check(name, value)
    return payload
