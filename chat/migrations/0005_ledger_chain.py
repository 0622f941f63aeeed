# Entries from before the chain join it, and the database refuses to change them from now on.

from __future__ import annotations

import hashlib

import orjson
from django.db import migrations

from chat.models import append_only

# As of this migration; the model's own may move on.
DIGESTED = (
    "id", "public_id", "user_id", "username", "team_id", "team", "agent_id", "agent_name", "provider", "model",
    "purpose", "conversation_id", "message_id", "retry_of", "user_tokens", "enrichment_tokens", "output_tokens",
    "cached_tokens", "reasoning_tokens", "raw_usage", "certainty", "outcome", "error_code", "upstream_id",
    "started_at", "ended_at", "first_delta_ms", "duration_ms", "price_id", "price_user", "price_enrichment",
    "price_output", "price_cached", "price_reasoning", "currency", "amount", "previous",
)  # fmt: skip
TABLES = ("chat_ledgerentry", "chat_price")
BATCH = 1000


def _digest(entry):
    values = [getattr(entry, name) for name in DIGESTED]
    spelled = [value.isoformat() if hasattr(value, "isoformat") else value for value in values]
    return hashlib.sha256(orjson.dumps(spelled)).hexdigest()


def _chain(apps, schema_editor):
    entries = apps.get_model("chat", "LedgerEntry").objects.using(schema_editor.connection.alias)
    previous, after = "", 0
    while batch := list(entries.filter(pk__gt=after).order_by("pk")[:BATCH]):
        for entry in batch:
            entry.previous, entry.digest = previous, ""
            entry.digest = previous = _digest(entry)
        entries.bulk_update(batch, ["previous", "digest"], batch_size=100)
        after = batch[-1].pk


def _protect(apps, schema_editor):
    for table in TABLES:
        for statement in append_only.protect(schema_editor.connection.vendor, table):
            schema_editor.execute(statement)


def _release(apps, schema_editor):
    for table in TABLES:
        for statement in append_only.release(schema_editor.connection.vendor, table):
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("chat", "0004_ledger_grown")]

    operations = [
        migrations.RunPython(_chain, migrations.RunPython.noop),
        migrations.RunPython(_protect, _release),
    ]
