"""Registers the app and its system checks."""

from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "stkweb"

    def ready(self) -> None:
        from chat import checks  # noqa: F401 (registers itself)
