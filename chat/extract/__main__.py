"""`python -m chat.extract TASK SOURCE ENDING FOLDER LIMITS`: looks into one file and writes what it found.

TASK is text, image or archive. The result is one line of JSON on the standard output: {"code": "", ...} or
the code of a refusal. A parser that breaks on a hostile file ends this process without that line, which the
parent takes for file_unreadable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .limited import Box
from .text import Unreadable, check_archive, text_of


def main(task: str, source: Path, last: str, folder: Path, box: Box) -> dict[str, Any]:
    """Do it; {"code", ...}. Raises Unreadable."""
    if task == "image":
        from .images import previews

        box.close()
        return {"shown_type": previews(source, folder / "thumbnail", folder / "shown", box)}
    box.close()
    if task == "archive":
        check_archive(source, last)
        return {}
    text, cut = text_of(source, last, box)
    (folder / "text").write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8")
    return {"cut": cut}


if __name__ == "__main__":
    limits = Box(**json.loads(sys.argv[5]))
    try:
        found = {"code": "", **main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), limits)}
    except Unreadable as refused:
        found = {"code": refused.code}
    sys.stdout.write(json.dumps(found))
