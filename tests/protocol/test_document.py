"""docs/protocol.md says what the code does."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from chat.faults import FAULTS
from chat.models import State
from chat.protocol import frames
from chat.protocol.inbound import Inbound
from chat.urls import urlpatterns
from tests.protocol.document import DOCUMENT, generated


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text()


def test_the_tables_of_codes_are_those_of_the_code(text: str) -> None:
    assert text == generated(text), "run: python -m tests.protocol.document"


@pytest.mark.parametrize("code", FAULTS)
def test_every_code_is_described(text: str, code: str) -> None:
    assert f"| `{code}` |" in text


def test_every_address_is_described_and_no_other(text: str) -> None:
    documented = set(re.findall(r"^\| `(/[^`]*)` \|", text, re.MULTILINE)) - {"/ws/"}
    known = {"/" + re.sub(r"<(?:str|int):(\w+?)(_id)?>", r"<\1>", str(url.pattern)) for url in urlpatterns}
    assert documented == known


@pytest.mark.parametrize("frame", get_args(Inbound))
def test_every_frame_to_the_server_is_described(text: str, frame: type) -> None:
    (kind,) = get_args(frame.model_fields["type"].annotation)
    line = next(line for line in text.splitlines() if line.startswith(f'| `{{"type": "{kind}"'))
    for field in frame.model_fields:
        assert f'"{field}"' in line


MADE = {
    "hello": frames.hello("v", "alice"),
    "snapshot": frames.snapshot("t", 1, [], complete=True),
    "event": frames.event("t", 1, {}),
    "feed": frames.feed("created", {}),
    "error": frames.error("not_found"),
    "pong": frames.pong(),
}


@pytest.mark.parametrize("kind", MADE)
def test_every_frame_from_the_server_is_described(text: str, kind: str) -> None:
    import json

    line = next(line for line in text.splitlines() if line.startswith(f'| `{{"type": "{kind}"'))
    for field in json.loads(MADE[kind]):
        assert f'"{field}"' in line


def test_every_frame_that_is_made_is_known_here() -> None:
    import inspect

    makers = {name for name, _ in inspect.getmembers(frames, inspect.isfunction) if not name.startswith("_")}
    assert makers == set(MADE)


def test_every_close_code_and_state_is_described(text: str) -> None:
    for code in (
        frames.NOT_SIGNED_IN, frames.TOO_SLOW, frames.RESTARTING, frames.TOO_LARGE, frames.ABUSE,
    ):  # fmt: skip
        assert f"| {code} |" in text
    for state in State.values:
        assert f"`{state}`" in text
