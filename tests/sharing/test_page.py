"""What a reader's page holds: fields of the allow-list and nothing else; harmless, light, few queries."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Message, Share, State
from chat.sharing.snapshot import MESSAGE_FIELDS, TOP_FIELDS, Shown
from tests.sharing.conftest import Link, add_turn

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = json.loads((ROOT / "tests/markdown/hostile.json").read_text(encoding="utf-8"))
ALL = Shown(("names", "reasoning", "tokens"))
#: Everything that a page may hold beside the texts: elements of the frame and of Markdown.
ELEMENTS = {
    "html", "head", "meta", "title", "link", "body", "main", "header", "h1", "h2", "h3", "h4", "h5", "h6",
    "p", "time", "div", "article", "details", "summary", "footer", "span", "form", "input", "button", "a",
    "strong", "em", "s", "br", "hr", "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th",
    "td", "pre", "code",
}  # fmt: skip


def words(count: int, seed: int) -> str:
    """Text that compresses as prose does, not as one sentence a hundred times."""
    dice = random.Random(seed)
    vocabulary = re.findall(
        r"[a-zà-ú]{3,}", (ROOT / "chat/faults.py").read_text() + (ROOT / "docs/agents.md").read_text()
    )
    return " ".join(dice.choice(vocabulary) for _ in range(count))


def test_the_frozen_text_has_the_fields_of_the_allow_list_alone(
    conversation: Conversation, share: Callable[..., Link]
) -> None:
    Message.objects.filter(role="assistant").update(
        reasoning="hm", stop_reason="length", sources=[{"id": "1", "title": "Secret source", "url": None}],
        error_code="stalled", upstream_conversation="01UPSTREAM", state=State.STOPPED,
    )  # fmt: skip
    content = json.loads(share(conversation, ALL).row.versions.get().content)
    assert set(content) <= TOP_FIELDS
    for message in content["messages"]:
        assert set(message) <= MESSAGE_FIELDS
    assert {"role", "text", "agent", "unfinished", "reasoning"} <= {n for m in content["messages"] for n in m}
    bare = json.loads(share(conversation).row.versions.get().content)
    assert set(bare) == TOP_FIELDS - {"author"}


def test_the_page_holds_nothing_of_the_rows_but_what_was_frozen(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], alice: Any,
    bob: Any, demo_agent: Any,
) -> None:  # fmt: skip
    alice.email, alice.first_name = "alice.prado@corp.example", "Alice"
    alice.save()
    demo_agent.base_url, demo_agent.agent_id = "https://agents.internal", "01AGENT"
    demo_agent.description = "Planted description"
    demo_agent.save()
    Message.objects.filter(role="assistant").update(
        sources=[{"id": "doc-77", "title": "Planted source", "url": "https://wiki.internal/77"}],
        upstream_conversation="01UPSTREAMCONVERSATION", error_id="01ERROR",
    )  # fmt: skip
    link = share(conversation)
    add_turn(conversation, alice, demo_agent, "Later?", "A later answer.")
    planted = [
        "alice", "Alice", "corp.example", "agents.internal", "01AGENT", "Planted", "doc-77", "wiki.internal",
        "01UPSTREAMCONVERSATION", "01ERROR", "Later", "later answer", link.row.public_id,
        conversation.public_id, demo_agent.public_id, link.row.token_hash,
        *Message.objects.values_list("public_id", flat=True),
    ]  # fmt: skip
    for client in (client_of(), client_of(bob)):
        page = client.get(link.path).content.decode()
        for word in planted:
            assert word not in page.replace("later messages", "").replace(link.token, ""), word
        assert not re.search(r"[0-9A-HJKMNP-TV-Z]{26}", page.replace(link.token, "")), "no ULID"


def test_the_page_has_no_other_elements_and_attributes_than_it_may(
    alice: Any, make_conversation: Callable[..., Conversation], share: Callable[..., Link], client: Client
) -> None:
    texts = [case["markdown"] if isinstance(case, dict) else str(case) for case in _hostile()]
    row = make_conversation(alice, [(text, text) for text in texts], title="<img src=x onerror=alert(1)>")
    alice.first_name = "<svg onload=alert(1)>"
    alice.save()
    Message.objects.filter(role="assistant").update(
        reasoning="<script>alert(1)</script>", agent_name="<video src=x onerror=alert(1)>"
    )
    page = client.get(share(row, Shown(ALL.choices, kept=None)).path).content.decode()
    assert set(re.findall(r"<([a-zA-Z][a-zA-Z0-9-]*)", page)) <= ELEMENTS
    tags = re.findall(r"<[a-zA-Z][^>\"]*(?:\"[^\"]*\"[^>\"]*)*>", page)
    names = {
        name
        for tag in tags
        for name in re.findall(r"\s([a-zA-Z-]+)(?==|\s|>|/)", re.sub(r'"[^"]*"', '""', tag))
    }
    assert not {name for name in names if name.startswith("on")}
    assert names <= {
        "lang", "data-theme", "charset", "name", "content", "rel", "href", "class", "id", "dir", "datetime",
        "target", "tabindex", "role", "aria-label", "data-language", "data-display", "start",
    }  # fmt: skip
    for address in re.findall(r'href="([^"]*)"', page):
        assert re.match(r"(https?://|mailto:|/static/|data:,$)", address), address
    assert "src=" not in re.sub(r">[^<]*<", "><", re.sub(r'"[^"]*"', '""', page))


def _hostile() -> list[Any]:
    found = HOSTILE if isinstance(HOSTILE, list) else next(v for v in HOSTILE.values() if isinstance(v, list))
    assert len(found) >= 100
    return found


@pytest.fixture
def long(alice: Any, demo_agent: Any) -> Conversation:
    """Two hundred messages of the length that people and agents write."""
    from django.utils import timezone

    now = timezone.now()
    row = Conversation.objects.create(owner=alice, title="Long", agent=demo_agent, updated_at=now)
    for number in range(100):
        answer = f"{words(110, number)}.\n\n- {words(12, number + 500)}\n- **{words(3, number + 900)}**\n"
        if number % 10 == 0:
            answer += "\n| Step | Locks |\n| --- | --- |\n| Add | none |\n\n```sql\nSELECT 1;\n```\n"
        add_turn(row, alice, demo_agent, words(15, number + 2000) + "?", answer)
    return row


def test_two_hundred_messages_weigh_at_most_sixty_kilobytes_compressed_without_a_script(
    long: Conversation, share: Callable[..., Link], client: Client
) -> None:
    answer = client.get(share(long).path, headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    page = gzip.decompress(answer.content).decode()
    assert page.count("<article") == 200
    assert "<script" not in page
    style = gzip.compress((ROOT / "chat/static/chat/shared.css").read_bytes())
    weight = len(answer.content) + len(style)
    assert weight <= 60_000, f"{len(answer.content)} + {len(style)} bytes"
    assert len(page) > 100_000, "or it would prove nothing"
    print(f"200 messages: {len(answer.content)} bytes of page, {len(style)} of style, {len(page)} plain")


def test_the_number_of_queries_does_not_grow_with_the_messages(
    long: Conversation, alice: Any, make_conversation: Callable[..., Conversation],
    share: Callable[..., Link], client_of: Callable[..., Client], bob: Any,
) -> None:  # fmt: skip
    short = make_conversation(alice, [("Q", "A")])
    for client in (client_of(), client_of(bob)):
        counts = []
        for row in (short, long):
            link = share(row, ALL)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert client.get(link.path).status_code == 200
            counts.append(len(queries))
        assert counts[1] <= counts[0] + 1, counts
        assert counts[0] <= 10


def test_no_request_leaves_for_what_the_text_names(
    alice: Any, make_conversation: Callable[..., Conversation], share: Callable[..., Link], client: Client
) -> None:
    row = make_conversation(alice, [("![q](https://canary.example/q)", "![a](https://canary.example/a?d=1)")])
    answer = client.get(share(row).path)
    assert "<img" not in answer.content.decode()
    policy = answer["Content-Security-Policy"]
    assert "img-src data:" in policy
    assert "default-src 'none'" in policy
    assert "canary" not in policy


def test_a_shared_page_survives_a_change_of_the_rows_below_it(
    conversation: Conversation, share: Callable[..., Link], client: Client, demo_agent: Any
) -> None:
    link = share(conversation)
    before = client.get(link.path).content
    Message.objects.update(text="changed")
    demo_agent.name = "Renamed"
    demo_agent.save()
    Conversation.objects.update(title="Renamed")
    assert client.get(link.path).content == before
    assert Share.objects.get().openings == 2
