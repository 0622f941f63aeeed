"""What a file is: by its name, and whether its first bytes agree. Nothing is parsed here."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

#: Bytes of a file's beginning that are looked at.
HEAD: Final = 64 * 1024

IMAGES: Final = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
    ".webp": "image/webp",
}  # fmt: skip
OFFICE: Final = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
PDF: Final = {".pdf": "application/pdf"}
ARCHIVES: Final = {".zip": "application/zip", ".gz": "application/gzip"}
_NAMED_TEXT: Final = {
    ".md": "text/markdown", ".markdown": "text/markdown", ".csv": "text/csv", ".html": "text/html",
    ".htm": "text/html", ".css": "text/css", ".xml": "application/xml", ".json": "application/json",
    ".svg": "image/svg+xml",
}  # fmt: skip
_PLAIN: Final = (
    ".txt", ".text", ".log", ".rst", ".tsv", ".jsonl", ".ndjson", ".yaml", ".yml", ".toml", ".ini", ".cfg",
    ".conf", ".env", ".properties", ".sql", ".diff", ".patch", ".py", ".js", ".mjs", ".ts", ".tsx", ".jsx",
    ".java", ".kt", ".kts", ".scala", ".groovy", ".gradle", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go",
    ".rs", ".rb", ".php", ".pl", ".sh", ".bash", ".zsh", ".ps1", ".bat", ".swift", ".m", ".r", ".lua",
    ".dart", ".vue", ".svelte", ".scss", ".less", ".tf", ".hcl", ".proto", ".graphql", ".tex", ".bib",
    ".ipynb", ".srt", ".vtt", ".ics", ".eml",
)  # fmt: skip
TEXT: Final = {**_NAMED_TEXT, **dict.fromkeys(_PLAIN, "text/plain")}
_KNOWN: Final = {
    **dict.fromkeys(TEXT, "text"), **dict.fromkeys(IMAGES, "image"), **dict.fromkeys(OFFICE, "office"),
    **dict.fromkeys(PDF, "pdf"),
}  # fmt: skip
_TYPES: Final = {**TEXT, **IMAGES, **OFFICE, **PDF, **ARCHIVES}

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"), (b"PK\x03\x04", "application/zip"), (b"PK\x05\x06", "application/zip"),
    (b"%PDF-", "application/pdf"), (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/7z"),
    (b"Rar!\x1a\x07", "application/rar"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/ole"),
    (b"\x7fELF", "application/elf"), (b"MZ", "application/exe"), (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"), (b"\x00\x00\x01\x00", "image/icon"), (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mp3"),
)  # fmt: skip


class Mismatch(Exception):
    """The content is not what the name says."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`kind` is text, image, pdf, office or other; `type` the media type it is stored as."""

    kind: str
    type: str


def ending(name: str) -> str:
    """The last ending of a name in lower case, with its dot; "" when there is none."""
    return PurePosixPath(name.lower()).suffix


def by_name(name: str) -> Kind:
    """What the name says. One without an ending is taken for text, as `Makefile` is."""
    last = ending(name)
    if not last:
        return Kind("text", "text/plain")
    return Kind(_KNOWN.get(last, "other"), _TYPES.get(last, "application/octet-stream"))


def sniffed(head: bytes) -> str | None:
    """The media type that the first bytes tell; None for text and for what is not known."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((found for magic, found in _MAGIC if head.startswith(magic)), None)


def decoded(content: bytes, *, final: bool = True) -> str | None:
    """`content` as text: UTF-8, UTF-16 with its mark, else Windows' Latin; None when it is no text.

    `final` False: it was cut anywhere, so that its last character may be incomplete.
    """
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(content, final)
    if b"\x00" in content:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(content, final)
    except UnicodeDecodeError:
        pass
    odd = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in content[:4096])
    return None if odd else content.decode("cp1252", "replace")


def is_utf8(head: bytes) -> bool:
    """Whether the beginning of a text is UTF-8; one of `HEAD` bytes may be cut anywhere."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return True


def checked(name: str, claimed: str, head: bytes) -> Kind:
    """What a file is, when its name, the browser's word and its first bytes agree. Raises Mismatch.

    A browser's word is weighed only where it is a strong one: images and PDF.
    """
    named, found = by_name(name), sniffed(head)
    claimed = claimed.partition(";")[0].strip().lower()
    strong = claimed == "application/pdf" or (claimed.startswith("image/") and claimed != "image/svg+xml")
    if strong and claimed.partition("/")[0] != named.type.partition("/")[0]:
        raise Mismatch(name)
    if named.kind == "text":
        if found is not None or decoded(head, final=False) is None:
            raise Mismatch(name)
    elif named.kind == "office" or named.type == "application/zip":
        if found != "application/zip":
            raise Mismatch(name)
    elif named.type != "application/octet-stream":
        if found != named.type:
            raise Mismatch(name)
    elif found is not None and found.startswith("image/"):
        raise Mismatch(name)
    return named
