"""What is kept and what is taken away: sweeping, deletion, full disks (R38), S3-compatible storage."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage, storages
from django.test import Client
from django.utils import timezone

from chat import actions
from chat.files import checking, spool, storing, sweeping
from chat.models import Agent, Attachment, ContextFile, Conversation, FileBytes, Message
from chat.turns import sweeper
from tests.files.conftest import SLICE, Giver, on_disk, png
from tests.serving import Serving, wait_for

pytestmark = pytest.mark.django_db


def aged(**change: Any) -> None:
    """Everything happened two days ago."""
    before = timezone.now() - timedelta(days=2)
    ContextFile.objects.update(changed_at=before, **change)
    FileBytes.objects.update(created_at=before)


def carry(file: str, owner: Any) -> Conversation:
    now = timezone.now()
    thread = Conversation.objects.create(owner=owner, title="t", updated_at=now, has_files=True)
    message = Message.objects.create(conversation=thread, role="user", text="q", author=owner, created_at=now)
    row = ContextFile.objects.get(public_id=file)
    Attachment.objects.create(message=message, file=row, position=0)
    ContextFile.objects.filter(pk=row.pk).update(conversation=thread)
    return thread


def test_what_nobody_sent_is_taken_away_after_a_day(giver: Giver) -> None:
    giver.give("a.png", png())
    half = giver.announce("b.bin", 2 * SLICE).json()["id"]
    giver.put(half, 0, bytes(SLICE))
    sweeping.sweep()
    assert len(on_disk()) == 4
    aged()
    import os

    (left := spool.folder() / f"{spool.LOOK}left").mkdir()
    (left / "shown").touch()
    for path in (spool.path_of(half), left):
        os.utime(path, (0, 0))
    sweeping.sweep()
    assert on_disk() == [] and not ContextFile.objects.exists() and not FileBytes.objects.exists()


def test_what_a_message_carries_stays(giver: Giver, alice: Any) -> None:
    carry(giver.give("a.png", png())["id"], alice)
    aged()
    sweeping.sweep()
    assert len(on_disk()) == 3


def test_a_conversation_that_is_gone_takes_its_files_along(giver: Giver, alice: Any) -> None:
    thread = carry(giver.give("a.png", png())["id"], alice)
    actions.delete(alice, conversation=thread.public_id)
    aged()
    sweeper.sweep()
    assert len(on_disk()) == 3, "it may still be brought back"
    Conversation.objects.update(deleted_at=timezone.now() - timedelta(hours=2))
    sweeper.sweep()
    assert on_disk() == [] and not FileBytes.objects.exists()


def test_a_person_who_is_gone_leaves_no_bytes(giver: Giver, alice: Any) -> None:
    giver.give("a.png", png())
    aged()
    alice.delete()
    sweeping.sweep()
    assert on_disk() == []


def test_bytes_that_could_not_be_deleted_are_tried_again(giver: Giver, monkeypatch: Any) -> None:
    file = giver.give("a.txt", b"hello")["id"]
    giver.remove(file)
    with monkeypatch.context() as broken:
        broken.setattr(default_storage, "delete", _fails)
        with pytest.raises(OSError, match="broken"):
            checking.release(set(FileBytes.objects.values_list("pk", flat=True)))
    assert len(on_disk()) == 1 and FileBytes.objects.get().doomed is True
    giver.give("a.txt", b"hello")
    assert len(on_disk()) == 2, "what is about to go is not used again"
    FileBytes.objects.filter(doomed=True).update(created_at=timezone.now() - timedelta(days=1))
    sweeping.sweep()
    assert len(on_disk()) == 1


def _fails(*_: Any) -> None:
    raise OSError(errno.EIO, "broken")


def test_a_check_whose_process_died_ends_in_time(giver: Giver) -> None:
    file = giver.give("a.txt", b"hello", check=False)["id"]
    assert giver.state(file)["state"] == "checking"
    ContextFile.objects.update(changed_at=timezone.now() - timedelta(seconds=121))
    giver.state(file)
    state = giver.state(file)
    assert (state["state"], state["code"]) == ("refused", "storage_failed") and on_disk() == []


# -- R38 ---------------------------------------------------------------------------------------------


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_refuses_a_slice_and_takes_no_room(giver: Giver, monkeypatch: Any, settings: Any) -> None:
    settings.LIMIT_FILES_OF_PERSON = 2 * SLICE
    file = giver.announce("a.bin", 2 * SLICE).json()["id"]
    giver.put(file, 0, bytes(SLICE))
    with monkeypatch.context() as broken:
        broken.setattr(spool, "write", full)
        answer = giver.put(file, SLICE, bytes(SLICE))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_failed")
    assert on_disk() == []
    assert giver.give("a.bin", bytes(2 * SLICE))["state"] == "ready", "the room is free again"


def test_a_storage_that_is_full_at_the_end_refuses_the_file(giver: Giver, monkeypatch: Any) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(storing, "keep", full)
        state = giver.give("a.txt", b"hello")
    assert (state["state"], state["code"]) == ("refused", "storage_failed")
    assert on_disk() == [] and not FileBytes.objects.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_without_room_says_so_through_the_door(giver: Giver) -> None:
    """A real write that the kernel refuses."""
    file = giver.announce("a.txt", 5).json()["id"]
    spool.folder().mkdir(parents=True, exist_ok=True)
    spool.path_of(file).symlink_to("/dev/full")
    assert giver.put(file, 0, b"hello").status_code == 507
    assert on_disk() == []


# -- an S3-compatible storage ------------------------------------------------------------------------


@pytest.fixture
def bucket(settings: Any, monkeypatch: Any) -> Iterator[Any]:
    """A real HTTP server that speaks S3, as the storage of this test."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1",
        "aws_access_key_id": "key", "aws_secret_access_key": "secret",
    }  # fmt: skip
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    resource = boto3.resource("s3", **given)
    resource.create_bucket(Bucket="files")
    import stkweb.settings as ours

    for name, value in (
        ("S3_BUCKET", "files"), ("S3_ENDPOINT", given["endpoint_url"]), ("S3_REGION", "us-east-1"),
        ("S3_ACCESS_KEY", "key"), ("S3_SECRET_KEY", "secret"),
    ):  # fmt: skip
        monkeypatch.setattr(ours, name, value)
    settings.STORAGES = {**settings.STORAGES, "default": ours._storage()}
    try:
        yield resource.Bucket("files")
    finally:
        server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_are_kept_in_an_s3_compatible_storage(
    bucket: Any, serving: Serving, alice: Any, make_agent: Callable[..., Agent], agent_server: Any,
    client_of: Callable[..., Client],
) -> None:  # fmt: skip
    assert type(storages["default"]).__name__ == "S3Storage"
    agent = make_agent(options={"upload_base_url": agent_server.url})
    giver = Giver(client_of(alice), agent)
    content = bytes(range(256)) * 20_000
    file = giver.give("a.bin", content, check=False)["id"]
    wait_for(lambda: giver.state(file)["state"] == "ready", 20, "ready")
    assert on_disk() == [] and [entry.size for entry in bucket.objects.all()] == [len(content)]
    assert giver.fetch(f"/files/{file}/download/")[1] == content
    serving.ended(serving.ask(alice, "one", files=[file]))
    (uploaded,) = agent_server.uploads.values()
    assert uploaded["file"] == content
    giver.remove(file)
    wait_for(lambda: not list(bucket.objects.all()), what="nothing in the bucket")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bucket_that_does_not_answer_refuses_the_file(bucket: Any, giver: Giver) -> None:
    bucket.delete()
    state = giver.give("a.txt", b"hello")
    assert (state["state"], state["code"]) == ("refused", "storage_failed")
    assert not FileBytes.objects.exists()


def test_a_file_that_is_removed_while_it_is_sent_stays_named_in_its_message(
    giver: Giver, alice: Any, monkeypatch: Any
) -> None:
    from chat.actions import files as verbs

    file = giver.give("a.txt", b"hello")["id"]
    before = verbs.find(alice, file)
    carry(file, alice)
    monkeypatch.setattr(verbs, "find", lambda *_: before)
    verbs.remove(alice, file=file)
    assert (ContextFile.objects.get().state, Attachment.objects.count()) == ("gone", 1)


def test_a_renewal_whose_process_died_is_over_after_a_while(giver: Giver, demo_agent: Agent) -> None:
    from chat.models import Handing

    file = giver.give("a.txt", b"hello")["id"]
    row = ContextFile.objects.get()
    Handing.objects.create(file=row, agent=demo_agent, state="renewing", at=timezone.now())
    assert giver.state(file)["handed"][0]["state"] == "renewing"
    Handing.objects.update(at=timezone.now() - timedelta(minutes=11))
    assert giver.state(file)["handed"][0]["state"] == "expired"
