"""What a file is found to be: S26, S28. Types, pictures, documents, bombs, the virus scanner."""

from __future__ import annotations

import io
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.extract import kinds
from chat.files import boxed, clamd, storing
from chat.models import ContextFile
from tests.files.conftest import Giver, docx, on_disk, pdf, png, pptx, xlsx, zip_bomb

pytestmark = pytest.mark.django_db

HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def text_of(state: dict[str, Any]) -> str:
    stored = ContextFile.objects.select_related("stored").get(public_id=state["id"]).stored
    assert stored is not None
    return storing.head_of(stored.text, 100_000).decode()


# -- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind", "type_"),
    [
        ("a.txt", b"hello", "text", "text/plain"),
        ("a.TXT", "olá".encode("utf-16"), "text", "text/plain"),
        ("a.csv", "a;b\n\xe9;1".encode("latin-1"), "text", "text/csv"),
        ("Makefile", b"all:\n\ttrue", "text", "text/plain"),
        ("a.html", HTML, "text", "text/html"),
        ("a.svg", SVG, "text", "image/svg+xml"),
        (".htaccess", b"Options +ExecCGI", "text", "text/plain"),
        ("a.png", png(), "image", "image/png"),
        ("a.pdf", pdf("hello"), "pdf", "application/pdf"),
        ("a.bin", b"\x00\x01\x02", "other", "application/octet-stream"),
    ],
)
def test_a_file_is_what_its_name_and_its_content_say(
    giver: Giver, name: str, content: bytes, kind: str, type_: str
) -> None:
    state = giver.give(name, content)
    assert (state["state"], state["kind"], state["type"]) == ("ready", kind, type_)


@pytest.mark.parametrize(
    ("name", "content", "claimed"),
    [
        ("a.png", b"hello", ""),
        ("a.png", HTML, "image/png"),
        ("a.jpg", png(), ""),
        ("a.txt", png(), ""),
        ("a.txt", b"\x00\x01binary", ""),
        ("a.txt", b"MZ\x90\x00", ""),
        ("a.txt", b"hello", "image/png"),
        ("a.pdf", b"hello", "application/pdf"),
        ("a.docx", b"hello", ""),
        ("a.docx", pdf("x"), ""),
        ("a.exe", png(), ""),
        ("a.zip", b"hello", ""),
    ],
)
def test_a_name_that_lies_is_refused(giver: Giver, name: str, content: bytes, claimed: str) -> None:
    state = giver.give(name, content, type=claimed)
    assert (state["state"], state["code"]) == ("refused", "file_type_wrong")
    assert on_disk() == []


def test_a_zip_that_only_calls_itself_a_document_is_refused(giver: Giver) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x.txt", "x")
    assert giver.give("a.docx", made.getvalue())["code"] == "file_type_wrong"
    assert giver.give("a.zip", made.getvalue())["state"] == "ready"


def test_a_text_cut_inside_a_character_is_text() -> None:
    content = "é".encode() * 100
    assert kinds.checked("a.txt", "", content[:-1]).kind == "text"


# -- pictures ----------------------------------------------------------------------------------------


def test_a_picture_is_shown_as_a_new_one_without_what_was_hidden_in_it(giver: Giver) -> None:
    from PIL import Image, PngImagePlugin

    hidden = PngImagePlugin.PngInfo()
    hidden.add_text("Comment", "<script>alert(1)</script> at home")
    state = giver.give("a.png", png(2000, 1000, pnginfo=hidden) + b"<script>alert(2)</script>")
    assert state["has_thumbnail"] is True
    answer, content = giver.fetch(state["preview_url"])
    assert answer["Content-Type"] == "image/webp" and b"script" not in content
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("WEBP", (512, 256))


def test_a_gif_that_is_a_script_too_shows_only_its_picture(giver: Giver) -> None:
    from PIL import Image

    made = io.BytesIO()
    Image.new("P", (8, 8)).save(made, "GIF")
    state = giver.give("a.gif", made.getvalue() + b"*/=1;alert(document.domain)//")
    assert b"alert" not in giver.fetch(state["preview_url"])[1]


def test_a_picture_of_2_5_billion_pixels_is_refused_without_being_unpacked(giver: Giver) -> None:
    huge = bytearray(png())
    huge[16:24] = struct.pack(">II", 50_000, 50_000)
    import zlib

    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    state = giver.give("a.png", bytes(huge))
    assert (state["state"], state["code"]) == ("refused", "image_too_large")
    assert on_disk() == []


def test_a_broken_picture_is_refused(giver: Giver) -> None:
    assert giver.give("a.png", png(300, 300)[:200])["code"] == "file_unreadable"
    assert on_disk() == []


