# The OpenAI-compatible kind, and what an agent may say of history, length and allowance.

from __future__ import annotations

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0002_shares"),
    ]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="concurrent_streams",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="answers at once",
            ),
        ),
        migrations.AddField(
            model_name="agent",
            name="continue_times",
            field=models.PositiveSmallIntegerField(
                default=3,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(20),
                ],
                verbose_name="continued at most",
            ),
        ),
        migrations.AddField(
            model_name="agent",
            name="history_bytes",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1024)],
                verbose_name="bytes of earlier messages",
            ),
        ),
        migrations.AddField(
            model_name="agent",
            name="on_length",
            field=models.CharField(
                choices=[
                    ("off", "it stays as it is"),
                    ("ask", "the person may have it continued"),
                    ("auto", "it is continued by itself"),
                ],
                default="ask",
                max_length=4,
                verbose_name="answers cut by length",
            ),
        ),
        migrations.AddField(
            model_name="agent",
            name="requests_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="requests a minute",
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="continued",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="message",
            name="trimmed",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="agent",
            name="agent_id",
            field=models.CharField(blank=True, max_length=120, verbose_name="agent id or model"),
        ),
        migrations.AlterField(
            model_name="agent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("stackspot", "StackSpot"),
                    ("demo", "Demo, built in"),
                    ("openai", "OpenAI-compatible"),
                ],
                max_length=16,
                verbose_name="kind",
            ),
        ),
    ]
