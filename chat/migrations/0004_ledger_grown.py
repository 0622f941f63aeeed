# The ledger's chain, prices, teams, roll-ups and budgets.

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import chat.models.ids


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("chat", "0003_openai"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=chat.models.ids.new_id, editable=False, max_length=26, unique=True
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("everyone", "everyone together"),
                            ("team", "a team"),
                            ("person", "a person"),
                            ("agent", "an agent"),
                        ],
                        max_length=8,
                        verbose_name="for",
                    ),
                ),
                (
                    "measure",
                    models.CharField(
                        choices=[("tokens", "tokens"), ("money", "money")],
                        max_length=6,
                        verbose_name="counts",
                    ),
                ),
                ("currency", models.CharField(blank=True, default="", max_length=3, verbose_name="currency")),
                ("limit", models.PositiveBigIntegerField(verbose_name="limit")),
                (
                    "period",
                    models.CharField(
                        choices=[("day", "day"), ("week", "week"), ("month", "month")],
                        max_length=5,
                        verbose_name="per",
                    ),
                ),
                ("hard", models.BooleanField(default=True, verbose_name="refuse what is over it")),
                (
                    "contact",
                    models.CharField(blank=True, default="", max_length=150, verbose_name="whom to ask"),
                ),
                ("enabled", models.BooleanField(default=True, verbose_name="in force")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name": "budget",
                "verbose_name_plural": "budgets",
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="BudgetGrant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("extra", models.PositiveBigIntegerField(verbose_name="more")),
                ("until", models.DateTimeField(verbose_name="until")),
                ("note", models.CharField(blank=True, default="", max_length=300, verbose_name="note")),
                ("granted_by", models.CharField(blank=True, default="", max_length=150, verbose_name="by")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name": "grant",
                "verbose_name_plural": "grants",
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="BudgetHold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("message_id", models.CharField(db_index=True, max_length=26)),
                ("amount", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="BudgetPeriod",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("start", models.DateTimeField()),
                ("used", models.BigIntegerField(default=0)),
                ("reserved", models.BigIntegerField(default=0)),
                ("warned", models.PositiveSmallIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="BudgetRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.TextField(verbose_name="reason")),
                ("created_at", models.DateTimeField(verbose_name="asked")),
                ("declined_at", models.DateTimeField(blank=True, null=True, verbose_name="declined")),
            ],
            options={
                "verbose_name": "request for more",
                "verbose_name_plural": "requests for more",
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
            options={
                "verbose_name": "team of a person",
                "verbose_name_plural": "teams of people",
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("agent_id", models.BigIntegerField(blank=True, null=True, verbose_name="agent")),
                ("agent_name", models.CharField(blank=True, default="", max_length=80)),
                ("model", models.CharField(blank=True, default="", max_length=120, verbose_name="model")),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
                ("user", models.PositiveBigIntegerField(verbose_name="user tokens")),
                (
                    "enrichment",
                    models.PositiveBigIntegerField(blank=True, null=True, verbose_name="enrichment tokens"),
                ),
                ("output", models.PositiveBigIntegerField(verbose_name="output tokens")),
                (
                    "cached",
                    models.PositiveBigIntegerField(blank=True, null=True, verbose_name="cached tokens"),
                ),
                (
                    "reasoning",
                    models.PositiveBigIntegerField(blank=True, null=True, verbose_name="reasoning tokens"),
                ),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("created_at", models.DateTimeField(verbose_name="written")),
                ("created_by", models.CharField(blank=True, default="", max_length=150, verbose_name="by")),
            ],
            options={
                "verbose_name": "price",
                "verbose_name_plural": "prices",
                "ordering": ("-valid_from", "-pk"),
            },
        ),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "grain", "start", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "grain",
                    models.CharField(
                        choices=[("h", "hour"), ("d", "day of UTC"), ("a", "hour, all people together")],
                        max_length=1,
                    ),
                ),
                ("start", models.BigIntegerField()),
                ("key", models.BigIntegerField()),
                ("calls", models.IntegerField()),
                ("priced", models.IntegerField()),
                ("user_tokens", models.BigIntegerField(null=True)),
                ("enrichment_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                ("cached_tokens", models.BigIntegerField(null=True)),
                ("reasoning_tokens", models.BigIntegerField(null=True)),
                ("amount", models.BigIntegerField(null=True)),
                ("first_0", models.IntegerField()),
                ("first_1", models.IntegerField()),
                ("first_2", models.IntegerField()),
                ("first_3", models.IntegerField()),
                ("first_4", models.IntegerField()),
                ("first_5", models.IntegerField()),
                ("first_6", models.IntegerField()),
                ("first_7", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="RollupKey",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
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
        migrations.RenameField(model_name="ledgerentry", old_name="agent_kind", new_name="provider"),
        migrations.AddField(
            model_name="agent",
            name="on_stop",
            field=models.CharField(
                choices=[
                    ("cut", "the call is closed at once and its tokens are estimated"),
                    ("drain", "the call is read to its end, unseen, for the exact tokens"),
                ],
                default="cut",
                max_length=5,
                verbose_name="stopped answers",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="amount",
            field=models.BigIntegerField(null=True, verbose_name="amount"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="currency",
            field=models.CharField(blank=True, default="", max_length=3, verbose_name="currency"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="digest",
            field=models.CharField(default="", max_length=64, verbose_name="digest"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="model",
            field=models.CharField(blank=True, default="", max_length=120, verbose_name="model"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="previous",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_cached",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_enrichment",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_id",
            field=models.BigIntegerField(null=True, verbose_name="price"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_output",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_reasoning",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="price_user",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="ledgerentry",
            name="provider",
            field=models.CharField(max_length=120, verbose_name="provider"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("answer", "answer"),
                    ("again", "answer tried again"),
                    ("continued", "answer continued"),
                    ("title", "title"),
                    ("compared", "comparison"),
                    ("command", "command"),
                    ("batch", "batch"),
                    ("test", "test of an agent"),
                    ("api", "API"),
                ],
                default="answer",
                max_length=10,
                verbose_name="purpose",
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="retry_of",
            field=models.CharField(blank=True, default="", max_length=26, verbose_name="repeats"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="team",
            field=models.CharField(blank=True, default="", max_length=150, verbose_name="team"),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="team_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="ledgerentry",
            name="certainty",
            field=models.CharField(
                choices=[("reported", "reported"), ("estimated", "estimated"), ("unknown", "not reported")],
                max_length=9,
                verbose_name="certainty",
            ),
        ),
        migrations.AlterField(
            model_name="ledgerentry",
            name="id",
            field=models.BigIntegerField(
                editable=False, primary_key=True, serialize=False, verbose_name="number"
            ),
        ),
        migrations.AlterField(
            model_name="ledgerentry",
            name="raw_usage",
            field=models.TextField(null=True, verbose_name="as reported"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["user_id", "ended_at"], name="ledger_person"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["agent_id", "ended_at"], name="ledger_agent"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("certainty", "reported"), _negated=True),
                fields=["ended_at"],
                name="ledger_unreported",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("outcome", "completed"), _negated=True),
                fields=["ended_at"],
                name="ledger_incomplete",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="agent",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="chat.agent",
                verbose_name="agent",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="person",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="team",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="auth.group",
                verbose_name="team",
            ),
        ),
        migrations.AddField(
            model_name="budgetgrant",
            name="budget",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="grants",
                to="chat.budget",
                verbose_name="budget",
            ),
        ),
        migrations.AddField(
            model_name="budgetperiod",
            name="budget",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="periods", to="chat.budget"
            ),
        ),
        migrations.AddField(
            model_name="budgethold",
            name="period",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="holds", to="chat.budgetperiod"
            ),
        ),
        migrations.AddField(
            model_name="budgetrequest",
            name="budget",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="requests",
                to="chat.budget",
                verbose_name="budget",
            ),
        ),
        migrations.AddField(
            model_name="budgetrequest",
            name="grant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="chat.budgetgrant",
            ),
        ),
        migrations.AddField(
            model_name="budgetrequest",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="auth.group",
                verbose_name="team",
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="user",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="membership",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AddIndex(
            model_name="rollup",
            index=models.Index(fields=["key", "grain", "start"], name="rollup_key"),
        ),
        migrations.AddConstraint(
            model_name="budgetperiod",
            constraint=models.UniqueConstraint(fields=("budget", "start"), name="one_period_a_start"),
        ),
    ]
