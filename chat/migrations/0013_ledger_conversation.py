"""Calls are found by their conversation, and by their answer within it: one index in place of another."""

from __future__ import annotations

from django.db import migrations, models

TABLE = "chat_ledgerentry"


def _drop(apps, schema_editor):
    # By hand: AlterField would make the table anew on SQLite, and lose the triggers that guard it.
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, TABLE)
    for name, facts in found.items():
        if facts["index"] and not facts["unique"] and facts["columns"] == ["message_id"]:
            schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


def _restore(apps, schema_editor):
    schema_editor.execute(f"CREATE INDEX chat_ledgerentry_message_id ON {TABLE} (message_id)")


class Migration(migrations.Migration):
    dependencies = [("chat", "0012_rollup_faces")]

    operations = [
        migrations.AddIndex(
            "ledgerentry",
            models.Index(fields=["conversation_id", "message_id"], name="ledger_conversation"),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(_drop, _restore)],
            state_operations=[
                migrations.AlterField(
                    "ledgerentry", "message_id", models.CharField(max_length=26, verbose_name="message")
                )
            ],
        ),
    ]
