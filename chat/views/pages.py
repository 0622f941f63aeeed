"""The page: a person's conversations, one of them open, and the composer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import formats, timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from chat import actions, faults, limits
from chat.actions import budgets, reading
from chat.actions.agents import secret_state
from chat.files.taking import taking
from chat.models import Agent, Conversation, Draft, Message, new_id
from chat.models.branches import Branch, read_branch
from chat.strings import strings
from chat.turns import items, runtime
from chat.version import VERSION
from chat.views.answers import error_json, member, not_there, wants_json
from chat.views.kept import kept_files
from chat.views.own_use import own_use
from chat.views.rendering import drawn

#: Conversations in the list.
LISTED = 200


@never_cache
@gzip_page
@require_safe
@member
def home(request: HttpRequest) -> HttpResponseBase:
    """The empty state: choose an agent, ask. `agent` and `text` of the query prepare the composer."""
    return _page(request, None)


@never_cache
@gzip_page
@require_safe
@member
def conversation(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """One conversation; `before` names the message above which older ones are wanted."""
    row = Conversation.objects.visible_to(request.user).select_related("agent").named(thread_id).first()
    return _page(request, row) if row else not_there(request)


@never_cache
@require_safe
@member
def older(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Messages before the message `before`, as JSON: {items, html, earlier}."""
    row = Conversation.objects.visible_to(request.user).named(thread_id).first()
    if row is None:
        return not_there(request)
    branch = read_branch(row, before=request.GET.get("before", ""))
    wire = items.of_branch(row, branch)
    context = {"items": drawn(wire, _leaf(row, branch)), "conversation": {"id": row.public_id}}
    html = render_to_string("chat/_items.html", context, request)
    return JsonResponse({"items": wire, "html": html, "earlier": branch.earlier})


@never_cache
@require_safe
def session(request: HttpRequest) -> HttpResponseBase:
    """Whether this browser is signed in: 200 {"user"} or 401. The page asks before it reconnects."""
    if not request.user.is_authenticated:
        return error_json("not_signed_in", 401)
    return JsonResponse({"user": request.user.get_username(), "version": VERSION})


def _page(request: HttpRequest, row: Conversation | None) -> HttpResponseBase:
    user = request.user
    branch = read_branch(row, before=request.GET.get("before") or None) if row else Branch([])
    wire = _with_running(row, items.of_branch(row, branch)) if row else []
    if row is not None:
        actions.mark_read(user, row)
    agents = _agents(user)
    agent = _chosen(request, row, agents)
    running = any(message.is_running for message in branch.messages)
    listed, words = _listed(user), strings()
    context = {
        "conversation": _conversation_json(row, branch, wire) if row else None,
        "items": drawn(wire, _leaf(row, branch)) if row else [],
        "earlier": branch.earlier,
        "groups": groups_of(listed, words),
        "agents": agents,
        "agent": agent,
        "draft": request.GET.get("text") or _draft(user, row),
        "notices": reading.notices(user, row) if row else [],
        "warnings": budgets.notices(user),
        "opened": [] if row else reading.unseen_notices(user),
        "kept": kept_files(request, row.public_id if row else None),
        "use": own_use(user),
        "idempotency_key": new_id(),
        "running": running,
        "strings": {**words, "faults": faults.all_texts()},
    }
    boot = _boot(request, context, wire)
    if wants_json(request):
        return JsonResponse({**boot, "conversations": listed})
    return render(request, "chat/page.html", {**context, "boot": boot})


def _leaf(row: Conversation, branch: Branch) -> str | None:
    """The id of the message that ends the conversation, where it is on this page."""
    return next((message.public_id for message in branch.messages if message.pk == row.leaf_id), None)


