"""The product as a process, an agent that misbehaves, and what must hold after every fault.

I1  an acknowledged question exists            I4  no answer is without an end; a failure has an id
I2  one answer for each send, with one end     I7  one ledger row for each call, with what was reported:
                                                   the sums are those the agent says it sent
I3  shown text == stored text, no gap          I8  no traceback, no secret and no text in the log
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ulid import ULID

from tests.agent_server import AgentServer
from tests.real_server import PASSWORD, Server, Template, running, wait_for
from tests.tab import Tab

ENDED = {"completed", "stopped", "failed", "interrupted"}
#: Short waits, so that a fault shows itself soon; nobody is held back.
IMPATIENT = {
    "STKWEB_FIRST_BYTE_SECONDS": "1.5",
    "STKWEB_IDLE_SECONDS": "1.5",
    "STKWEB_SENDS_PER_MINUTE": "100000",
    "STKWEB_TURNS_PER_USER": "1000",
}
SECRETS = ("test-secret-", "test-token-", "test-key-", PASSWORD)


class House:
    """A server process, its scripted agent, and alice before it."""

    def __init__(self, server: Server, agent_server: AgentServer) -> None:
        self.server = server
        self.agent_server = agent_server
        self.alice = server.sign_in("alice")
        self.agent = self._add_agent()
        self.tabs: list[Tab] = []
        self.sent: list[dict[str, str]] = []
        self.texts = ["a question of alice"]
        #: The ledger's sum before this case, and what the agent may have reported to nobody in it.
        self.counted = self.ledger_sum()
        self.unheard = (0, 0, 0)

    def _add_agent(self) -> str:
        config = self.agent_server.config("stackspot")
        secret = Path(self.server.data) / "agent-secret"
        secret.write_text(config.client_secret)
        done = self.server.manage(
            "agent", "add", f"Scripted {ULID()}", "--kind", "stackspot", "--agent-id", config.agent_id,
            "--base-url", config.base_url, "--token-url", config.token_url, "--client-id", config.client_id,
            "--client-secret-file", str(secret),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return self.server.rows("SELECT public_id FROM chat_agent ORDER BY id DESC LIMIT 1")[0][0]

    # -- as alice does ---------------------------------------------------------------------------

    def post(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> requests.Response:
        return self.server.post(self.alice, path, fields, **headers)

    def send(
        self, text: str = "a question of alice", conversation: str | None = None, key: str | None = None
    ) -> requests.Response:
        path = f"/c/{conversation}/messages/" if conversation else "/c/"
        return self.post(path, {"text": text, "agent": self.agent}, Idempotency_Key=key or str(ULID()))

    def ask(self, conversation: str | None = None) -> dict[str, str]:
        answer = self.send(conversation=conversation)
        assert answer.status_code == 202, answer.text
        self.sent.append(answer.json())
        return self.sent[-1]

    def stop(self, sent: dict[str, str]) -> requests.Response:
        return self.post(f"/c/{sent['conversation']}/stop/")

    def tab(self, sent: dict[str, str] | None = None, server: Server | None = None) -> Tab:
        server = server or self.server
        cookie = f"stkweb_session={self.alice.cookies['stkweb_session']}"
        tab = Tab(server.ws_url, cookie=cookie, origin=server.base_url)
        self.tabs.append(tab)
        if sent:
            tab.subscribe(sent["conversation"])
        return tab

    # -- what is left ----------------------------------------------------------------------------

    def row(self, sent: dict[str, str]) -> dict[str, Any]:
        names = ("state", "text", "error_code", "error_id", "owner", "reasoning", "stop_requested")
        found = self.server.rows(
            f"SELECT {', '.join(names)} FROM chat_message WHERE public_id = ?", sent["answer"]
        )
        return dict(zip(names, found[0], strict=True))

    def ended(self, sent: dict[str, str], seconds: float = 15.0) -> dict[str, Any]:
        def over() -> dict[str, Any] | None:
            row = self.row(sent)
            return row if row["state"] in ENDED else None

        return wait_for(over, seconds, "the end of the answer")

    def ledger(self, sent: dict[str, str]) -> list[tuple[Any, ...]]:
        return self.server.rows(
            "SELECT user_tokens, enrichment_tokens, output_tokens, outcome FROM chat_ledgerentry"
            " WHERE message_id = ? ORDER BY id", sent["answer"],
        )  # fmt: skip

    def ledger_sum(self) -> tuple[int, ...]:
        """User, enrichment and output tokens of all calls that the scripted agent reported."""
        names = ("user_tokens", "enrichment_tokens", "output_tokens")
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        found = self.server.rows(
            f"SELECT {sums} FROM chat_ledgerentry WHERE certainty = 'reported' AND provider <> 'demo'"
        )
        return tuple(int(n) for n in found[0])

    def shown(self, sent: dict[str, str]) -> dict[str, Any]:
        """The answer's item, as a page that is opened now has it."""
        page = self.alice.get(
            f"{self.server.base_url}/c/{sent['conversation']}/", headers={"Accept": "application/json"}
        )
        assert page.status_code == 200, page.text
        return next(item for item in page.json()["items"] if item["id"] == sent["answer"])

    def close_tabs(self) -> None:
        for tab in self.tabs:
            tab.close()
        self.tabs.clear()

    def check(self) -> None:
        """I1, I2, I3, I4, I7 and I8 for everything that was sent."""
        for sent in self.sent:
            row = self.ended(sent)
            rows = self.server.rows(
                "SELECT role, text FROM chat_message WHERE public_id IN (?, ?) ORDER BY id",
                sent["question"], sent["answer"],
            )  # fmt: skip
            assert [role for role, _ in rows] == ["user", "assistant"]
            assert rows[0][1] in self.texts
            item = self.shown(sent)
            assert item["content"][0]["text"] == row["text"]
            assert item["stkweb"]["state"] == row["state"]
            if row["state"] in ("failed", "interrupted"):
                assert item["stkweb"]["error"]["code"] == row["error_code"] != ""
                assert len(item["stkweb"]["error"]["id"]) == 26
            assert row["owner"] == ""
            entries = self.ledger(sent)
            unasked = not row["text"] and row["state"] in ("stopped", "interrupted")
            outcomes = [entry[3] for entry in entries]
            # A call that was refused and made again has a row of its own before the last.
            assert outcomes == ["failed"] * (len(outcomes) - 1) + [row["state"]] or (unasked and not entries)
            for tab in self.tabs:
                if tab.item(sent["answer"]) is not None and tab.code is None:
                    wait_for(lambda tab=tab, row=row, sent=sent: tab.state(sent["answer"]) == row["state"])
                    assert tab.text(sent["answer"]) == row["text"]
        wait_for(self._sums_agree, 10, "the ledger's sum is what the agent reported")
        log = self.server.log
        assert "Traceback" not in log and "never retrieved" not in log, log[-6000:]
        for secret in (*SECRETS, *self.texts):
            assert secret not in log

    def _sums_agree(self) -> bool:
        """I7: to the token, once the agent has noted what it wrote a moment ago."""
        here = tuple(now - then for now, then in zip(self.ledger_sum(), self.counted, strict=True))
        total = self.agent_server.usage_total
        heard = tuple(all_ - lost for all_, lost in zip(total, self.unheard, strict=True))
        return here in (total, heard)

    def forget(self) -> None:
        """Begin the next case."""
        self.close_tabs()
        self.sent.clear()
        self.agent_server.reported.clear()
        self.counted, self.unheard = self.ledger_sum(), (0, 0, 0)


@pytest.fixture(scope="module")
def _patient_house(_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("faults") / "data"
    with AgentServer() as agent_server:
        settings = _template.copy_to(data)
        with running(Server(data, settings, **IMPATIENT)) as server:
            yield House(server, agent_server)


@pytest.fixture
def house(_patient_house: House) -> Iterator[House]:
    """A house that many cases share; every case ends with the invariants."""
    house = _patient_house
    house.forget()
    house.agent_server.requests.clear()
    house.agent_server.connections.clear()
    yield house
    house.check()
    house.close_tabs()


@pytest.fixture
def own_house(
    make_server: Callable[..., Server], agent_server: AgentServer
) -> Iterator[Callable[..., House]]:
    """own_house(**environment): one of the test's own, to be killed and restarted."""
    houses: list[House] = []

    def make(**environment: str) -> House:
        houses.append(House(make_server(**{**IMPATIENT, **environment}), agent_server))
        return houses[-1]

    yield make
    for house in houses:
        if house.server.running:
            house.check()
        house.close_tabs()


def elapsed(begun: float) -> float:
    return time.monotonic() - begun
