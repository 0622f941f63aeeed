"""The outside world: clients of agents. Knows neither Django nor Channels.

http = HttpSession()
client = connect(config, http, Limits())
async for events in client.stream(AgentRequest("Hello")):
    ...
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from .demo import DemoClient
from .errors import AgentError
from .http import HttpSession
from .openai import OpenAIClient
from .pulling import Take
from .retry import RetryPolicy
from .stackspot import StackSpotClient
from .values import (
    AgentConfig,
    AgentEvent,
    AgentRequest,
    Attempt,
    Done,
    FilePart,
    HistoryMessage,
    Limits,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolsCalled,
    Usage,
)

__all__ = [
    "AgentClient",
    "AgentConfig",
    "AgentError",
    "AgentEvent",
    "AgentRequest",
    "Attempt",
    "Done",
    "FilePart",
    "HistoryMessage",
    "HttpSession",
    "Limits",
    "ReasoningDelta",
    "RetryPolicy",
    "Source",
    "SourcesFound",
    "Take",
    "TextDelta",
    "ToolCall",
    "ToolsCalled",
    "Usage",
    "connect",
]


class AgentClient(Protocol):
    """Talks to one agent."""

    async def answer(self, request: AgentRequest, take: Take) -> None:
        """Give the events of one answer to `take`, called on the loop with all events of one network
        read, at least one.

        Returns after exactly one `Done`, or raises `AgentError`; the events before it stand. What
        `take` raises ends it too. Cancelling it closes the upstream connection at once.
        """
        ...

    def stream(self, request: AgentRequest) -> AsyncGenerator[list[AgentEvent], None]:
        """The same, one item for each list of events. Nothing is sent before the first item is asked
        for. Closing the generator (`aclose`), or cancelling the task that waits for it, closes the
        upstream connection at once.
        """
        ...

    async def aclose(self) -> None:
        """Closes the upstream connections of all its streams at once."""
        ...


def connect(
    config: AgentConfig, http: HttpSession, limits: Limits | None = None, policy: RetryPolicy | None = None
) -> AgentClient:
    """The client for `config.kind`. No request is made, and no setting is looked at, before a stream.

    Raises AgentError (agent_misconfigured) for an unknown kind.
    """
    if config.kind == "stackspot":
        return StackSpotClient(config, http, limits or Limits(), policy)
    if config.kind == "openai":
        return OpenAIClient(config, http, limits or Limits(), policy)
    if config.kind == "demo":
        return DemoClient(config, limits or Limits())
    raise AgentError("agent_misconfigured", detail=f"no agent of kind {config.kind!r}")
