"""Agents as an administrator set them up."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from chat.models.ids import NamedQuerySet, may_be_id, new_id
from chat.models.secrets import SecretUnreadable, seal, unseal
from chat.models.statements import find

__all__ = ["Agent", "AgentQuerySet", "SecretUnreadable"]


class AgentQuerySet(NamedQuerySet["Agent"]):
    def usable(self) -> AgentQuerySet:
        """Agents that may be asked."""
        return self.filter(enabled=True)

    def visible_to(self, user: Any) -> AgentQuerySet:
        """Agents this person may choose: every enabled one."""
        return self.usable() if user.is_authenticated and user.is_active else self.none()

    def one_visible_to(self, user: Any, *, pk: int = 0, public_id: str = "") -> Agent | None:
        """That of `visible_to` with this key or id, by a statement that is built once: every send asks."""
        if not (user.is_authenticated and user.is_active) or (public_id and not may_be_id(public_id)):
            return None
        return find(Agent, {"public_id": public_id} if public_id else {"id": pk}, also="enabled")


class Agent(models.Model):
    """Where questions go. `sealed_secret` is ciphertext; nothing but `secret()` opens it."""

    class Kind(models.TextChoices):
        STACKSPOT = "stackspot", _("StackSpot")
        DEMO = "demo", _("Demo, built in")
        OPENAI = "openai", _("OpenAI-compatible")

    class OnLength(models.TextChoices):
        """What happens to an answer that the agent cut because it was long."""

        OFF = "off", _("it stays as it is")
        ASK = "ask", _("the person may have it continued")
        AUTO = "auto", _("it is continued by itself")

    class OnStop(models.TextChoices):
        """What happens to the call when a person stops an answer."""

        CUT = "cut", _("the call is closed at once and its tokens are estimated")
        DRAIN = "drain", _("the call is read to its end, unseen, for the exact tokens")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=80, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    description = models.CharField(_("description"), max_length=200, blank=True)
    examples = models.JSONField(_("example questions"), default=list, blank=True)
    base_url = models.CharField(_("base URL"), max_length=300, blank=True)
    token_url = models.CharField(_("token URL"), max_length=300, blank=True)
    agent_id = models.CharField(_("agent id or model"), max_length=120, blank=True)
    client_id = models.CharField(_("client id"), max_length=200, blank=True)
    sealed_secret = models.TextField(editable=False, blank=True, default="")
    options = models.JSONField(_("options"), default=dict, blank=True)
    on_length = models.CharField(
        _("answers cut by length"), max_length=4, choices=OnLength.choices, default=OnLength.ASK
    )
    continue_times = models.PositiveSmallIntegerField(
        _("continued at most"), default=3, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    on_stop = models.CharField(_("stopped answers"), max_length=5, choices=OnStop.choices, default=OnStop.CUT)
    history_bytes = models.PositiveIntegerField(
        _("bytes of earlier messages"), null=True, blank=True, validators=[MinValueValidator(1024)]
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    concurrent_streams = models.PositiveIntegerField(
        _("answers at once"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    ca_bundle = models.CharField(_("CA bundle (path)"), max_length=300, blank=True)
    proxy = models.CharField(_("proxy"), max_length=300, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    position = models.PositiveIntegerField(_("position"), default=100)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ("position", "name")
        verbose_name = _("agent")
        verbose_name_plural = _("agents")

    def __str__(self) -> str:
        return self.name

    def set_secret(self, secret: str) -> None:
        """Seal `secret` into this row; the empty string removes it. Does not save."""
        self.sealed_secret = seal(secret, self.public_id) if secret else ""

    def secret(self) -> str:
        """The plain secret, for the one who calls the agent. Raises SecretUnreadable."""
        return unseal(self.sealed_secret, self.public_id) if self.sealed_secret else ""
