"""The reader's doors: a shared page, its live stream, a copy of one's own. No script, no cookie.

GET changes the counter and nothing else. What is refused looks the same whatever the reason is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt

from chat import limits
from chat.actions import Refused
from chat.actions import share_reading as reading
from chat.bounded import Kept
from chat.models import Share
from chat.models.shares import token_hash
from chat.sharing.network import coarse
from chat.views import share_tickets as tickets
from chat.views import share_tries as tries
from chat.views.context import theme_of
from chat.views.files import SANDBOX, attachment
from chat.views.share_pieces import KEPT_BYTES, TICKET, Pieces, takes_gzip
from chat.views.share_ready import Look, keep_ready, key_of
from chat.views.share_rendering import drawn_messages, moment

#: Characters of a passphrase that are looked at.
_PASSPHRASE = 1024
#: Frozen pages: drawing 200 messages takes 20 ms in which no other thread of the process can work.
_drawn: Kept[Pieces] = Kept(KEPT_BYTES)


@csrf_exempt  # a POST brings a passphrase and changes what a GET changes: the counter
def page(request: HttpRequest, token: str) -> HttpResponseBase:
    """The shared page; POST brings its passphrase. HEAD opens nothing."""
    if request.method not in ("GET", "HEAD", "POST"):
        return sealed(request, HttpResponseNotAllowed(["GET", "HEAD", "POST"]))
    reader = reader_of(request)
    if tries.over(reader):
        return _gone(request, busy=True)
    if request.method == "HEAD":
        return sealed(request, HttpResponse()) if reading.find(token, reader) else _gone(request, reader)
    if "signin" in request.GET:
        return sealed(request, redirect_to_login(request.path))
    typed = request.POST.get("passphrase", "")[:_PASSPHRASE] if request.method == "POST" else None
    try:
        share = reading.open_link(token, reader, typed)
    except reading.PassphraseWanted as wanted:
        form = _same_for_all(request, "shared/passphrase.html", {"wrong": wanted.wrong})
        return sealed(request, form, wanted.share, scripts=False)
    return _gone(request, reader) if share is None else _page(request, share)


@csrf_exempt  # a ticket of the page stands in for the token: the page sets no cookie
def copy(request: HttpRequest, token: str) -> HttpResponseBase:
    """Go on with a copy of one's own. POST alone, for signed-in people, from a page they opened."""
    if request.method != "POST":
        return sealed(request, HttpResponseNotAllowed(["POST"]))
    reader = reader_of(request)
    known = tickets.share_of(request, request.POST.get("ticket", ""))
    if reader.user is None or known is None or not _ours(request):
        return sealed(request, HttpResponse(status=403))
    share = reading.find_again(known, reader)
    if share is None:
        return _gone(request, reader)
    try:
        row = reading.copy_link(reader.user, share)
    except Refused:
        return _gone(request)
    response = HttpResponseRedirect(f"/c/{row.public_id}/")
    response.status_code = 303
    return sealed(request, response)


def file(request: HttpRequest, token: str, number: int) -> HttpResponseBase:
    """A file of the page, for whoever has opened it: an attachment, as it is for its owner."""
    if request.method not in ("GET", "HEAD"):
        return sealed(request, HttpResponseNotAllowed(["GET", "HEAD"]))
    reader = reader_of(request)
    if tries.over(reader):
        return _gone(request, busy=True)
    known = tickets.share_of(request, request.GET.get("ticket", ""))
    share = reading.find_again(known, reader) if known is not None else None
    if share is None or share.token_hash != token_hash(token):
        return _gone(request, reader)
    row = reading.file_of(share, number)
    if row is None:
        return _gone(request, reader)
    response = sealed(request, attachment(request, row))
    response["Content-Security-Policy"] = SANDBOX
    return response


def reader_of(request: HttpRequest) -> reading.Reader:
    """Who asks: a signed-in person or nobody, and the coarse network of their address."""
    user: Any = request.user if request.user.is_authenticated and request.user.is_active else None
    return reading.Reader(user, coarse(request.META.get("REMOTE_ADDR", "")))