def _boot(request: HttpRequest, context: dict[str, Any], wire: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "user": request.user.get_username(),
        "version": VERSION,
        "conversation": context["conversation"],
        "agents": context["agents"],
        "agent": context["agent"],
        "running": context["running"],
        "earlier": context["earlier"],
        "items": wire,
        "notices": context["notices"],
        "warnings": context["warnings"],
        "send_key": request.COOKIES.get("stkweb_send", "enter"),
        "limits": {
            "prompt_bytes": settings.LIMIT_PROMPT_BYTES,
            "first_byte_seconds": limits.of_agents().first_byte,
        },
        "language": get_language(),
    }


def _with_running(row: Conversation, wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A turn of this process is shown as far as it is; the rows are up to one save behind."""
    try:
        turn = runtime.current().turns.get(row.pk)
    except runtime.NotServing:
        return wire
    if turn is None or not any(item["id"] == turn.answer.public_id for item in wire):
        return wire
    live = {item["id"]: item for item in turn.snapshot()}
    return [live.get(item["id"], item) for item in wire]


def _conversation_json(row: Conversation, branch: Branch, wire: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "title": row.title,
        "seq": max([row.seq, *(message.seq for message in branch.messages)]),
        "agent": row.agent.public_id if row.agent else None,
    }


def _agents(user: Any) -> list[dict[str, Any]]:
    return [_agent_json(agent) for agent in Agent.objects.visible_to(user)]


def _agent_json(agent: Agent) -> dict[str, Any]:
    problem = _problem(agent)
    return {
        "id": agent.public_id,
        "name": agent.name,
        "description": agent.description or _described(agent),
        "examples": list(agent.examples)[:3],
        "files": taking(agent).json(),
        "usable": not problem,
        "problem": problem,
    }


def _described(agent: Agent) -> str:
    """What an agent is that nobody described, in the person's language."""
    is_demo = agent.kind == Agent.Kind.DEMO
    return _("A built-in agent that answers with samples, without any network.") if is_demo else ""


def _problem(agent: Agent) -> str:
    """Why it cannot be asked as it is set up: `no_key`, `unreadable_key`, or nothing."""
    state = secret_state(agent)
    if state == "none":
        return "no_key" if agent.kind == Agent.Kind.STACKSPOT else ""
    return "unreadable_key" if state == "unreadable" else ""


def _chosen(
    request: HttpRequest, row: Conversation | None, agents: list[dict[str, Any]]
) -> dict[str, Any] | None:
    wanted = row.agent.public_id if row and row.agent else request.GET.get("agent")
    usable = [agent for agent in agents if agent["usable"]] or agents
    return next((agent for agent in agents if agent["id"] == wanted), usable[0] if usable else None)


def _draft(user: Any, row: Conversation | None) -> str:
    return Draft.objects.filter(user=user, conversation=row).values_list("text", flat=True).first() or ""


def _listed(user: Any) -> list[dict[str, Any]]:
    rows = list(Conversation.objects.visible_to(user).order_by("-updated_at", "-pk")[:LISTED])
    running = Message.objects.running().filter(conversation__in=rows)
    answering = set(running.values_list("conversation_id", flat=True))
    return [
        {
            "id": row.public_id,
            "title": row.title,
            "updated_at": row.updated_at,
            "running": row.pk in answering,
            "unread": row.unread,
            "url": f"/c/{row.public_id}/",
        }
        for row in rows
    ]


def groups_of(listed: Iterable[dict[str, Any]], words: dict[str, str]) -> list[dict[str, Any]]:
    """The list under Today, Yesterday, the last seven days, and months: as the page groups it, which knows
    the person's time zone (`groupOf` in static/chat/sidebar.js). `words` are the page's strings."""
    today = timezone.localdate()
    groups: list[dict[str, Any]] = []
    for entry in listed:
        day = timezone.localtime(entry["updated_at"]).date()
        if day >= today:
            label = words["today"]
        elif day == today - timedelta(days=1):
            label = words["yesterday"]
        elif day >= today - timedelta(days=7):
            label = words["last_week"]
        else:
            label = formats.date_format(day, "YEAR_MONTH_FORMAT")
        if not groups or groups[-1]["label"] != label:
            groups.append({"label": label, "conversations": []})
        groups[-1]["conversations"].append(entry)
    return groups
