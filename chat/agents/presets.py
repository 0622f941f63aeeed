"""What common servers with OpenAI's interface need, as data. Nothing here is looked up or called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Preset:
    """What a common server needs. `key_header` is "" for the usual bearer token.

    `placeholder` is the part of `base_url` that everybody has to replace by a name of their own.
    """

    base_url: str
    needs_key: bool = True
    key_header: str = ""
    placeholder: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The options of an agent that speaks to such a server."""
        return {"key_header": self.key_header} if self.key_header else {}


PRESETS: Final[Mapping[str, Preset]] = {
    "openai": Preset("https://api.openai.com/v1"),
    "azure": Preset(
        "https://RESOURCE.openai.azure.com/openai/v1", key_header="api-key", placeholder="RESOURCE"
    ),
    "litellm": Preset("http://localhost:4000/v1"),
    "ollama": Preset("http://localhost:11434/v1", needs_key=False),
    "lmstudio": Preset("http://localhost:1234/v1", needs_key=False),
    "vllm": Preset("http://localhost:8000/v1", needs_key=False),
}
