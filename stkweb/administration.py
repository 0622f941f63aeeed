"""Django's admin site under our Content-Security-Policy.

Django's own scripts (jQuery, the date and choice widgets) set innerHTML. Under Trusted Types they
work through a policy named `default`, which sanitises with DOMPurify (chat/static/chat/
admin-policy.js) and which is allowed on these pages alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_update
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

_allow_default_policy = csp_update({"trusted-types": ["default"]})


class Site(admin.AdminSite):
    """The one admin site."""

    site_title = "stkweb"
    site_header = "stkweb"
    index_title = _("Administration")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return _allow_default_policy(super().admin_view(view, cacheable))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from chat.views.accounts import address_must_wait, locked_out, renew_session

        if request.method == "POST":
            if address_must_wait(request):
                return locked_out(request)
            renew_session(request)
        show: Callable[..., Any] = super().login
        response: Any = _allow_default_policy(lambda asked: show(asked, extra_context))(request)
        return response
