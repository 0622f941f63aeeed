"""What an agent takes: by its kind and its options. No rows are read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from chat.extract import kinds
from chat.models import Agent

#: Documents of which an agent that is told everything in the prompt gets the text.
_TOLD = (*kinds.TEXT, *kinds.PDF, *kinds.OFFICE)


@dataclass(frozen=True, slots=True)
class Taking:
    """`types` are endings of names, None for every type; `reason` a sentence where nothing is taken."""

    takes: bool
    reason: str | None = None
    max_bytes: int | None = None
    max_files: int | None = None
    types: tuple[str, ...] | None = None
    images: bool = False

    def json(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)

    def takes_kind(self, name: str, kind: str) -> bool:
        """Whether a file of this name and kind is taken."""
        if self.types is None:
            return True
        last = kinds.ending(name)
        return last in self.types or (not last and kind == "text")


def _on(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def taking(agent: Agent) -> Taking:
    """What `agent` takes. Its option `files` false takes nothing; `images` true also pictures."""
    options = agent.options if isinstance(agent.options, dict) else {}
    if not _on(options.get("files", True)):
        return Taking(False, _("This agent takes no files."))
    images, types = True, None
    if agent.kind == Agent.Kind.OPENAI:
        images = _on(options.get("images", False))
        types = tuple(sorted({*_TOLD, *(kinds.IMAGES if images else ())}))
    return Taking(True, None, settings.LIMIT_FILE_BYTES, settings.LIMIT_FILES, types, images)
