"""What a person reads when something goes wrong: code -> what happened, what was kept, what to do.

The codes are shared by the wire, the rows, the documents and both languages. No exception's text
ever reaches a page; this catalogue does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Fault:
    """`status` is the HTTP status of a refusal; a fault of an answer has none of its own."""

    sentence: Any
    kept: Any
    next: Any
    status: int = 200


_QUESTION = _("Your question is kept.")
_PARTIAL = _("What had arrived is kept.")
_NOTHING = _("Nothing was changed.")
_TEXT = _("Your text is still in the box.")
_AGAIN = _("Try again.")
_CONTINUE = _("Continue from here.")
_ADMIN = _("Tell your administrator.")

FAULTS: dict[str, Fault] = {
    # How an answer ends badly.
    "unreachable": Fault(_("The agent cannot be reached."), _QUESTION, _AGAIN),
    "no_answer": Fault(_("The agent did not answer in time."), _QUESTION, _AGAIN),
    "stalled": Fault(_("The agent fell silent in the middle of the answer."), _PARTIAL, _CONTINUE),
    "too_long": Fault(_("The answer took longer than a turn may take."), _PARTIAL, _CONTINUE),
    "connection_lost": Fault(_("The connection to the agent was lost."), _PARTIAL, _CONTINUE),
    "ended_early": Fault(_("The answer ended before it was finished."), _PARTIAL, _CONTINUE),
    "event_too_large": Fault(_("The agent sent more at once than we accept."), _PARTIAL, _ADMIN),
    "answer_too_large": Fault(_("The answer is longer than we accept."), _PARTIAL, _("Ask for it in parts.")),
    "protocol": Fault(_("The agent's answer could not be understood."), _PARTIAL, _ADMIN),
    "agent_failed": Fault(_("The agent reported an error."), _PARTIAL, _CONTINUE),
    "agent_unavailable": Fault(_("The agent's service has a problem."), _QUESTION, _AGAIN),
    "busy": Fault(
        _("The agent has too many requests right now."), _QUESTION, _("Wait a moment, then try again.")
    ),
    "credit": Fault(_("The credit of this agent's account is used up."), _QUESTION, _ADMIN),
    "credentials": Fault(
        _("The agent does not accept our credentials. This is not about your own sign-in."), _QUESTION, _ADMIN
    ),
    "forbidden": Fault(_("Our account may not use this agent."), _QUESTION, _ADMIN),
    "agent_not_found": Fault(_("The agent does not exist any more."), _QUESTION, _("Choose another agent.")),
    "prompt_too_long": Fault(
        _("The question, with what belongs to it, is too long for this agent."),
        _QUESTION,
        _("Shorten it, or start a new conversation."),
    ),
    "rejected": Fault(_("The agent refused the request."), _QUESTION, _ADMIN),
    "filtered": Fault(
        _("The agent withheld its answer: a content filter applied."), _QUESTION, _("Ask differently.")
    ),
    "empty_answer": Fault(_("The agent answered without a single word."), _QUESTION, _AGAIN),
    "agent_misconfigured": Fault(_("This agent is not set up correctly."), _QUESTION, _ADMIN),
    "upload_forbidden": Fault(
        _("This agent's account may not take files: StackSpot allows that to Enterprise accounts alone."),
        _QUESTION,
        _("Send it without files, or choose another agent."),
    ),
    "upload_failed": Fault(_("A file could not be handed to the agent."), _QUESTION, _AGAIN),
    "file_lost": Fault(
        _("A file of this conversation is not there any more."),
        _QUESTION,
        _("Remove it from the conversation, then try again."),
    ),
    "interrupted_restart": Fault(
        _("The server stopped unexpectedly while the agent was answering."),
        _PARTIAL,
        _CONTINUE,
    ),
    "interrupted_shutdown": Fault(
        _("The server was restarted while the agent was answering."), _PARTIAL, _CONTINUE
    ),
    "internal": Fault(_("Something went wrong on our side."), _PARTIAL, _CONTINUE),
    # Why a request is refused.
    "empty_text": Fault(_("There is nothing to send."), _NOTHING, _("Write a question first."), 422),
    "unstorable_text": Fault(
        _("The text holds a character that cannot be stored."),
        _TEXT,
        _("Remove the character at the given place."),
        422,
    ),
    "text_too_long": Fault(_("The text is longer than one question may be."), _TEXT, _("Shorten it."), 413),
    "body_too_large": Fault(
        _("This request is larger than the server accepts."), _TEXT, _("Shorten it."), 413
    ),
    "bad_request": Fault(
        _("This request could not be read."), _NOTHING, _("Reload the page and try again."), 400
    ),
    "bad_frame": Fault(_("This message could not be read."), _NOTHING, _("Reload the page."), 400),
    "key_reused": Fault(_("This send was already used for another text."), _TEXT, _("Send it again."), 422),
    "conversation_busy": Fault(
        _("An answer is still being written in this conversation."), _TEXT, _("Wait for it, or stop it."), 409
    ),
    "too_many_turns": Fault(
        _("You have as many answers running as you may have at once."),
        _TEXT,
        _("Wait for one, or stop one."),
        429,
    ),
    "too_many_sends": Fault(
        _("You sent many questions within a minute."), _TEXT, _("Wait a moment, then send it."), 429
    ),
    "reason_missing": Fault(_("There is no reason."), _NOTHING, _("Say what you need more for."), 422),
    "asked_already": Fault(
        _("You have asked for more of this budget already."), _NOTHING, _("Wait for the answer."), 409
    ),
    "budget_spent": Fault(
        _("The budget of {limit} is used up until {resets}."),
        _TEXT,
        _("Ask {contact} for more, or wait until then. Your use is shown under My usage."),
        429,
    ),
    "budget_over": Fault(
        _("The budget of {limit} is used up until {resets}. You may go over it if you confirm that."),
        _TEXT,
        _("Go on, or ask {contact} for more. Your use is shown under My usage."),
        409,
    ),
    "not_found": Fault(_("There is nothing here."), _NOTHING, _("Choose a conversation from the list."), 404),
    "agent_unusable": Fault(_("This agent cannot be asked now."), _TEXT, _("Choose another agent."), 422),
    "cannot_retry": Fault(_("This answer cannot be tried again."), _NOTHING, _("Reload the page."), 409),
    "cannot_continue": Fault(_("This answer cannot be continued."), _NOTHING, _AGAIN, 409),
    "tool_call_over": Fault(
        _("The conversation went on without this output."),
        _TEXT,
        _("Try the answer again, or write on."),
        409,
    ),
    "tool_output_given": Fault(_("This call has another output already."), _TEXT, _("Reload the page."), 409),
    "output_too_long": Fault(
        _("The output is longer than the agent may be told."), _TEXT, _("Shorten it."), 413
    ),
    "title_invalid": Fault(_("A title has 1 to 120 characters."), _NOTHING, _("Write another title."), 422),
    "file_too_large": Fault(
        _("This file is larger than it may be."), _TEXT, _("Choose a smaller one, or a part of it."), 413
    ),
    "file_empty": Fault(_("This file is empty."), _TEXT, _("Choose another file."), 422),
    "file_name_invalid": Fault(_("This file has no usable name."), _TEXT, _("Rename it and try again."), 422),
    "too_many_files": Fault(
        _("These are more files than a message may carry."), _TEXT, _("Remove some of them."), 422
    ),
    "too_many_unsent_files": Fault(
        _("You have many files that were not sent yet."), _TEXT, _("Send or remove some of them."), 429
    ),
    "file_type_not_taken": Fault(
        _("This agent does not take files of this type."), _TEXT, _("Choose another file or agent."), 422
    ),
    "files_not_taken": Fault(
        _("This agent takes no files."), _TEXT, _("Remove the files, or choose another agent."), 422
    ),
    "files_of_person_full": Fault(
        _("Your files take as much room as they may."), _TEXT, _("Remove files you no longer need."), 413
    ),
    "files_full": Fault(
        _("There is no room for more files on this server."), _TEXT, _("Tell your administrator."), 507
    ),
    "storage_failed": Fault(
        _("The file could not be stored."), _TEXT, _("Try again; if it stays, tell your administrator."), 507
    ),
    "wrong_offset": Fault(
        _("This part of the file does not follow the one before."), _TEXT, _("Go on at the given place."), 409
    ),
    "slice_too_large": Fault(_("This part of the file is too large."), _TEXT, _("Send smaller parts."), 413),
    "slice_damaged": Fault(
        _("This part of the file was damaged on its way."), _TEXT, _("Send this part again."), 422
    ),
    "file_over": Fault(
        _("This file takes no more parts: it was refused or removed."), _TEXT, _("Give it anew."), 409
    ),
    "file_not_ready": Fault(
        _("A file is still on its way, or was refused."), _TEXT, _("Wait for it, or remove it."), 409
    ),
    "file_damaged": Fault(
        _("This file is not the one that was announced."), _TEXT, _("Remove it and give it again."), 422
    ),
    "file_type_wrong": Fault(
        _("The content of this file is not what its name says."), _TEXT, _("Give it its proper ending."), 422
    ),
    "file_infected": Fault(
        _("The virus scanner found something in this file."),
        _TEXT,
        _("Remove it; tell your administrator."),
        422,
    ),
    "file_scan_failed": Fault(
        _("This file could not be scanned for viruses."), _TEXT, _("Remove it and try again later."), 503
    ),
    "file_bomb": Fault(
        _("This file unfolds to far more than it may."), _TEXT, _("Choose another file."), 422
    ),
    "image_too_large": Fault(
        _("This picture has too many pixels."), _TEXT, _("Make it smaller and try again."), 422
    ),
    "file_unreadable": Fault(
        _("No text could be read from this file."), _TEXT, _("Remove it, or give its text instead."), 422
    ),
    "cannot_renew": Fault(
        _("There is no agent that this file could be handed to again."), _NOTHING, _("Reload the page."), 409
    ),
    "forbidden_request": Fault(
        _("This request was not accepted, for your safety."), _TEXT, _("Reload the page and try again."), 403
    ),
    "not_signed_in": Fault(
        _("You are not signed in any more."), _TEXT, _("Sign in; you come back to this place."), 401
    ),
    "locked_out": Fault(
        _("Too many wrong passwords were tried from here."),
        _NOTHING,
        _("Wait five minutes, then try again."),
        429,
    ),
    "unavailable": Fault(_("The server is not ready."), _TEXT, _("Wait a moment, then send it again."), 503),
    "server_error": Fault(
        _("Something went wrong on our side."),
        _TEXT,
        _("Try again; if it stays, tell your administrator."),
        500,
    ),
}


def all_texts() -> dict[str, dict[str, Any]]:
    """Every fault in the active language: {code: {sentence, kept, next, bare?}}.

    `bare` holds the kept and next of an answer that ended without a word, where they differ.
    """
    texts: dict[str, dict[str, Any]] = {}
    for code, fault in FAULTS.items():
        texts[code] = dict(text_of(code))
        if fault.kept is _PARTIAL:
            bare = text_of(code, bare=True)
            texts[code]["bare"] = {"kept": bare["kept"], "next": bare["next"]}
    return texts


def text_of(
    code: str, *, bare: bool = False, onward: bool = True, params: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """One fault in the active language; an unknown code reads as `internal`.

    `bare`: nothing of the answer had arrived, so that nothing of it was kept. `onward`: it may be continued.
    `params` stand in for their names in braces.
    """
    fault = FAULTS.get(code, FAULTS["internal"])
    kept, after = fault.kept, fault.next
    if bare and kept is _PARTIAL:
        kept = _QUESTION
    if after is _CONTINUE and (bare or not onward):
        after = _AGAIN
    texts = {"sentence": str(fault.sentence), "kept": str(kept), "next": str(after)}
    for name, value in (params or {}).items():
        texts = {part: text.replace(f"{{{name}}}", str(value)) for part, text in texts.items()}
    return texts