# -- documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.pdf", pdf("first page", "second page"), "first page\nsecond page"),
        ("a.docx", docx("Olá", "mundo"), "Olá\nmundo"),
        ("a.xlsx", xlsx(("name", "n"), ("ação", 5)), "# Sheet\nname\tn\nação\t5"),
        ("a.pptx", pptx("One", "Two"), "One\n\nTwo"),
    ],
)
def test_the_text_of_a_document_is_read(giver: Giver, name: str, content: bytes, text: str) -> None:
    state = giver.give(name, content)
    assert state["state"] == "ready" and text_of(state) == text


def test_a_document_beyond_its_pages_is_read_so_far(giver: Giver, settings: Any) -> None:
    settings.LIMIT_PAGES = 2
    state = giver.give("a.pdf", pdf("one", "two", "three"))
    assert text_of(state) == "one\ntwo"
    stored = ContextFile.objects.get(public_id=state["id"]).stored
    assert stored is not None and stored.text_cut is True


def test_a_bomb_is_refused(giver: Giver) -> None:
    bomb = zip_bomb()
    assert len(bomb) < 1024 * 1024
    for name in ("a.docx", "a.zip"):
        assert giver.give(name, bomb)["code"] == "file_bomb"
    assert on_disk() == []


def test_a_document_that_cannot_be_read_is_kept_without_its_text(giver: Giver) -> None:
    state = giver.give("a.pdf", b"%PDF-1.7\nnothing that follows")
    stored = ContextFile.objects.get(public_id=state["id"]).stored
    assert state["state"] == "ready" and stored is not None and stored.text_code == "file_unreadable"


def test_looking_into_a_file_ends_at_its_limits(tmp_path: Path, settings: Any) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(png(2500, 2500))
    assert boxed.look("image", source, ".png", tmp_path)["code"] == ""
    settings.LIMIT_LOOK_BYTES = 64 * 1024 * 1024
    assert boxed.look("image", source, ".png", tmp_path) == {"code": "file_unreadable"}


def test_the_process_that_looks_has_no_secrets_of_ours(tmp_path: Path, monkeypatch: Any) -> None:
    """Its environment is what `boxed` gives it: nothing of the server's."""
    import json
    import subprocess

    seen: list[dict[str, Any]] = []
    real = subprocess.run

    def run(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(boxed.subprocess, "run", run)
    (tmp_path / "a.pdf").write_bytes(pdf("hello"))
    assert boxed.look("text", tmp_path / "a.pdf", ".pdf", tmp_path)["code"] == ""
    assert json.dumps(seen[0]["env"]) == '{"LANG": "C.UTF-8"}'


# -- the virus scanner -------------------------------------------------------------------------------


class Clamd:
    """A daemon on loopback that speaks INSTREAM and finds whatever holds the word EICAR."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.got: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, line.makefile("rb") as stream:
                assert stream.read(10) == b"zINSTREAM\0"
                content = b""
                while size := struct.unpack("!I", stream.read(4))[0]:
                    content += stream.read(size)
                self.got.append(content)
                found = b"stream: Eicar-Test FOUND\0" if b"EICAR" in content else b"stream: OK\0"
                line.sendall(found if self.answer is None else self.answer)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def clamd_running() -> Iterator[Clamd]:
    daemon = Clamd()
    try:
        yield daemon
    finally:
        daemon.close()


def test_what_the_scanner_finds_is_refused_and_gone(giver: Giver, settings: Any) -> None:
    with clamd_running() as daemon:
        settings.CLAMAV_URL = daemon.url
        clean, infected = giver.give("a.txt", b"x" * 200_000), giver.give("b.txt", b"EICAR!")
    assert daemon.got == [b"x" * 200_000, b"EICAR!"]
    assert (clean["state"], infected["state"], infected["code"]) == ("ready", "refused", "file_infected")
    assert len(on_disk()) == 1


@pytest.mark.parametrize("answer", [b"", b"INSTREAM size limit exceeded. ERROR\0", b"\xff\0"])
def test_a_scanner_without_a_word_refuses(giver: Giver, settings: Any, answer: bytes) -> None:
    with clamd_running() as daemon:
        daemon.answer, settings.CLAMAV_URL = answer, daemon.url
        assert giver.give("a.txt", b"hello")["code"] == "file_scan_failed"


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "unix:///nowhere", "http://127.0.0.1:1"])
def test_a_scanner_that_is_not_there_refuses(tmp_path: Path, url: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(clamd.ScanFailed):
        clamd.finding(url, tmp_path / "a")
