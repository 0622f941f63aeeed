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
    return {**_messages(), **_writing(), **_conversations(), **_connection(), **_markdown()}


def _counted(key: str, form: Callable[[int], str]) -> dict[str, str]:
    """Both forms of a text that a template counts too; `{count}` is filled in by the browser."""
    return {f"{key}_one": form(1), f"{key}_other": form(2) % {"count": "{count}"}}


def _messages() -> dict[str, str]:
    """What stands at and under a message."""
    return {
        "you": _("You"),
        "by": _("{author}, {time}"),
        "thinking": _("Thinking…"),
        "waiting_long": _("No answer yet. Still waiting; you can stop at any time."),
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
        "failed": _("That did not work."),
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
        "sources": _("Sources:"),
        "tokens": _("{total} tokens"),
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


def _conversations() -> dict[str, str]:
    """The list of conversations."""
    return {
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
        "last_week": _("Last 7 days"),
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
