"""Looks into a file in a process of its own, which has little memory, little time and no secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from chat.extract.limited import Box

log = logging.getLogger(__name__)

#: What a process that ran into its limits, or broke, is taken to have said.
UNREADABLE = "file_unreadable"


def look(task: Literal["text", "image", "archive"], source: Path, last: str, folder: Path) -> dict[str, Any]:
    """What was found: {"code": "" or why nothing was, ...}; what was made is in `folder`.

    `last` is the ending of the file's name. Takes at most twice STKWEB_FILE_LOOK_SECONDS.
    """
    box = Box(
        memory=settings.LIMIT_LOOK_BYTES, seconds=settings.LIMIT_LOOK, pages=settings.LIMIT_PAGES,
        pixels=settings.LIMIT_PIXELS,
    )  # fmt: skip
    command = [sys.executable, "-E", "-s", "-m", "chat.extract", task, str(source), last, str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 (our own module; the file's name is no part of it)
            [*command, json.dumps(asdict(box))],
            cwd=settings.BASE_DIR, env={"LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=2 * settings.LIMIT_LOOK, check=False,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        log.warning("looking into a file (%s) ended without a word: %s", task, type(error).__name__)
        return {"code": UNREADABLE}
    return found