def sealed(
    request: HttpRequest, response: HttpResponseBase, share: Share | None = None, *, scripts: bool = True
) -> HttpResponseBase:
    """`response` with what keeps it out of indexes, caches, referrers and frames.

    `share`: the link that shows itself with it, which its owner may have let be framed; a refusal has none.
    """
    live, policy = scripts and share is not None and share.live, limits.of_sharing()
    embedded = "embed" in request.GET and share is not None and share.embed and policy.embed_origins
    framers = " ".join(_origins(policy.embed_origins)) if embedded else "'none'"
    rules = [
        "default-src 'none'", "style-src 'self'", "img-src data:", "form-action 'self'", "base-uri 'none'",
        f"frame-ancestors {framers}",
        "script-src 'self'" if live else "script-src 'none'",
        "require-trusted-types-for 'script'",
    ]  # fmt: skip
    rules += ["connect-src 'self'", "trusted-types stkweb"] if live else ["trusted-types 'none'"]
    response["Content-Security-Policy"] = "; ".join(rules)
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    if embedded:
        response.xframe_options_exempt = True  # type: ignore[attr-defined]
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    # Django would give a new one to a browser that brought one it cannot read; nothing here needs any.
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    # To take that of a session which is over out of the browser would be one more; other pages do it.
    if request.session.is_empty():
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
    # Django logs the path of every 4xx, and this path is the secret.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _page(request: HttpRequest, share: Share) -> HttpResponseBase:
    # A frozen page is the same for all who ask for it like this; its address is not in it.
    look = Look.of(
        get_language() or "", theme_of(request.COOKIES), signed_in=request.user.is_authenticated,
        embedded="embed" in request.GET,
    )  # fmt: skip
    key = key_of(share, look)
    pieces = None if share.live else _drawn.get(key)
    if pieces is None:
        pieces = _draw(reading.opened(share), look)
        if not share.live:
            _drawn.put(key, pieces, pieces.size)
    user = request.user if request.user.is_authenticated else None
    ticket = tickets.issue(share, user, request.session.session_key) if pieces.wants_ticket else ""
    response = sealed(request, _sent(request, pieces, ticket), share)
    if not (share.live or share.passphrase or look.embedded):
        keep_ready(request, response, key, pieces)
    return response


def _draw(opened: reading.Opened, look: Look) -> Pieces:
    share, content = opened.share, opened.content
    files = [
        {"name": file["name"], "size": file["size"], "url": f"files/{number}/"}
        for number, file in enumerate(reading.files_of(content) if look.offered else (), 1)
    ]
    return Pieces(_body(look.theme, "shared/page.html", {
        "content": content, "date": moment(content["date"]), "drawn": drawn_messages(content, opened.keys),
        "frozen_at": opened.frozen_at, "version": opened.version, "live": share.live,
        "embedded": look.embedded, "may_copy": look.may_copy, "files": files, "ticket": TICKET,
    }))  # fmt: skip


def _gone(
    request: HttpRequest, reader: reading.Reader | None = None, *, busy: bool = False
) -> HttpResponseBase:
    if reader is not None:
        tries.note(reader)
    response = sealed(request, _same_for_all(request, "shared/gone.html", {"busy": busy}))
    response.status_code = 429 if busy else 404
    if busy:
        response["Retry-After"] = "60"
    return response


def _same_for_all(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return _sent(request, _pieces(_body(theme_of(request.COOKIES), template, context)))


def _body(theme: str, template: str, context: dict[str, Any]) -> bytes:
    # Without the request: no context processor may ask for a cookie's token or a session here.
    return render_to_string(template, context | {"theme": theme}).encode()


@lru_cache(maxsize=32)
def _pieces(body: bytes) -> Pieces:
    """Of the few pages that are the same for everybody."""
    return Pieces(body)


def _sent(request: HttpRequest, pieces: Pieces, ticket: str = "") -> HttpResponse:
    zipped = takes_gzip(request.headers.get("Accept-Encoding", ""))
    response = HttpResponse(pieces.zipped(ticket) if zipped else pieces.plain(ticket))
    patch_vary_headers(response, ("Accept-Encoding",))
    if zipped:
        response["Content-Encoding"] = "gzip"
    return response


def _ours(request: HttpRequest) -> bool:
    """False for a form of another site; a page without a referrer sends its origin as `null`."""
    origin = request.headers.get("Origin", "null")
    return origin == "null" or origin in settings.ORIGINS or urlsplit(origin).netloc == request.get_host()


def _origins(origins: Any) -> list[str]:
    """Origins as a header may hold them; what could end the rule or widen it is left out."""
    return [o for o in origins if o.startswith(("https://", "http://")) and not set(o) & set(" ;,'*")]
