"""Frames from a browser, checked. Text in, a value or BadFrame out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class BadFrame(Exception):
    """Not JSON, not one of our frames, or with a field out of its range."""


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True)


ThreadId = Annotated[str, Field(min_length=1, max_length=64)]


class Subscribe(_Frame):
    """Watch a conversation; `after` is the last number that was seen, or None for all of it."""

    type: Literal["subscribe"]
    thread_id: ThreadId
    after: Annotated[int, Field(ge=0, le=2**53)] | None = None


class Unsubscribe(_Frame):
    """Stop watching."""

    type: Literal["unsubscribe"]
    thread_id: ThreadId


class Stop(_Frame):
    """End the running answer."""

    type: Literal["stop"]
    thread_id: ThreadId


class Ping(_Frame):
    """A sign of life; answered by a pong."""

    type: Literal["ping"]


Inbound = Subscribe | Unsubscribe | Stop | Ping
_adapter: TypeAdapter[Inbound] = TypeAdapter(Annotated[Inbound, Field(discriminator="type")])


def parse(text: str) -> Inbound:
    """The frame in `text`. Raises BadFrame."""
    try:
        return _adapter.validate_json(text)
    except ValidationError as exc:
        raise BadFrame from exc
