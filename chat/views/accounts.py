"""Signing in and out. Sign-up is closed: an administrator makes accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.helpers import get_client_ip_address
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from chat.actions.recording import record
from chat.threads import write_transaction
from chat.views.answers import error_json, wants_json

#: Wrong passwords from one address, whatever the names, before it has to wait. Axes holds those of
#: one name from one address (5); this stops the one password that is tried on everybody.
ADDRESS_LIMIT = 20


def address_must_wait(request: HttpRequest) -> bool:
    """True when too many sign-ins from this address failed within the cool-off. Counts nothing itself."""
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    recent = AccessAttempt.objects.filter(ip_address=get_client_ip_address(request), attempt_time__gte=since)
    return (recent.aggregate(n=Sum("failures_since_start"))["n"] or 0) >= ADDRESS_LIMIT


def renew_session(request: HttpRequest) -> None:
    """Another key for a session that is signed in: Django keeps it when the same person signs in again."""
    if SESSION_KEY in request.session:
        request.session.cycle_key()


class SignIn(LoginView):
    """Django's own view and field names; a script that asks for JSON gets 204 or an error."""

    redirect_authenticated_user = False

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if address_must_wait(request):
            return locked_out(request)
        renew_session(request)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        return HttpResponse(status=204) if wants_json(self.request) else response

    def form_invalid(self, form: Any) -> HttpResponse:
        if wants_json(self.request):
            return error_json("not_signed_in", 401)
        return super().form_invalid(form)


@method_decorator(never_cache, name="dispatch")
class SignOut(LogoutView):
    """Ends the session and has the browser drop what it stored for us."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"storage"'
        return response


class PasswordChange(PasswordChangeView):
    """One's own new password; the audit log says that there is one."""

    def form_valid(self, form: Any) -> HttpResponse:
        with write_transaction():
            record("person.password_changed", f"person:{form.user.get_username()}")
            return super().form_valid(form)


def locked_out(
    request: HttpRequest, response: Any = None, credentials: Any = None, *args: Any
) -> HttpResponse:
    """429: too many wrong passwords; the same for a name that exists and one that does not."""
    if wants_json(request):
        return error_json("locked_out", 429, {"retry_after": 300})
    return render(request, "registration/lockout.html", status=429)
