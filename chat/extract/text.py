"""The text of PDF and Office documents, within limits of pages and characters."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .limited import Box

#: What an Office document may unfold to, and how much of it may come of one byte.
_UNPACKED = 200 * 1024 * 1024
_RATIO = 200
_MEMBERS = 10_000
_PARTS = {".docx": "word/", ".xlsx": "xl/", ".pptx": "ppt/"}


class Unreadable(Exception):
    """No text can be had: `code` says why (file_unreadable, file_bomb, file_type_wrong)."""

    def __init__(self, code: str = "file_unreadable") -> None:
        super().__init__(code)
        self.code = code


def check_archive(path: Path, last: str) -> None:
    """Refuse an archive that unfolds without measure, or is no document of its kind. Raises Unreadable."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise Unreadable("file_type_wrong") from None
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if len(members) > _MEMBERS or unpacked > _UNPACKED or (unpacked > 1 << 20 and unpacked / packed > _RATIO):
        raise Unreadable("file_bomb")
    wanted = _PARTS.get(last)
    if wanted and not any(member.filename.startswith(wanted) for member in members):
        raise Unreadable("file_type_wrong")


def text_of(path: Path, last: str, box: Box) -> tuple[str, bool]:
    """The text of the document at `path` with the ending `last`, and whether some of it was left out.

    Raises Unreadable.
    """
    if last in _PARTS:
        check_archive(path, last)
    pieces: list[str] = []
    room = box.characters
    for piece in _READERS[last](path, box):
        pieces.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    text = "\n".join(pieces).strip()
    if not text:
        raise Unreadable
    return text, room <= 0 or _more_pages(path, last, box)


def _more_pages(path: Path, last: str, box: Box) -> bool:
    if last != ".pdf":
        return False
    from pypdf import PdfReader

    return len(PdfReader(path).pages) > box.pages


def _pdf(path: Path, box: Box) -> Iterator[str]:
    from pypdf import PdfReader

    reader = PdfReader(path)
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable
    for number, page in enumerate(reader.pages):
        if number >= box.pages:
            return
        yield page.extract_text() or ""


def _docx(path: Path, box: Box) -> Iterator[str]:
    import docx
    from docx.table import Table

    for block in docx.Document(str(path)).iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield "\t".join(cell.text.strip() for cell in row.cells)
        else:
            yield block.text


def _xlsx(path: Path, box: Box) -> Iterator[str]:
    from openpyxl.reader.excel import load_workbook

    with path.open("rb") as content:  # by its name it would be judged
        book: Any = load_workbook(content, read_only=True, data_only=True)  # type: ignore[no-untyped-call]
        for sheet in book.worksheets[: box.pages]:
            yield f"# {sheet.title}"
            for row in sheet.iter_rows(values_only=True):
                cells = ["" if value is None else str(value) for value in row]
                if any(cells):
                    yield "\t".join(cells).rstrip("\t")


def _pptx(path: Path, box: Box) -> Iterator[str]:
    import pptx

    for number, slide in enumerate(pptx.Presentation(str(path)).slides):
        if number >= box.pages:
            return
        for shape in slide.shapes:
            if shape.has_text_frame:
                yield shape.text_frame.text
            elif shape.has_table:
                for row in shape.table.rows:
                    yield "\t".join(cell.text for cell in row.cells)


_READERS: dict[str, Callable[[Path, Box], Iterator[str]]] = {
    ".pdf": _pdf, ".docx": _docx, ".xlsx": _xlsx, ".pptx": _pptx,
}  # fmt: skip
