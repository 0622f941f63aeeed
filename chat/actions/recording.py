"""What goes into the audit log, and in which words: one function for every verb and every door.

Called inside the transaction of the change it tells of. Secrets, passwords and what people wrote have no
place in it: of a secret it says that it was replaced.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import models

from chat import trail
from chat.models import AuditEvent
from chat.threads import write_transaction


def record(
    action: str, target: str, data: Mapping[str, Any] | None = None, *, actor: Any = None
) -> AuditEvent:
    """Add an event. Without an actor it is the person of the request; a command has none.

    action: "kind.happened", at most 40 characters. target: "kind:name", cut to 80.
    """
    return AuditEvent.objects.append(actor or trail.person(), action, target[:80], dict(data or {}))


def record_command(action: str, target: str, command: str, **after: Any) -> None:
    """Add an event of a command that people are made or changed with: its name, and whose account of the
    system ran it."""
    try:
        runs = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        runs = str(os.getuid())
    told = {"command": command, "run_by": runs, **({"after": after} if after else {})}
    record(action, target, told)


def record_change(
    action: str, target: str, before: Mapping[str, Any], after: Mapping[str, Any], **more: Any
) -> None:
    """Add an event with what differs between the two states; none when nothing does."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names and not more:
        return
    data: dict[str, Any] = {**more}
    if before:
        data["before"] = {name: before.get(name) for name in names}
    if after:
        data["after"] = {name: after.get(name) for name in names}
    record(action, target, data)


def state_of(row: models.Model, names: Iterable[str]) -> dict[str, Any]:
    """The named fields of a row as JSON has them; a relation to many is the sorted list of its names."""
    found: dict[str, Any] = {}
    for name in names:
        field = row._meta.get_field(name)
        if isinstance(field, models.ManyToManyField):
            found[name] = sorted(str(other) for other in getattr(row, name).all())
        else:
            found[name] = _plain(getattr(row, name))
    return found


#: Settings of which nothing but their presence is told, by the end of their names.
_SECRET = ("KEY", "KEYS", "TOKEN", "SECRET", "URL")


def record_settings(environment: Mapping[str, str]) -> None:
    """What the server was started with, when it differs from the last time. `environment`: os.environ."""
    names = [name for name in environment if name.startswith(("STKWEB_", "STACKSPOT_", "STKAI_"))]
    names += [name for name in ("DATABASE_URL", "REDIS_URL") if name in environment]
    now = {
        name: "set" if name.removesuffix("_FILE").endswith(_SECRET) else environment[name]
        for name in sorted(names)
    }
    with write_transaction():
        last = AuditEvent.objects.filter(action="settings.changed").order_by("-pk").first()
        before = last.data["all"] if last else {}
        if last is None or before != now:
            changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            record("settings.changed", "settings", {
                "before": {name: before.get(name) for name in changed},
                "after": {name: now.get(name) for name in changed},
                "all": now,
            })  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | models.Model):
        return str(value)
    return value
