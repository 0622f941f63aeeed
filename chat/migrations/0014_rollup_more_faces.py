"""Roll-ups in eleven faces, so that each page reads few sums; a later migration makes them from the ledger."""

from __future__ import annotations

from django.db import migrations, models

import chat.models.rollups

COUNTS = ("completed", "stopped", "failed", "interrupted", "reported", "estimated", "unknown")
NULLABLE = (
    "user_tokens", "enrichment_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "amount",
)  # fmt: skip


FACES = (
    ("g", "team and agent"), ("p", "person"), ("u", "team, agent and purpose"),
    ("o", "team, agent and end"), ("w", "person and purpose"), ("a", "person and agent"),
    ("e", "person and end"), ("n", "all but the person"), ("b", "all but the end"),
    ("s", "all but the purpose"), ("f", "everything"),
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("chat", "0013_ledger_conversation")]

    operations = [
        migrations.AddField(
            "RollupState",
            "edition",
            models.BigIntegerField(default=chat.models.rollups.new_edition),
        ),
        migrations.DeleteModel("Rollup"),
        migrations.DeleteModel("RollupKey"),
        migrations.CreateModel(
            "RollupKey",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("face", models.CharField(choices=list(FACES), max_length=1)),
                *((f"face_{face}", models.BigIntegerField(null=True)) for face, _label in FACES[:-1]),
                ("user_id", models.BigIntegerField(db_index=True, null=True)),
                ("username", models.CharField(max_length=150)),
                ("team_id", models.BigIntegerField(null=True)),
                ("team", models.CharField(max_length=150)),
                ("agent_id", models.BigIntegerField(null=True)),
                ("agent_name", models.CharField(max_length=80)),
                ("provider", models.CharField(max_length=120)),
                ("model", models.CharField(max_length=120)),
                ("purpose", models.CharField(max_length=10)),
                ("outcome", models.CharField(max_length=11)),
                ("certainty", models.CharField(max_length=9)),
                ("currency", models.CharField(max_length=3)),
            ],
        ),
        migrations.CreateModel(
            "Rollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "grain", "start", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("grain", models.CharField(max_length=2)),
                ("start", models.BigIntegerField()),
                ("key", models.BigIntegerField()),
                ("calls", models.IntegerField()),
                ("priced", models.IntegerField()),
                *((name, models.BigIntegerField(null=True)) for name in NULLABLE),
                *((f"first_{n}", models.IntegerField()) for n in range(8)),
                *((name, models.IntegerField()) for name in COUNTS),
                ("last", models.BigIntegerField()),
            ],
            options={
                "indexes": [models.Index(fields=["key", "grain", "start"], name="rollup_of_key")],
            },
        ),
    ]
