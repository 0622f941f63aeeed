"""Many prompts from a file of JSON lines to another: order, failures, and going on where it was cut off.

The answers' file is written line by line as answers come, so that nothing answered is lost, and put
into the prompts' order at the end. Prints nothing, asks nobody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandError

from chat.agents import AgentRequest
from chat.agents.blocking import AgentResponse, Status
from chat.management.calling import as_json


@dataclass(frozen=True, eq=False)
class Prompt:
    """One line of the prompts' file. `id` is the line's own, or its number."""

    id: str | int
    request: AgentRequest


def read_prompts(path: str, options: dict[str, Any]) -> list[Prompt]:
    """Every prompt, or CommandError with the number of the first line that is none.

    A line is a JSON text, or an object {"prompt", "id", "options"}; blank lines are left out.
    """
    found: dict[str | int, Prompt] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not text in UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        prompt = _prompt(line, number, options, f"{path}, line {number}")
        if prompt.id in found:
            raise CommandError(f"{path}, line {number}: the id {prompt.id!r} was used before.")
        found[prompt.id] = prompt
    return list(found.values())


def _prompt(line: str, number: int, options: dict[str, Any], where: str) -> Prompt:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise CommandError(f"{where}: this is not JSON.") from None
    fields = {"prompt": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or set(fields) - {"prompt", "id", "options"}:
        raise CommandError(f'{where}: give a text, or {{"prompt": …, "id": …, "options": {{…}}}}.')
    text, own, chosen = fields.get("prompt"), fields.get("id", number), fields.get("options", {})
    if not isinstance(text, str) or not text.strip():
        raise CommandError(f"{where}: there is no prompt.")
    if isinstance(own, bool) or not isinstance(own, str | int) or not isinstance(chosen, dict):
        raise CommandError(f"{where}: an id is a text or a number, options are an object.")
    return Prompt(own, AgentRequest(text, options={**options, **chosen}))


class Answers:
    """The answers' file. Open it with `with`; `done` are the prompts that need not be asked again."""

    def __init__(self, path: str, prompts: Iterable[Prompt]) -> None:
        self._path = Path(path)
        self._prompts = {prompt.id: prompt for prompt in prompts}
        self._rows: dict[str | int, dict[str, Any]] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Answers:
        try:
            self._read()
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}.") from None
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()
        self._put_in_order()

    def _read(self) -> None:
        """Keep what is there, but for the end of a line that was cut off."""
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.decode("utf-8", "replace").splitlines(), 1):
            try:
                row = json.loads(line)
                self._rows[row["id"]] = row
            except (ValueError, KeyError, TypeError):
                raise CommandError(
                    f"{self._path}, line {number}: this file holds something else than answers."
                ) from None
        if whole != data:
            os.truncate(self._path, len(whole))

    @property
    def missing(self) -> list[Prompt]:
        """The prompts without a good answer; an answer to another text under the same id is none."""
        return [prompt for prompt in self._prompts.values() if not self._answered(prompt)]

    def _answered(self, prompt: Prompt) -> bool:
        row = self._rows.get(prompt.id)
        return (
            row is not None and row.get("status") == Status.SUCCESS and row["prompt"] == prompt.request.prompt
        )

    def add(self, prompt: Prompt, response: AgentResponse) -> None:
        """Write an answer down, on the disk before it returns."""
        row = {"id": prompt.id, "prompt": prompt.request.prompt, **as_json(response)}
        self._rows[prompt.id] = row
        assert self._file is not None
        self._file.write(_line(row))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _put_in_order(self) -> None:
        """One line for each prompt, in their order; lines of other prompts stay behind them."""
        order = [*self._prompts, *(id for id in self._rows if id not in self._prompts)]
        beside = self._path.with_name(f"{self._path.name}.part")
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(_line(self._rows[id]) for id in order if id in self._rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)


def _line(row: dict[str, Any]) -> str:
    # ASCII alone: no reader splits a line at U+2028, and a lone surrogate can be written.
    return json.dumps(row) + "\n"
