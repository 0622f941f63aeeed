"""Whatever happens to conversations, people and processes, the ledger holds what the agent reported."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from tests.agent_server import drop, hang, refuse, say, usage
from tests.faults.conftest import House
from tests.real_server import wait_for

STEPS = 20


class Life:
    """Random things that people, agents and machines do, one after the other."""

    def __init__(self, house: House, seed: int) -> None:
        self.house, self.chance = house, random.Random(seed)
        self.ended: list[dict[str, str]] = []

    def step(self) -> None:
        verbs = [
            self.answer,
            self.answer,
            self.stop,
            self.fail,
            self.again,
            self.retry,
            self.branch,
            self.delete,
        ]
        self.chance.choice(verbs)()

    def _script(self) -> None:
        counts = [self.chance.choice([None, 0, 1, 17, 4000]) for _ in range(3)]
        self.house.agent_server.answer(say("some ", "text"), usage(*counts))

    def _ask(self, **fields: Any) -> dict[str, str]:
        return self.house.ask(**fields)

    def answer(self) -> None:
        self._script()
        old = (
            self.chance.choice(self.ended)["conversation"]
            if self.ended and self.chance.random() < 0.5
            else None
        )
        sent = self._ask(conversation=old)
        self.house.ended(sent)
        self.ended.append(sent)

    def stop(self) -> None:
        self.house.agent_server.answer(say("half "), hang())
        sent = self._ask()
        wait_for(lambda: self.house.row(sent)["text"], what="some text")
        self.house.stop(sent)
        self.house.ended(sent)

    def fail(self) -> None:
        self.house.agent_server.answer(say("half "), drop())
        self.house.ended(self._ask())

    def again(self) -> None:
        self.house.agent_server.answer(refuse(429, Retry_After="0"))
        self.answer()

    def retry(self) -> None:
        if self.ended:
            old = self.chance.choice(self.ended)
            self._again(f"/c/{old['conversation']}/retry/", {"answer": old["answer"]})

    def branch(self) -> None:
        if self.ended:
            old = self.chance.choice(self.ended)
            asked = {"text": "asked otherwise", "agent": self.house.agent, "parent": "root"}
            self._again(f"/c/{old['conversation']}/messages/", asked)

    def _again(self, path: str, fields: dict[str, str]) -> None:
        self._script()
        answer = self.house.post(path, fields, Idempotency_Key=str(ULID()))
        assert answer.status_code == 202, answer.text
        self.house.ended(answer.json())

    def delete(self) -> None:
        if self.ended:
            gone = self.chance.choice(self.ended)
            assert self.house.post(f"/c/{gone['conversation']}/delete/").ok
            for sent in (self.ended, self.house.sent):
                sent[:] = [one for one in sent if one["conversation"] != gone["conversation"]]

    def kill(self) -> None:
        self.house.agent_server.answer(say("half "), hang())
        sent = self._ask()
        wait_for(lambda: self.house.row(sent)["text"], what="some text")
        self.house.server.kill()
        self.house.server.restart()
        # With Redis it might have been another process's: it is ended once that one's lease is over.
        assert self.house.ended(sent, 45)["state"] == "interrupted"


def test_after_a_random_life_the_sum_is_what_the_agent_reported(
    own_house: Callable[..., House],
) -> None:
    """Asks, stops, fails, is refused, tries again, branches, deletes, kills; then compares."""
    house = own_house(STKWEB_LEASE_SECONDS="3")
    life = Life(house, 4)
    for part in range(2):
        for _ in range(STEPS // 2):
            life.step()
        life.kill()
        assert house.ledger_sum() == house.agent_server.usage_total, f"after part {part}"
    count = house.server.rows("SELECT count(*) FROM chat_ledgerentry")[0][0]
    assert count == len(house.agent_server.chats), "one row for each request that was made"
    everybody = house.server.manage("shell", "-c", _GONE)
    assert everybody.returncode == 0, everybody.stderr
    assert house.ledger_sum() == house.agent_server.usage_total, "people and conversations are gone"
    for command in (["verify_ledger"], ["rollups", "--compare"]):
        done = house.server.manage(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    house.sent.clear()


#: Everybody is renamed, everything is purged, then everybody is deleted.
_GONE = """
from django.contrib.auth import get_user_model
from chat.models import Conversation
people = get_user_model().objects
[people.filter(pk=p.pk).update(username='x' + p.username) for p in people.all()]
Conversation.objects.all().delete()
people.all().delete()
"""


@pytest.mark.django_db
def test_a_clock_that_jumps_breaks_neither_chain_nor_sums() -> None:
    from datetime import UTC

    from chat import audit
    from chat.models import LedgerEntry
    from tests.models.conftest import make_entry

    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    jumps = [now + timedelta(hours=hours) for hours in (0, 5, -30, 1, -1, 0)]
    for moment in jumps:
        LedgerEntry.objects.append([make_entry(started_at=moment, ended_at=moment - timedelta(seconds=3))])
    assert LedgerEntry.objects.first_broken() is None
    wide = audit.Filter(now - timedelta(days=9), now + timedelta(days=9))
    assert audit.report(wide).total.calls == audit.exact(wide).total.calls == 6
    day = audit.Filter(now - timedelta(hours=12), now + timedelta(hours=12))
    assert audit.report(day).total.calls == 5
