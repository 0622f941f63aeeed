# The function tools that an answer called, and their outputs.

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "0007_readings")]

    operations = [
        migrations.AddField("message", "tool_calls", models.JSONField(blank=True, default=list)),
    ]
