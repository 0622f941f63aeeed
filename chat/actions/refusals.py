"""Why a verb did nothing."""

from __future__ import annotations

from chat.faults import FAULTS


class Refused(Exception):
    """A verb's refusal: a code of chat/faults.py, its HTTP status, and numbers for the sentence."""

    def __init__(self, code: str, **params: int | str) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
        self.status = FAULTS[code].status
