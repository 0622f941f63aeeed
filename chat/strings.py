"""The texts that the page's modules show, in the language of the request.

Keys are the modules' own; `{names}` are filled in by the browser. A key with a `count` comes twice, as
`_one` and `_other`. What it must not do: hold a text that only a template shows, or that of an error
(chat/faults.py).
"""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def strings() -> dict[str, str]:
    """Every text of the modules by key, translated; plain text, never HTML."""
    return {
        **_messages(), **_writing(), **_files(), **_conversations(), **_connection(), **_markdown(),
        **budget_texts(), "go_over": _("Go over the budget"),
    }  # fmt: skip


def budget_texts() -> dict[str, str]:
    """What a person reads when a percentage of a budget is reached, by its scope."""
    return {
        # xgettext:no-python-format
        "budget_person": _("{percent} % of your budget of {limit} is used. It begins anew on {resets}."),
        "budget_team": _(
            # xgettext:no-python-format
            "{percent} % of the budget of {name}, {limit}, is used. It begins anew on {resets}."
        ),
        "budget_agent": _(
            # xgettext:no-python-format
            "{percent} % of the budget of {name}, {limit}, is used. It begins anew on {resets}."
        ),
        "budget_everyone": _(
            # xgettext:no-python-format
            "{percent} % of everyone's budget of {limit} is used. It begins anew on {resets}."
        ),
    }


def _counted(key: str, form: Callable[[int], str]) -> dict[str, str]:
    """Both forms of a text that a template counts too; `{count}` is filled in by the browser."""
    return {f"{key}_one": form(1), f"{key}_other": form(2) % {"count": "{count}"}}


def _messages() -> dict[str, str]:
    """What stands at and under a message."""
    return {
        "you": _("You"),
        "by": _("{author}, {time}"),
        "thinking": _("Thinking…"),
        "thinking_for": _("Thinking… {time}"),
        "waiting_long": _(
            "No answer yet after {time}. It is given up after {limit}; you can stop at any time."
        ),
        "waiting_on": _("No answer yet after {time}. Still waiting; you can stop at any time."),
        "place_next": _("Waiting for the agent: you are next, in about {seconds} s."),
        "place_one": _("Waiting for the agent: {count} question before yours, about {seconds} s."),
        "place_other": _("Waiting for the agent: {count} questions before yours, about {seconds} s."),
        "answering": _("Answering…"),
        "ready_one": _("Answer ready, {count} word"),
        "ready_other": _("Answer ready, {count} words"),
        "thought": _("Thought for {seconds} s"),
        "thoughts": _("Thoughts"),
        "seconds": _("{seconds} s"),
        "minutes": _("{minutes} min {seconds} s"),
        "whole_minutes": _("{minutes} min"),
        "under": _("under {seconds} s"),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "copy_question": _("Copy question"),
        "edit_question": _("Edit question"),
        "retry": _("Try again"),
        "continue": _("Continue from here"),
        "continued": _("continued"),
        "previous_answer": _("Previous answer"),
        "next_answer": _("Next answer"),
        "previous_question": _("Previous version"),
        "next_question": _("Next version"),
        "show_all": _("Show all"),
        "stopped": _("Stopped. The text so far is kept."),
        "stopped_bare": _("Stopped before the first word."),
        "failed": _("That did not work."),
        "pause": _("You can do this in {time}."),
        "pause_until": _("You can do this after {time}."),
        "pause_over": _("You can try again now."),
        "error_id": _("Error id"),
        **_counted(
            "trimmed",
            lambda n: ngettext(
                "The agent was not told the oldest message: there was no room for it.",
                "The agent was not told the %(count)s oldest messages: there was no room for them.",
                n,
            ),
        ),
        **_counted(
            "continued",
            lambda n: ngettext(
                "Cut because of its length, and continued by itself.",
                "Cut because of its length, and continued by itself %(count)s times.",
                n,
            ),
        ),
        "call_pending": _("waits for its output"),
        "call_over": _("no output was given"),
        "call_completed": _("output given"),
        "arguments": _("Arguments"),
        "output": _("Output"),
        "give_output": _("Give this output"),
        "sources": _("Sources:"),
        "tokens": _("{total} tokens"),
        "tokens_estimated": _("about {total} tokens (estimated)"),
        "tokens_and_estimated": _("and about {total} tokens (estimated)"),
        "tokens_unknown": _("Tokens: not reported"),
        "user_tokens": _("{n} asked"),
        "user_unknown": _("asked: not reported"),
        "enrichment_tokens": _("{n} knowledge"),
        "enrichment_unknown": _("knowledge: not reported"),
        "output_tokens": _("{n} answered"),
        "output_unknown": _("answered: not reported"),
        "jump": _("Jump to latest"),
        "jump_new": _("New text below"),
    }


