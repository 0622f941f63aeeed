"""docs/files.md says what the doors do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chat.faults import FAULTS
from chat.files.taking import taking
from chat.models import Agent, FileState, Handing
from tests.files.conftest import SLICE, Giver

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.S)]

pytestmark = pytest.mark.django_db


def test_a_state_has_the_documented_fields(giver: Giver, demo_agent: Agent) -> None:
    state = giver.give("a.txt", b"hello")
    documented = BLOCKS[0]
    assert set(state) == set(documented) and documented["slice"] == SLICE
    from chat.models import ContextFile

    row = ContextFile.objects.get(public_id=state["id"])
    Handing.objects.create(file=row, agent=demo_agent, state="handed", at=row.created_at)
    assert set(giver.state(state["id"])["handed"][0]) == set(documented["handed"][0])


def test_what_an_agent_takes_has_the_documented_fields(demo_agent: Agent) -> None:
    assert set(taking(demo_agent).json()) == set(BLOCKS[1])


def test_an_attachment_has_the_documented_fields() -> None:
    from chat.models import ContextFile, FileBytes
    from chat.turns.items import attachment

    row = ContextFile(name="plan.png", type="image/png", kind="image", size=1, state=FileState.READY)
    row.stored = FileBytes(thumbnail="x")
    found: dict[str, Any] = attachment(row)
    assert set(found) == set(BLOCKS[2]) and set(found["stkweb"]) == set(BLOCKS[2]["stkweb"])


def test_every_state_and_only_codes_that_exist_are_named() -> None:
    for state in (*FileState.values, *Handing.State.values):
        assert f"`{state}`" in DOCUMENT
    codes = set(re.findall(r"`((?:files?|slice|upload|too_many|wrong|cannot|key|image)_\w+)`", DOCUMENT))
    assert codes <= set(FAULTS) and len(codes) >= 10
