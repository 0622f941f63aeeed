"""Any server with OpenAI's /chat/completions: what is sent, and in which provider's words.

`base_url` ends before /chat/completions, `agent_id` is the model, `client_secret` the API key. The
upstream remembers nothing: the whole branch goes along as messages, and no conversation id ever
comes back, so that nobody takes it for one who knows the branch.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from . import options
from .errors import AgentError
from .streaming import Call, StreamingClient, encode
from .tools import check_tools
from .values import AgentConfig, AgentRequest, FilePart, HistoryMessage

# Tokens a provider may spend on thinking, for those who count instead of taking a word.
_BUDGETS: Final = {"low": 1024, "medium": 8192, "high": 32768, "xhigh": 65536}
_EFFORTS: Final = ("minimal", "low", "medium", "high", "xhigh")


def _stop(name: str, value: Any) -> Any:
    found = options.list_of_words(name, [value] if isinstance(value, str) else value)
    if not 1 <= len(found) <= 4:
        raise options.wrong(name, "one to four texts, none of them empty")
    return value if isinstance(value, str) else found


def _logit_bias(name: str, value: Any) -> Any:
    return {
        token: options.number(f"{name}[{token}]", bias, -100, 100)
        for token, bias in options.members(name, value).items()
    }


def _tool_choice(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value in ("auto", "none", "required"):
            return value
        return {"type": "function", "function": {"name": options.words(name, value)}}
    return options.members(name, value)


_PARAMETERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "temperature": partial(options.number, low=0, high=2),
    "top_p": partial(options.number, low=0, high=1),
    "max_tokens": partial(options.whole, low=1),
    "max_completion_tokens": partial(options.whole, low=1),
    "presence_penalty": partial(options.number, low=-2, high=2),
    "frequency_penalty": partial(options.number, low=-2, high=2),
    "seed": partial(options.whole, low=-(2**63)),
    "stop": _stop,
    "logit_bias": _logit_bias,
    "user": options.words,
    "response_format": options.members,
    "tools": check_tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": options.boolean,
}
OPTIONS: Final = frozenset({
    *_PARAMETERS, "system", "include_usage", "reasoning", "provider", "key_header", "param_aliases", "extra",
    "files", "images",
})  # fmt: skip


class OpenAIClient(StreamingClient):
    """Streams answers of one model."""

    def _call(self, request: AgentRequest) -> Call:
        endpoint = OpenAIEndpoint(self._config)
        payload = payload_of(self._config, request)
        return Call(
            self._http, self._config, self._limits, endpoint, payload, policy=self._policy,
            attempts=request.attempts,
        )  # fmt: skip


class OpenAIEndpoint:
    """The address and the key. A key is not renewed: 401 is the answer."""

    renewable = False

    def __init__(self, config: AgentConfig) -> None:
        key = config.client_secret
        if not (key.isascii() and key.isprintable()) or key != key.strip():
            raise AgentError("agent_misconfigured", detail="the API key is not usable")
        header = config.options.get("key_header") or "Authorization"
        if not (isinstance(header, str) and header.isascii() and header.replace("-", "").isalnum()):
            raise options.wrong("key_header", "the name of a header")
        self.url = options.address(config.base_url, "base URL") + "/chat/completions"
        self.secrets = (key,)
        bearer = f"Bearer {key}" if header.lower() == "authorization" else key
        self._headers: Mapping[str, str] = {header: bearer} if key else {}

    async def headers(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        return self._headers

    def headers_blocking(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        return self._headers


def payload_of(config: AgentConfig, request: AgentRequest) -> dict[str, Any]:
    """The body of the call. Raises AgentError for a blank prompt or an option out of its range.

    Nothing is sent that was not set: some models refuse even a temperature of 1.
    """
    goes_on = bool(request.history) and request.history[-1].role == "tool"
    if not request.prompt.strip() and not goes_on:
        raise AgentError("rejected", detail="the prompt is blank")
    if request.upload_ids:
        raise AgentError("rejected", detail="this kind of agent takes no uploaded files")
    chosen = {**config.options, **request.options}
    unknown = sorted(set(chosen) - OPTIONS)
    if unknown:
        raise options.wrong(unknown[0], "an option of this kind of agent")
    payload: dict[str, Any] = {
        "model": options.words("model", config.agent_id),
        "messages": _messages(chosen.get("system"), request),
        "stream": True,
    }
    if options.boolean("include_usage", chosen.get("include_usage", True)):
        payload["stream_options"] = {"include_usage": True}
    for name, check in _PARAMETERS.items():
        if chosen.get(name) is not None:
            payload[name] = check(name, chosen[name])
    if chosen.get("reasoning") is not None:
        payload |= reasoning_of(provider_of(config.base_url, chosen.get("provider")), chosen["reasoning"])
    for name, alias in options.members("param_aliases", chosen.get("param_aliases") or {}).items():
        if name in payload:
            payload[options.words("param_aliases", alias)] = payload.pop(name)
    return payload | options.members("extra", chosen.get("extra") or {})


def _messages(system: Any, request: AgentRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": options.words("system", system)})
    messages += map(_message, request.history)
    if request.prompt:
        messages.append({"role": "user", "content": content_of(request.prompt, request.files)})
    return messages


def content_of(text: str, files: Sequence[FilePart]) -> str | list[dict[str, Any]]:
    """A question with its files: their texts before it, pictures as parts of their own."""
    told = "\n\n".join([*(_told(part) for part in files if part.image is None), text])
    pictures = [part for part in files if part.image is not None]
    if not pictures:
        return told
    named = "\n".join([*(f"[picture: {part.name}]" for part in pictures), told])
    return [{"type": "text", "text": named}, *(_picture(part) for part in pictures)]


def _told(part: FilePart) -> str:
    name = part.name.replace('"', "'")
    if part.text is None:
        return f'<file name="{name}" type="{part.media_type}" size="{part.size}"/>'
    cut = "\n[the rest of this file was left out]" if part.cut else ""
    return f'<file name="{name}" type="{part.media_type}">\n{part.text}{cut}\n</file>'


def _picture(part: FilePart) -> dict[str, Any]:
    content = b64encode(part.image or b"").decode()
    return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{content}"}}


def _message(message: HistoryMessage) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    found: dict[str, Any] = {"role": message.role, "content": content_of(message.text, message.files)}
    if message.calls:
        # Some servers refuse an empty text, all of them take none beside calls.
        found["content"] = message.text or None
        found["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.name, "arguments": encode(call.arguments).decode()}}
            for call in message.calls
        ]  # fmt: skip
    return found


_HOSTS: Final = (
    ("deepseek", "thinking"),
    ("bigmodel", "thinking"),
    ("z.ai", "thinking"),
    ("zhipu", "thinking"),
    ("minimax", "thinking"),
    ("anthropic", "anthropic"),
    ("moonshot", "none"),
    ("dashscope", "qwen"),
    ("aliyun", "qwen"),
    ("openrouter", "openrouter"),
)
_PROVIDERS: Final = frozenset({"thinking", "anthropic", "qwen", "openrouter", "openai", "none"})


def provider_of(base_url: str, named: Any = None) -> str:
    """How a server wants to be asked for reasoning: as `named`, else by its host."""
    if named is not None:
        if named not in _PROVIDERS:
            raise options.wrong("provider", "one of " + ", ".join(sorted(_PROVIDERS)))
        return str(named)
    host = urlsplit(base_url).hostname or ""
    return next((provider for part, provider in _HOSTS if part in host), "openai")


def reasoning_of(provider: str, wanted: Any) -> dict[str, Any]:
    """The parameters that ask `provider` for reasoning: true, false, or {effort, max_tokens}."""
    if isinstance(wanted, Mapping):
        effort = wanted.get("effort", "medium")
        if effort not in _EFFORTS:
            raise options.wrong("reasoning.effort", "one of " + ", ".join(_EFFORTS))
        budget = wanted.get("max_tokens")
        budget = None if budget is None else options.whole("reasoning.max_tokens", budget, 1)
        on = True
    else:
        on, effort, budget = options.boolean("reasoning", wanted), "medium", None
    tokens = budget or _BUDGETS.get(effort, _BUDGETS["low"])
    if provider == "thinking":
        return {"thinking": {"type": "enabled" if on else "disabled"}}
    if provider == "qwen":
        return {"enable_thinking": True, "thinking_budget": tokens} if on else {"enable_thinking": False}
    if provider == "anthropic":
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}} if on else {}
    if provider == "openrouter":
        if not on:
            return {"reasoning": {"enabled": False}}
        return {"reasoning": {"max_tokens": budget} if budget else {"effort": effort}}
    return {"reasoning_effort": effort} if on and provider == "openai" else {}
