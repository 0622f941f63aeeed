"""Sums of months are made when they are over, and there are some for days that begin within an hour: all are
made again from the ledger."""

from __future__ import annotations

from django.db import migrations, models


def _fill(apps, schema_editor):
    # As the product does it. A later migration that changes the roll-ups makes them again itself, and
    # then this one need not.
    from chat.actions.rollups import rebuild

    if apps.get_model("chat", "LedgerEntry").objects.exists():
        apps.get_model("chat", "RollupState").objects.update(ready=False)
        rebuild()


class Migration(migrations.Migration):
    dependencies = [("chat", "0014_rollup_more_faces")]

    operations = [
        migrations.AddField("RollupState", "closed", models.BigIntegerField(default=0)),
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
