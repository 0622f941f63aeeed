"""The owner's doors: preview and make, my links, publish again, revoke. Pages and forms, no script needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chat import limits
from chat.actions import sharing
from chat.actions.share_reading import over_by
from chat.models import Conversation, Share
from chat.models.audit_log import checksum
from chat.sharing.snapshot import CHOICES, Shown
from chat.views.answers import back, member, not_there, refusals
from chat.views.share_preview import drawn_difference, drawn_preview

#: Why no link was made.
PROBLEMS = {
    "changed": gettext_lazy("This is what a reader would see now. Look at it, then make the link."),
    "empty": gettext_lazy("Every message is hidden: there is nothing to share."),
    "forbidden": gettext_lazy("Your administrator does not allow a link like this."),
    "days": gettext_lazy("Choose a number of days within what your administrator allows."),
    "openings": gettext_lazy("Choose a number of openings from 1 to 100,000, or leave the field empty."),
    "passphrase": gettext_lazy("Give a passphrase of 8 to 128 characters."),
    "groups": gettext_lazy("Choose at least one of your groups."),
}
#: Openings that the page of one link lists, and links that are over on the page of all.
LISTED = 100


@never_cache
@member
@refusals
def new(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Preview and options on GET; POST shows them again, or with action=make makes the link."""
    if not limits.of_sharing().allowed:
        return not_there(request)
    if request.method == "GET":
        return _form(request, thread_id, Shown(), {})
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "POST"])
    shown, until = _shown(request), request.POST.get("until") or None
    if request.POST.get("action") != "make":
        return _form(request, thread_id, shown, request.POST, until=until)
    try:
        share, token = sharing.make(
            request.user, conversation=thread_id, until=until or "", digest=request.POST.get("digest", ""),
            shown=shown, terms=_terms(request),
        )  # fmt: skip
    except sharing.NotShared as problem:
        return _form(request, thread_id, shown, request.POST, until=until, problem=problem.code)
    address = request.build_absolute_uri(f"/s/{token}/")
    return render(request, "chat/share_made.html", {
        "share": share, "address": address, "version": share.versions.get(),
    })  # fmt: skip


@never_cache
@require_safe
@member
def mine(request: HttpRequest) -> HttpResponseBase:
    """My links: all that are open, and what was over last."""
    own = Share.objects.visible_to(request.user)
    # Newest first; a model's own ordering does not hold where rows are grouped to be counted.
    rows = own.select_related("conversation").with_readers().order_by("-pk").prefetch_related("groups")
    opening = own.opening(limits.of_sharing()).order_by().values("pk")
    ended = list(rows.exclude(pk__in=opening)[: LISTED + 1])
    told = [_told(share) for share in (*rows.filter(pk__in=opening), *ended[:LISTED])]
    live, over = ([share for share in told if bool(share.over_by) == gone] for gone in (False, True))
    context = {"live": live, "over": over, "listed": LISTED if len(ended) > LISTED else 0}
    return render(request, "chat/shares.html", context)


def _told(share: Share) -> Any:
    """`share` with what its row says of its end and of the last minute."""
    told: Any = share
    told.over_by, told.ends = over_by(share), sharing.ends_at(share)
    minute = timezone.now() - timedelta(minutes=1)
    told.just_made = share.created_at > minute
    told.just_opened = share.last_opened_at is not None and share.last_opened_at > minute
    return told


@never_cache
@require_safe
@member
def detail(request: HttpRequest, share_id: str) -> HttpResponseBase:
    """One link of mine: its versions with their checksums, and who opened it."""
    rows = Share.objects.visible_to(request.user).select_related("conversation").with_readers()
    share = rows.filter(public_id=share_id).first()
    if share is None:
        return not_there(request)
    versions = [(v, checksum(v.content) == v.checksum) for v in share.versions.all()]
    opened = share.opened.select_related("reader")[:LISTED]
    context = {"share": _told(share), "versions": versions, "opened": opened, "listed": LISTED}
    return render(request, "chat/share.html", context)


