"""Roll-ups by hour, day and month in five faces; a later migration makes them from the ledger."""

from __future__ import annotations

from django.db import migrations, models

COUNTS = ("completed", "stopped", "failed", "interrupted", "reported", "estimated", "unknown")
NULLABLE = (
    "user_tokens", "enrichment_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "amount",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("chat", "0011_budget_consents")]

    operations = [
        migrations.DeleteModel("Rollup"),
        migrations.DeleteModel("RollupKey"),
        migrations.CreateModel(
            "RollupState",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("zone", models.CharField(max_length=64)),
                ("ready", models.BooleanField()),
            ],
        ),
        migrations.CreateModel(
            "RollupKey",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "face",
                    models.CharField(
                        choices=[
                            ("f", "everything"),
                            ("s", "all but the purpose"),
                            ("p", "person and team"),
                            ("n", "all but the person"),
                            ("g", "team, agent and model"),
                        ],
                        max_length=1,
                    ),
                ),
                ("short", models.BigIntegerField(null=True)),
                ("person", models.BigIntegerField(null=True)),
                ("nobody", models.BigIntegerField(null=True)),
                ("gross", models.BigIntegerField(null=True)),
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
