"""Registers the app and its system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "stkweb"

    def ready(self) -> None:
        from chat import checks  # noqa: F401 (registers itself)
        from chat.actions import rollups, share_openings, sharing, signing
        from chat.turns import runtime

        signing.listen()
        runtime.chores.append((sharing.CLOSING, sharing.close_expired))
        runtime.chores.append((share_openings.INTERVAL, share_openings.write))
        runtime.chores.append((rollups.CLOSING, rollups.close))


class AdministrationConfig(admin_apps.AdminConfig):
    """Django's admin with our site."""

    default = False
    default_site = "stkweb.administration.Site"
