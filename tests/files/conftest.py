"""Giving files as a page does: announce, slices, check; and files of every kind made on the spot."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from chat.files import checking
from chat.models import Agent, ContextFile, new_id
from tests.security.conftest import client_of
from tests.serving import agent, make_agent, make_model, serving

__all__ = ["agent", "client_of", "make_agent", "make_model", "serving"]

SLICE = 4 * 1024 * 1024


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A test sees only its own files on disk."""
    settings.DATA_DIR, settings.MEDIA_ROOT = tmp_path / "data", tmp_path / "data" / "files"
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


def on_disk() -> list[Path]:
    """Every file that is stored or on its way."""
    folder = Path(settings.DATA_DIR)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


class Giver:
    """One person's page. `give` ends with the file's state."""

    def __init__(self, client: Client, agent: Agent) -> None:
        self.client, self.agent = client, agent

    def announce(self, name: str, size: int, *, key: str = "", **fields: Any) -> Any:
        body = {"name": name, "size": size, "agent": self.agent.public_id, **fields}
        return self.client.post(
            "/files/", json.dumps(body), content_type="application/json",
            headers={"Idempotency-Key": key or new_id()},
        )  # fmt: skip

    def put(self, file: str, offset: int, content: bytes, **headers: str) -> Any:
        return self.client.put(
            f"/files/{file}/", content, content_type="application/octet-stream",
            headers={"Upload-Offset": str(offset), "Content-Digest": digest_of(content), **headers},
        )  # fmt: skip

    def state(self, file: str) -> dict[str, Any]:
        return self.client.get(f"/files/{file}/").json()

    def remove(self, file: str) -> int:
        answer = self.client.post(f"/files/{file}/remove/", headers={"Accept": "application/json"})
        return answer.status_code

    def fetch(self, url: str) -> tuple[Any, bytes]:
        """A download's answer and its bytes."""
        answer = self.client.get(url)
        return answer, b"".join(answer) if answer.streaming else answer.content

    def give(self, name: str, content: bytes, *, check: bool = True, **fields: Any) -> dict[str, Any]:
        announced = self.announce(name, len(content), **fields)
        assert announced.status_code == 201, announced.content
        file = announced.json()["id"]
        for offset in range(0, len(content), SLICE):
            answer = self.put(file, offset, content[offset : offset + SLICE])
            assert answer.status_code == 200, answer.content
        if check:
            checking.check(ContextFile.objects.get(public_id=file).pk)
        return self.state(file)


@pytest.fixture
def giver(alice: Any, demo_agent: Agent, client_of: Callable[..., Client]) -> Giver:
    """alice's page."""
    return Giver(client_of(alice), demo_agent)


# -- files -------------------------------------------------------------------------------------------


def png(width: int = 8, height: int = 8, **info: Any) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(made, "PNG", **info)
    return made.getvalue()


def docx(*paragraphs: str) -> bytes:
    import docx as library

    made, document = io.BytesIO(), library.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    document.save(made)
    return made.getvalue()


def xlsx(*rows: tuple[Any, ...]) -> bytes:
    import openpyxl

    made, book = io.BytesIO(), openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(made)
    return made.getvalue()


def pptx(*titles: str) -> bytes:
    import pptx as library

    made, show = io.BytesIO(), library.Presentation()
    for title in titles:
        show.slides.add_slide(show.slide_layouts[0]).shapes.title.text = title
    show.save(made)
    return made.getvalue()


def pdf(*pages: str) -> bytes:
    """A PDF of one line a page, written by hand."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for page in pages:
        stream = f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    made, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)


def zip_bomb() -> bytes:
    """An Office document that unfolds a thousandfold, to 30 MB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as target:
            for _ in range(30):
                target.write(bytes(1024 * 1024))
    return made.getvalue()
