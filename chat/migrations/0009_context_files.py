# Context files: bytes, files, the messages that carry them, the agents that have them.

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import chat.models.ids


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0008_tool_calls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="has_files",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="FileBytes",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("owner_pk", models.BigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=8)),
                ("size", models.PositiveBigIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("text", models.CharField(blank=True, default="", max_length=100)),
                ("text_code", models.CharField(blank=True, default="", max_length=32)),
                ("text_cut", models.BooleanField(default=False)),
                ("thumbnail", models.CharField(blank=True, default="", max_length=100)),
                ("shown", models.CharField(blank=True, default="", max_length=100)),
                ("shown_type", models.CharField(blank=True, default="", max_length=40)),
                ("doomed", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("doomed", False)),
                        fields=("owner_pk", "sha256", "kind"),
                        name="bytes_once_a_person",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ContextFile",
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
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=200)),
                ("claimed", models.CharField(blank=True, default="", max_length=100)),
                ("type", models.CharField(max_length=100)),
                ("kind", models.CharField(max_length=8)),
                ("size", models.PositiveBigIntegerField()),
                ("sha256", models.CharField(blank=True, default="", max_length=64)),
                ("offset", models.PositiveBigIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("uploading", "uploading"),
                            ("checking", "checking"),
                            ("ready", "ready"),
                            ("refused", "refused"),
                            ("gone", "gone"),
                        ],
                        default="uploading",
                        max_length=9,
                    ),
                ),
                ("code", models.CharField(blank=True, default="", max_length=32)),
                ("created_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
                (
                    "agent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="chat.agent",
                    ),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="chat.conversation",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "stored",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="chat.filebytes",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="Handing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("renewing", "renewing"), ("handed", "handed over"), ("failed", "failed")],
                        max_length=8,
                    ),
                ),
                ("upload_id", models.CharField(blank=True, default="", max_length=200)),
                ("code", models.CharField(blank=True, default="", max_length=32)),
                ("at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(default=None, null=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="chat.agent"
                    ),
                ),
                (
                    "file",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="handings",
                        to="chat.contextfile",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attachments",
                        to="chat.message",
                    ),
                ),
                (
                    "file",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attachments",
                        to="chat.contextfile",
                    ),
                ),
            ],
            options={
                "ordering": ("message", "position"),
                "constraints": [models.UniqueConstraint(fields=("message", "file"), name="one_attachment")],
            },
        ),
        migrations.AddIndex(
            model_name="contextfile",
            index=models.Index(
                condition=models.Q(("conversation", None)), fields=["changed_at"], name="file_unsent"
            ),
        ),
        migrations.AddConstraint(
            model_name="contextfile",
            constraint=models.UniqueConstraint(fields=("owner", "key"), name="one_file_a_key"),
        ),
        migrations.AddConstraint(
            model_name="contextfile",
            constraint=models.CheckConstraint(
                condition=models.Q(("offset__lte", models.F("size"))), name="file_offset"
            ),
        ),
        migrations.AddConstraint(
            model_name="handing",
            constraint=models.UniqueConstraint(fields=("file", "agent"), name="one_handing"),
        ),
    ]
