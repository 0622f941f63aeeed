"""The audit log's request id, and indexes for its page. SQLite makes the table anew, without its triggers."""

from __future__ import annotations

from django.db import migrations, models

from chat.models import append_only

TABLE = "chat_auditevent"


def _protect(apps, schema_editor):
    for statement in append_only.protect(schema_editor.connection.vendor, TABLE):
        schema_editor.execute(statement)


def _release(apps, schema_editor):
    for statement in append_only.release(schema_editor.connection.vendor, TABLE):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("chat", "0005_ledger_chain")]

    operations = [
        migrations.RunPython(_release, _protect),
        migrations.AddField(
            "auditevent",
            "request_id",
            models.CharField(blank=True, default="", max_length=64, verbose_name="request"),
        ),
        migrations.AddIndex("auditevent", models.Index(fields=["created_at"], name="audit_when")),
        migrations.AddIndex("auditevent", models.Index(fields=["actor", "-id"], name="audit_who")),
        migrations.AddIndex("auditevent", models.Index(fields=["action", "-id"], name="audit_what")),
        migrations.RunPython(_protect, _release),
    ]
