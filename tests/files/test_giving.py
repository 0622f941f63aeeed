"""Slices: R39, S27, S28. What a page sends, cut, repeated, damaged, out of order, too much."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from chat.actions.files import Announced, announce, clean_name
from chat.actions.refusals import Refused
from chat.files import checking
from chat.models import Agent, ContextFile, FileBytes, new_id
from tests.files.conftest import SLICE, Giver, digest_of, on_disk, png

pytestmark = pytest.mark.django_db


def error(answer: Any) -> dict[str, Any]:
    assert answer.status_code >= 400, answer.content
    found: dict[str, Any] = answer.json()["error"]
    assert found["message"] and found["next"] and found["kept"] == "Your text is still in the box."
    return found


def test_a_file_is_announced_sent_in_slices_and_ready(giver: Giver) -> None:
    content = b"a line of text\n" * 400_000
    announced = giver.announce("notes.txt", len(content), type="text/plain")
    assert announced.status_code == 201
    first = announced.json()
    assert (first["state"], first["offset"], first["slice"]) == ("uploading", 0, SLICE)
    ready = giver.give("notes.txt", content)
    assert (ready["state"], ready["offset"], ready["kind"]) == ("ready", len(content), "text")
    assert giver.fetch(ready["download_url"])[1] == content


def test_an_announcement_repeated_is_the_same_file(giver: Giver) -> None:
    first, again = (giver.announce("a.txt", 5, key="one") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert error(giver.announce("a.txt", 6, key="one"))["code"] == "key_reused"


def test_an_upload_that_was_cut_goes_on_where_the_server_is(giver: Giver) -> None:
    content = bytes(range(256)) * 40_000  # 10 MB: three slices
    file = giver.announce("data.bin", len(content)).json()["id"]
    for offset in (0, SLICE):
        giver.put(file, offset, content[offset : offset + SLICE])
    offset = giver.state(file)["offset"]
    assert offset == 2 * SLICE
    assert giver.put(file, offset, content[offset:]).json() == {"offset": len(content), "state": "checking"}


def test_a_slice_sent_twice_changes_nothing(giver: Giver) -> None:
    file = giver.announce("a.txt", 10).json()["id"]
    for _ in range(2):
        assert giver.put(file, 0, b"hello").json() == {"offset": 5, "state": "uploading"}
    for _ in range(2):
        assert giver.put(file, 5, b"world").json() == {"offset": 10, "state": "checking"}


@pytest.mark.parametrize("offset", [1, 4, 6, 9])
def test_a_wrong_offset_is_told_the_right_one(giver: Giver, offset: int) -> None:
    file = giver.announce("a.txt", 10).json()["id"]
    giver.put(file, 0, b"hello")
    answer = giver.put(file, offset, b"world"[: 10 - offset] if offset > 5 else b"worlds")
    assert answer.status_code == 409
    assert (error(answer)["code"], error(answer)["offset"]) == ("wrong_offset", 5)


def test_a_damaged_slice_is_refused_and_sent_again(giver: Giver) -> None:
    content = b"the right words"
    file = giver.announce("a.txt", len(content)).json()["id"]
    damaged = giver.put(file, 0, b"the wrong words", **{"Content-Digest": digest_of(content)})
    assert damaged.status_code == 422 and error(damaged)["code"] == "slice_damaged"
    assert giver.state(file)["offset"] == 0
    giver.put(file, 0, content)
    checking.check(ContextFile.objects.get(public_id=file).pk)
    assert giver.fetch(f"/files/{file}/download/")[1] == content


@pytest.mark.parametrize("digest", ["sha-256=abc", "sha-256=:!!!:", "sha-256=:YWJj:", "md5=:YWJj:"])
def test_a_digest_that_is_none_is_a_bad_request(giver: Giver, digest: str) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    assert giver.put(file, 0, b"hello", **{"Content-Digest": digest}).status_code == 400


@pytest.mark.parametrize("offset", ["", "-1", "1e3", "٣", "9" * 30])
def test_an_offset_that_is_none_is_a_bad_request(giver: Giver, offset: str) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    assert giver.put(file, 0, b"hello", **{"Upload-Offset": offset}).status_code == 400


def test_a_page_without_a_digest_may_send_too(giver: Giver) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    answer = giver.client.put(f"/files/{file}/", b"hello", headers={"Upload-Offset": "0"})
    assert answer.json() == {"offset": 5, "state": "checking"}


def test_a_file_other_than_the_announced_one_is_refused(giver: Giver) -> None:
    state = giver.give("a.txt", b"hello", sha256=hashlib.sha256(b"other").hexdigest())
    assert (state["state"], state["code"]) == ("refused", "file_damaged")
    assert state["message"] and state["next"] and on_disk() == []


def test_a_cancelled_upload_leaves_nothing(giver: Giver) -> None:
    file = giver.announce("a.bin", 2 * SLICE).json()["id"]
    giver.put(file, 0, bytes(SLICE))
    assert len(on_disk()) == 1
    assert (
        giver.client.post(f"/files/{file}/remove/", headers={"Accept": "application/json"}).status_code == 200
    )
    assert on_disk() == [] and not ContextFile.objects.exists()
    assert giver.put(file, SLICE, bytes(SLICE)).status_code == 404
    assert on_disk() == []


@pytest.mark.parametrize(
    ("name", "size", "code", "status"),
    [
        ("a.txt", 0, "file_empty", 422),
        ("a.txt", 10 * 1024 * 1024 + 1, "file_too_large", 413),
        ("a.txt", 30 * 1024 * 1024, "file_too_large", 413),
        ("", 5, "file_name_invalid", 422),
        ("../", 5, "file_name_invalid", 422),
        ("\u202e\x00", 5, "file_name_invalid", 422),
    ],
)
def test_what_may_not_come_is_refused_before_a_byte(
    giver: Giver, name: str, size: int, code: str, status: int
) -> None:
    answer = giver.announce(name, size)
    assert (answer.status_code, error(answer)["code"]) == (status, code)
    assert not ContextFile.objects.exists()


@pytest.mark.parametrize("size", [-1, True, "5", 1.5, None])
def test_a_size_that_is_none_is_a_bad_request(giver: Giver, size: Any) -> None:
    assert giver.announce("a.txt", size).status_code == 400


def test_a_slice_over_four_mebibytes_is_refused(giver: Giver) -> None:
    file = giver.announce("a.bin", 2 * SLICE).json()["id"]
    answer = giver.put(file, 0, bytes(SLICE + 1))
    assert (answer.status_code, error(answer)["limit"]) == (413, SLICE)


def test_more_than_was_announced_is_refused(giver: Giver) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    assert giver.put(file, 0, b"hello!").status_code == 409
    assert giver.state(file)["offset"] == 0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.booleans()), max_size=12))
@hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_in_whatever_order_the_file_is_the_given_one(
    giver: Giver, settings: Any, slices: list[tuple[int, int, bool]]
) -> None:
    """Slices anywhere, some of them damaged: only those that follow count, and the offset says how far."""
    settings.LIMIT_FILES_UNSENT = 1000
    content, here = bytes(range(1, 41)), 0
    file = giver.announce("a.bin", len(content)).json()["id"]
    for offset, length, damaged in slices:
        piece = content[offset : offset + length]
        if here == len(content) or not piece:
            continue
        digest = {"Content-Digest": digest_of(b"other")} if damaged else {}
        answer = giver.put(file, offset, piece, **digest)
        known = offset + len(piece) <= here
        expected = 200 if known else 409 if offset != here else 422 if damaged else 200
        assert answer.status_code == expected
        here = here + len(piece) if expected == 200 and not known else here
        assert giver.state(file)["offset"] == here
    if here < len(content):
        giver.put(file, here, content[here:])
    checking.check(ContextFile.objects.get(public_id=file).pk)
    assert giver.fetch(f"/files/{file}/download/")[1] == content


# -- room --------------------------------------------------------------------------------------------


def test_a_thousand_files_are_not_kept_waiting(giver: Giver, settings: Any) -> None:
    settings.LIMIT_FILES_UNSENT = 3
    answers = [giver.announce("a.txt", 5) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert error(answers[-1])["code"] == "too_many_unsent_files"


def test_a_person_s_room_is_counted_with_what_is_still_coming(giver: Giver, settings: Any) -> None:
    settings.LIMIT_FILES_OF_PERSON = 100
    giver.give("a.txt", b"x" * 40)
    giver.announce("b.txt", 40)
    assert error(giver.announce("c.txt", 40))["code"] == "files_of_person_full"
    assert giver.announce("d.txt", 20).status_code == 201


def test_the_room_of_all_is_counted(
    giver: Giver, bob: Any, client_of: Callable[..., Client], settings: Any
) -> None:
    settings.LIMIT_FILES_IN_ALL = 100
    giver.give("a.txt", b"x" * 90)
    theirs = Giver(client_of(bob), giver.agent).announce("b.txt", 20)
    assert (theirs.status_code, error(theirs)["code"]) == (507, "files_full")


@pytest.mark.django_db(transaction=True)
def test_announcements_at_once_do_not_take_more_room_than_there_is(
    alice: Any, demo_agent: Agent, settings: Any
) -> None:
    settings.LIMIT_FILES_OF_PERSON = 1000
    barrier = threading.Barrier(8)

    def take(number: int) -> bool:
        barrier.wait()
        try:
            announce(alice, Announced(f"{number}.txt", 300, agent=demo_agent.public_id), key=new_id())
        except Refused as refused:
            assert refused.code == "files_of_person_full"
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 3


# -- once --------------------------------------------------------------------------------------------


def test_the_same_file_twice_is_stored_once(giver: Giver) -> None:
    first, second = giver.give("a.txt", b"the same"), giver.give("b.txt", b"the same")
    assert first["id"] != second["id"] and FileBytes.objects.count() == 1 and len(on_disk()) == 1
    for file, left in ((first, 1), (second, 0)):
        giver.remove(file["id"])
        checking.release(set(FileBytes.objects.values_list("pk", flat=True)))
        assert len(on_disk()) == left


def test_another_person_s_same_file_is_another_one(
    giver: Giver, bob: Any, client_of: Callable[..., Client]
) -> None:
    giver.give("a.txt", b"the same")
    theirs = Giver(client_of(bob), giver.agent)
    announced = theirs.announce("a.txt", 8, sha256=hashlib.sha256(b"the same").hexdigest()).json()
    assert (announced["state"], announced["offset"]) == ("uploading", 0)
    theirs.give("a.txt", b"the same")
    assert FileBytes.objects.count() == 2 and len(on_disk()) == 2


# -- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\x\\plan.docx", "plan.docx"),
        ("a\x00b.txt", "ab.txt"),
        ("a\r\nX-Evil: 1.txt", "aX-Evil: 1.txt"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ('say "hi".txt', 'say "hi".txt'),
        ("relatório ✓ 🎉.txt", "relatório ✓ 🎉.txt"),
        ("..", ""),
        ("x" * 4000 + ".txt", "x" * 196 + ".txt"),
    ],
)
def test_a_name_is_made_harmless(given_name: str, kept: str) -> None:
    assert clean_name(given_name) == kept


@given(st.text())
def test_no_name_escapes_steers_or_hides(name: str) -> None:
    kept = clean_name(name)
    assert len(kept) <= 200 and "/" not in kept and "\\" not in kept and kept not in (".", "..")
    assert clean_name(kept) == kept and kept.isprintable()


@pytest.mark.parametrize(
    "name", ['a"b\r\nX: y.txt', "relatório 🎉.txt", "x" * 4000, "../../x.txt", "a;b=c.txt"]
)
def test_a_name_breaks_no_header(giver: Giver, name: str) -> None:
    state = giver.give(name, b"hello")
    header = giver.fetch(state["download_url"])[0]["Content-Disposition"]
    assert header.startswith("attachment") and "\r" not in header and "\n" not in header
    assert ".." not in header and header.isascii()


def test_nothing_on_disk_is_called_as_the_file_is(giver: Giver) -> None:
    giver.give("very-telling-name.png", png())
    assert len(on_disk()) == 3
    for path in on_disk():
        assert "telling" not in str(path) and path.stat().st_mode & 0o077 == 0
