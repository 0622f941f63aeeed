"""Doors of a turn: send, stop, try again, continue, show another branch. All of them are POSTs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_POST

from chat import actions
from chat.actions import Refused, Sent
from chat.actions import files as file_verbs
from chat.models import new_id
from chat.views.answers import back, fields_of, member, optional_field, refusals, text_field, wants_json
from chat.views.kept import keep_files


def _sent(request: HttpRequest, sent: Sent) -> HttpResponseBase:
    if wants_json(request):
        return JsonResponse(ids_of(sent), status=202)
    return back(request, f"/c/{sent.conversation}/#m-{sent.question}")


def _key(request: HttpRequest, fields: dict[str, Any]) -> str:
    return request.headers.get("Idempotency-Key") or text_field(fields, "idempotency_key", "") or new_id()


def named_files(fields: dict[str, Any]) -> list[str]:
    """The ids of files that the fields of a JSON body name. Raises Refused."""
    named = fields.get("files") or []
    if not isinstance(named, list) or not all(isinstance(id_, str) for id_ in named):
        raise Refused("bad_request")
    return named


def ask_with(user: Any, fields: dict[str, Any], thread_id: str | None, key: str, files: list[str]) -> Sent:
    """Send what the fields say, with these files. Raises Refused."""
    return actions.ask(
        user,
        text=text_field(fields, "text", ""),
        key=key,
        conversation=thread_id,
        agent=optional_field(fields, "agent"),
        parent=optional_field(fields, "parent"),
        files=files,
    )


def ids_of(sent: Sent) -> dict[str, str]:
    """What a send answers with."""
    return {"conversation": sent.conversation, "question": sent.question, "answer": sent.answer}


def _files(request: HttpRequest, fields: dict[str, Any], thread_id: str | None, ids: list[str]) -> None:
    """Puts the ids of the files that the question carries into `ids`; those that came with the form are
    taken in first. What is in there when one of them is refused was taken."""
    if request.content_type == "application/json":
        ids += named_files(fields)
        return
    ids += request.POST.getlist("files")
    given = request.FILES.getlist("upload")
    if not given:
        return
    agent = optional_field(fields, "agent") or file_verbs.agent_of(request.user, thread_id)
    key = _key(request, fields)
    for number, upload in enumerate(given):
        about = file_verbs.Announced(
            upload.name or "", upload.size or 0, upload.content_type or "", agent=agent
        )
        row = file_verbs.take_whole(request.user, about, upload, key=f"{key[:200]}.{number}")
        ids.append(row.public_id)


def _ask(request: HttpRequest, thread_id: str | None) -> HttpResponseBase:
    fields = fields_of(request)
    text = text_field(fields, "text", "")
    files: list[str] = []
    try:
        _files(request, fields, thread_id, files)
        sent = ask_with(request.user, fields, thread_id, _key(request, fields), files)
    except Refused as refused:
        if not wants_json(request) and refused.code != "unstorable_text":
            actions.save_draft(
                request.user, conversation=thread_id if refused.status != 404 else None, text=text
            )
            keep_files(request, thread_id, files)
        raise
    if not wants_json(request):
        keep_files(request, thread_id, [])
    return _sent(request, sent)


@require_POST
@member
@refusals
def create(request: HttpRequest) -> HttpResponseBase:
    """A new conversation with its first question."""
    return _ask(request, None)


@require_POST
@member
@refusals
def send(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """A question into a conversation."""
    return _ask(request, thread_id)


@require_POST
@member
@refusals
def stop(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Stop the running answer; a no-op when none runs."""
    asked = actions.stop(request.user, conversation=thread_id)
    return JsonResponse({"stopping": asked}) if wants_json(request) else back(request, f"/c/{thread_id}/")


@require_POST
@member
@refusals
def retry(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Ask the same question again."""
    answer = text_field(fields_of(request), "answer")
    return _sent(request, actions.retry(request.user, conversation=thread_id, answer=answer))


@require_POST
@member
@refusals
def continue_answer(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Continue a partial answer."""
    answer = text_field(fields_of(request), "answer")
    return _sent(request, actions.continue_answer(request.user, conversation=thread_id, answer=answer))


@require_POST
@member
@refusals
def tool_output(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """The output of a tool that an answer called."""
    fields = fields_of(request)
    if "output" not in fields:
        raise Refused("bad_request")
    taken = actions.add_tool_output(
        request.user, conversation=thread_id, call=text_field(fields, "call"), output=fields["output"],
        key=_key(request, fields),
    )  # fmt: skip
    if wants_json(request):
        facts = {"conversation": thread_id, "answer": taken.answer, "pending": taken.pending}
        return JsonResponse(facts, status=202 if taken.answer else 200)
    return back(request, f"/c/{thread_id}/")


@require_POST
@member
@refusals
def show(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Show the branch through the message `answer`."""
    message = text_field(fields_of(request), "answer")
    row = actions.show(request.user, conversation=thread_id, message=message)
    return JsonResponse({"seq": row.seq}) if wants_json(request) else back(request, f"/c/{thread_id}/")
