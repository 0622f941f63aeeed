"""Files of a form that was refused: the page shows them again, so that nobody chooses them twice.

With JavaScript the page keeps them itself. What it must not do: decide whose a file is; the queryset does.
"""

from __future__ import annotations

from django.http import HttpRequest

from chat.models import ContextFile, FileState

KEY = "kept_files"


def keep_files(request: HttpRequest, thread_id: str | None, ids: list[str]) -> None:
    """Remember what goes with the next question into this conversation (None: a new one)."""
    if ids:
        request.session[KEY] = {"conversation": thread_id or "", "ids": ids}
    elif KEY in request.session:
        del request.session[KEY]


def kept_files(request: HttpRequest, thread_id: str | None) -> list[ContextFile]:
    """The files that are remembered for this page and can still be sent."""
    kept = request.session.get(KEY)
    if not kept or kept["conversation"] != (thread_id or ""):
        return []
    rows = ContextFile.objects.visible_to(request.user).filter(public_id__in=kept["ids"])
    return list(rows.filter(state=FileState.READY))
