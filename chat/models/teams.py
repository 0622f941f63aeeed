"""Which team a person's calls are counted for: one of Django's groups, named by an administrator."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy as _


class Membership(models.Model):
    """A person's team. Groups give permissions and readers of links as well, so a person may be in
    several of them; exactly one is the team, or none."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="membership", verbose_name=_("person")
    )
    team = models.ForeignKey(Group, models.CASCADE, related_name="+", verbose_name=_("team"))

    class Meta:
        verbose_name = _("team of a person")
        verbose_name_plural = _("teams of people")

    def __str__(self) -> str:
        return f"{self.user_id} in {self.team_id}"


def teams_of(users: Iterable[int]) -> dict[int | None, tuple[int, str]]:
    """The teams of these people as {user's key: (team's key, name)}; who has none is left out."""
    if not users:
        return {}
    rows = Membership.objects.filter(user__in=users).values_list("user_id", "team_id", "team__name")
    return {user: (team, name) for user, team, name in rows}


__all__ = ["Membership", "teams_of"]