@never_cache
@member
@refusals
def publish(request: HttpRequest, share_id: str) -> HttpResponseBase:
    """What a new version would change, on GET; POST publishes it under the same address."""
    share = (
        Share.objects.visible_to(request.user).select_related("conversation")
        .filter(public_id=share_id, revoked_at=None, live=False).first()
    )  # fmt: skip
    if share is None:
        return not_there(request)
    thread_id = share.conversation.public_id
    if request.method == "GET":
        return _form(request, thread_id, sharing.shown_of(share), {}, share=share)
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "POST"])
    shown, until = _shown(request), request.POST.get("until") or None
    if request.POST.get("action") != "make":
        return _form(request, thread_id, shown, request.POST, until=until, share=share)
    try:
        digest = request.POST.get("digest", "")
        version = sharing.publish(request.user, share=share_id, until=until or "", digest=digest, shown=shown)
    except sharing.NotShared as problem:
        return _form(request, thread_id, shown, request.POST, until=until, share=share, problem=problem.code)
    messages.info(request, _("Version %(number)d is what readers see now.") % {"number": version.number})
    return back(request, f"/shares/{share_id}/")


@require_POST
@member
@refusals
def revoke(request: HttpRequest, share_id: str) -> HttpResponseBase:
    """End one link."""
    sharing.revoke(request.user, share=share_id)
    messages.info(request, _("The link was revoked. It leads nowhere from now on."))
    return back(request, "/shares/")


@require_POST
@member
@refusals
def revoke_all(request: HttpRequest) -> HttpResponseBase:
    """End all links of mine."""
    count = sharing.revoke_all(request.user)
    messages.info(request, ngettext("%d link was revoked.", "%d links were revoked.", count) % count)
    return back(request, "/shares/")


def _form(
    request: HttpRequest, thread_id: str, shown: Shown, fields: Mapping[str, Any], *,
    until: str | None = None, share: Share | None = None, problem: str = "",
) -> HttpResponseBase:  # fmt: skip
    ready = sharing.preview(request.user, conversation=thread_id, shown=shown, until=until)
    row = Conversation.objects.visible_to(request.user).get(public_id=thread_id)
    policy = limits.of_sharing()
    context = {
        "conversation": row,
        "share": share,
        "until": ready.until,
        "digest": ready.digest,
        "policy": policy,
        "audiences": [(v, label) for v, label in Share.Audience.choices if v in policy.audiences],
        "groups": request.user.groups.all() if "groups" in policy.audiences else (),
        "choices": [name for name in CHOICES if name in policy.options],
        "chosen": list(shown.choices),
        "fields": _kept_fields(fields, policy),
        "problem": PROBLEMS.get(problem, ""),
        **drawn_preview(ready, shown, row, request.user),
    }
    if share is not None:
        context |= drawn_difference(share, ready)
    return render(request, "chat/share_new.html", context, status=409 if problem == "changed" else 200)


def _kept_fields(fields: Mapping[str, Any], policy: Any) -> dict[str, Any]:
    """What the person filled in before; the passphrase is never sent back."""
    audience = fields.get("audience", policy.audiences[0] if policy.audiences else "")
    groups = fields.getlist("group") if hasattr(fields, "getlist") else []
    return {
        "audience": audience,
        "groups": groups,
        "days": fields.get("days", policy.days),
        "openings": fields.get("openings", ""),
        "live": bool(fields.get("live")),
        "embed": bool(fields.get("embed")),
    }


def _shown(request: HttpRequest) -> Shown:
    """The form's decisions: a finding that was offered and is not ticked stays readable."""
    found, blanked = set(request.POST.getlist("found")), set(request.POST.getlist("blank"))
    choices = [name for name in CHOICES if request.POST.get(name)]
    return Shown(choices, request.POST.getlist("hide"), sorted(found - blanked))


def _terms(request: HttpRequest) -> sharing.Terms:
    fields = request.POST
    groups = [int(key) for key in fields.getlist("group") if key.isdecimal() and len(key) < 10]
    return sharing.Terms(
        audience=fields.get("audience", ""),
        groups=groups if fields.get("audience") == "groups" else (),
        days=_number(fields.get("days", "")) or 0,
        passphrase=fields.get("passphrase", ""),
        max_openings=_number(fields["openings"]) or 0 if fields.get("openings", "").strip() else None,
        live=bool(fields.get("live")),
        embed=bool(fields.get("embed")),
    )


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
