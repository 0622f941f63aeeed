"""Commands are held back by budgets as people are: reserved before, settled after, refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db.models import F

from chat.models import Agent, AuditEvent, Budget, BudgetHold, BudgetPeriod, LedgerEntry, Membership
from tests.agent_server import AgentServer, Recorded, Step, say, usage

Make = Callable[..., Agent]


def ask(*arguments: str, command: str = "ask") -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def budget(**fields: Any) -> Budget:
    values = {"scope": "everyone", "measure": "tokens", "limit": 0, "period": "month", "contact": "Dora"}
    return Budget.objects.create(**{**values, **fields})


def settled() -> BudgetPeriod:
    period = BudgetPeriod.objects.get()
    assert (period.reserved, BudgetHold.objects.count()) == (0, 0)
    return period


COMMANDS = [
    pytest.param(("Model", "Hi"), "ask", id="one question"),
    pytest.param(("Model", "Hi", "--json"), "ask", id="a whole response"),
    pytest.param(("test", "Model"), "agent", id="a test of the agent"),
]


@pytest.mark.parametrize(("arguments", "command"), COMMANDS)
def test_a_hard_budget_refuses_before_the_call_with_limit_reset_and_whom_to_ask(
    make_model: Make, agent_server: AgentServer, arguments: tuple[str, ...], command: str
) -> None:
    make_model()
    budget()
    with pytest.raises(CommandError) as refused:
        ask(*arguments, command=command)
    said = str(refused.value)
    assert "The budget of 0 tokens is used up until" in said and "Ask Dora for more" in said
    assert "(budget_spent)" in said
    assert agent_server.chats == [] and LedgerEntry.objects.count() == 0
    assert not BudgetHold.objects.exists()


@pytest.mark.parametrize(("arguments", "command"), COMMANDS)
def test_a_call_is_reserved_before_and_settled_after(
    make_model: Make, agent_server: AgentServer, arguments: tuple[str, ...], command: str
) -> None:
    make_model(options={"max_tokens": 500})
    budget(limit=10_000)
    reserved: list[int] = []

    def answer(request: Recorded) -> tuple[Step, ...]:
        async def look(stream: Any) -> None:
            import asyncio

            reserved.append(await asyncio.to_thread(lambda: BudgetPeriod.objects.get().reserved))

        return look, say("hello"), usage(100, None, 30)

    agent_server.choose = answer
    ask(*arguments, command=command)
    assert len(reserved) == 1 and 500 < reserved[0] < 600
    assert settled().used == 130


def test_a_soft_budget_is_gone_over_when_it_is_confirmed_and_that_is_recorded_once(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    one = budget(hard=False)
    agent_server.always(say("hello"), usage(1, None, 1))
    with pytest.raises(CommandError, match="--over-budget") as refused:
        ask("Model", "Hi")
    assert "(budget_over)" in str(refused.value)
    for _ in range(2):
        assert "hello" in ask("Model", "Hi", "--over-budget", "--as", "night job")
    event = AuditEvent.objects.get(action="budget.confirmed")
    assert (event.target, event.data["username"]) == (f"budget:{one.public_id}", "night job")
    assert settled().used == 4


@pytest.mark.parametrize("scope", ["person", "team"])
def test_a_command_in_the_name_of_an_account_counts_for_that_person_and_team(
    make_model: Make, agent_server: AgentServer, alice: Any, scope: str
) -> None:
    team = Group.objects.create(name="Payments")
    Membership.objects.create(user=alice, team=team)
    make_model()
    Budget.objects.create(scope=scope, measure="tokens", limit=1, period="month", **(
        {"person": alice} if scope == "person" else {"team": team}
    ))  # fmt: skip
    agent_server.always(say("hello"), usage(1, None, 1))
    assert "hello" in ask("Model", "Hi", "--as", "nobody's")
    assert "hello" in ask("Model", "Hi", "--as", "alice")
    with pytest.raises(CommandError, match="budget_spent"):
        ask("Model", "Hi", "--as", "alice")
    found = LedgerEntry.objects.order_by("pk").values_list("username", "user_id", "team")
    assert list(found) == [("nobody's", None, ""), ("alice", alice.pk, "Payments")]
    assert settled().used == 2


def test_a_hard_budget_is_not_gone_over(make_model: Make, agent_server: AgentServer) -> None:
    make_model()
    budget(hard=False)
    budget()
    with pytest.raises(CommandError, match="budget_spent"):
        ask("Model", "Hi", "--over-budget")
    assert agent_server.chats == []
    assert not AuditEvent.objects.filter(action="budget.confirmed").exists()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_batch_uses_what_is_left_says_why_it_ends_and_goes_on_later(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, workers: int
) -> None:
    """Each of them may use some 2,000 tokens and uses 500: workers wait for what others leave."""
    make_model()
    budget(limit=2500)
    agent_server.always(say("hello"), usage(100, None, 400))
    prompts, out = tmp_path / "prompts", tmp_path / "answers"
    prompts.write_text("".join(json.dumps(f"question {n}") + "\n" for n in range(8)))
    batch = ("Model", f"--batch={prompts}", f"--out={out}", f"--workers={workers}")
    with pytest.raises(CommandError, match="budget_spent"):
        ask(*batch)
    found = [json.loads(line)["status"] for line in out.read_text().splitlines()]
    assert found == ["SUCCESS"] * 5
    assert len(agent_server.chats) == LedgerEntry.objects.count() == 5
    assert settled().used == 2500
    Budget.objects.update(limit=F("limit") + 10_000)
    ask(*batch)
    assert [json.loads(line)["prompt"] for line in out.read_text().splitlines()] == [
        f"question {n}" for n in range(8)
    ]
    assert len(agent_server.chats) == 8
    settled()