def _writing() -> dict[str, str]:
    """The composer and its outbox."""
    return {
        "message": _("Message"),
        "message_to": _("Message {agent}"),
        "stop": _("Stop"),
        "stopping": _("Stopping…"),
        "cancel": _("Cancel"),
        "editing": _("You are editing a question. The old one is kept beside it."),
        "keys_enter": _("Enter sends · Shift Enter new line · Esc stops"),
        "keys_mod": _("{mod} Enter sends · Enter new line · Esc stops"),
        "near_limit": _("{size} of {limit} KB"),
        "too_long": _("Too long to send: {size} of {limit} KB. Shorten it a little."),
        "wait_or_stop": _("An answer is being written. Wait for it, or stop it first."),
        "one_unsent": _("The question before is not sent yet. Send it or take it back first."),
        "unsent_offline": _("Not sent: you are offline. It goes out when you are back."),
        "unsent_network": _("Not sent: the server cannot be reached. It goes out when it can."),
        "unsent_server": _("Not sent yet: the server is busy. Next try in {seconds} s."),
        "unsent_signed_out": _("Not sent: your session has ended. It goes out when you have signed in."),
        "send_now": _("Send now"),
        "take_back": _("Take back"),
        "again_in": _("You can send again in {seconds} s."),
    }


def _files() -> dict[str, str]:
    """Files: given, on their way, and with a message."""
    return {
        "files": _("Files"),
        "gives": _("Up to {files} files, each at most {size}. You can also drag them here, or paste them."),
        "types": _("Types: {types}"),
        "types_any": _("Every type of file."),
        "drop_here": _("Drop files to give them to {agent}"),
        "no_folders": _("{name} is a folder. Give the files in it instead."),
        "too_many_files": _("{name} was not added: a message carries at most {files} files."),
        "file_empty": _("The file is empty."),
        "file_too_large": _("{size} is too large: at most {limit} are taken."),
        "file_type": _("This agent does not take this type of file. It takes: {types}"),
        "file_again": _("Try again: {name}"),
        "file_cancel": _("Cancel {name}"),
        "file_remove": _("Remove {name}"),
        "file_removed": _("{name} was removed."),
        "file_gone": _("no longer there"),
        "file_trouble": _("{name} cannot go along: {text} Remove it, or try again, then send."),
        "text_first": _("Write a question to go with the files."),
        "uploading": _("Sent: {percent} %"),
        "upload_waiting": _("Waiting"),
        "upload_checking": _("Being checked…"),
        "upload_ready": _("Ready"),
        "upload_absent": _("Not complete. Choose the same file again, and it goes on where it was."),
        "upload_cut": _("No connection. It goes on by itself."),
        "upload_busy": _("The server is busy. It goes on by itself."),
        "upload_signed_out": _("Your session has ended. It goes on when you have signed in."),
        "upload_unreadable": _("The file cannot be read any more. Choose it again."),
        "upload_failed": _("That did not work."),
        "upload_gone": _("It is no longer there."),
        "upload_refused": _("It was not accepted."),
        "files_coming_one": _("Sending {count} file"),
        "files_coming_other": _("Sending {count} files"),
        "files_half": _("Half of it is sent"),
        "files_ready_one": _("{count} file is ready"),
        "files_ready_other": _("{count} files are ready"),
        "held_one": _("It is sent as soon as {count} file is there. You can go on writing."),
        "held_other": _("It is sent as soon as {count} files are there. You can go on writing."),
        "long_paste": _("That is a long text. It can go along as a file instead."),
        "make_file": _("Make it a file"),
        "tray_empty": _("No files yet."),
        "tray_handed": _("{agent} has it"),
        "tray_until": _("{agent} has it until {time}"),
        "tray_expired": _(
            "{agent} no longer has it. It is given again with the next question that needs it."
        ),
        "tray_renewing": _("Being given to {agent} again…"),
        "tray_failed": _("It could not be given to {agent}."),
        "tray_unsent": _("Not sent yet"),
        "delete_sure": _("Delete for good?"),
        "renew": _("Give again"),
        "download": _("Download"),
        "to_message": _("To its message"),
    }


def _conversations() -> dict[str, str]:
    """The list of conversations."""
    return {
        "opened_to": _("{who} (administration) may read this conversation until {until}. Reason: {reason}"),
        "new_conversation": _("New conversation"),
        "options": _("Options for {title}"),
        "rename": _("Rename"),
        "rename_title": _("Rename the conversation"),
        "new_title": _("New title"),
        "renamed": _("Renamed"),
        "delete": _("Delete"),
        "deleted": _("“{title}” was deleted."),
        "undo": _("Undo"),
        "restored": _("The conversation is back."),
        "gone": _("This conversation was deleted."),
        "answering_now": _("answering"),
        "new_answer": _("new answer"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "last_week": _("Last seven days"),
        "no_conversations": _("Your conversations will be listed here."),
        "nothing_found": _("No title matches."),
        "clear_search": _("Clear the search"),
    }


def _connection() -> dict[str, str]:
    """The line to the server, and signing in where one is."""
    return {
        "offline": _("You are offline. You can go on writing; nothing is lost."),
        "reconnecting": _("Reconnecting…"),
        "retry_connection": _("No connection to the server."),
        "no_connection": _("The server cannot be reached. Nothing was changed."),
        "try_now": _("Try now"),
        "new_version": _("A new version is ready."),
        "reload": _("Reload"),
        "signin_wrong": _("That username and password do not match."),
        "signin_throttled": _("Too many attempts. Wait a few minutes, then try again."),
        "signin_network": _("The server cannot be reached. Try again in a moment."),
    }


def _markdown() -> dict[str, str]:
    """Around code, tables, links and pictures in an answer; the server's renderer uses the same words."""
    return {
        "wrap": _("Wrap lines"),
        "open": _("open"),
        "image": _("image"),
        "table": _("table"),
    }
