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
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

_allow_default_policy = csp_update({"trusted-types": ["default"]})


class Site(admin.AdminSite):
    """The one admin site."""

    site_title = "stkweb"
    site_header = "stkweb"
    index_title = _("Administration")

    def get_urls(self) -> list[Any]:
        from chat.admin import readings
        from chat.admin.audit import pages

        return [*pages.urls(self), *readings.urls(self), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Django's list, with our own pages before it."""
        from chat.admin.audit.pages import may_audit
        from chat.models.readings import may_read

        offered = [
            ("admin:audit", _("Audit of tokens and cost"), may_audit(request.user)),
            ("admin:audit_reconcile", _("Reconcile with a provider"), may_audit(request.user)),
            ("admin:reading", _("Read a conversation"), may_read(request.user)),
        ]
        pages = [
            {
                "name": name,
                "object_name": route.partition(":")[2],
                "admin_url": reverse(route),
                "view_only": True,
            }
            for route, name, allowed in offered
            if allowed
        ]
        listed: list[Any] = super().get_app_list(request, app_label)
        if not pages or app_label is not None:
            return listed
        ours = {"name": _("Audit"), "app_label": "audit", "app_url": reverse("admin:audit"),
                "has_module_perms": True, "models": pages}  # fmt: skip
        return [ours, *listed]

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

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django's form, through our view, which records it."""
        from django.contrib.admin.forms import AdminPasswordChangeForm

        from chat.views.accounts import PasswordChange

        defaults: dict[str, Any] = {
            "form_class": AdminPasswordChangeForm,
            "success_url": reverse("admin:password_change_done", current_app=self.name),
            "extra_context": {**self.each_context(request), **(extra_context or {})},
            "template_name": "registration/password_change_form.html",
        }
        request.current_app = self.name
        return PasswordChange.as_view(**defaults)(request)
