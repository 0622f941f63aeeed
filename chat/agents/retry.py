"""When a refused call is made again, and after how long. No waiting happens here.

Only what was refused before a single byte of an answer is ever asked again: a second generation
costs money and may say something else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .errors import AgentError

JITTER: Final = 0.1
RETRIED_STATUSES: Final = frozenset({502, 503, 504})
HARMLESS_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently.

    max_retries    calls after the first
    initial_delay  seconds before the first retry; doubled for each next one
    longest_wait   seconds; an upstream that asks for more is not waited for
    harmless       doing it twice costs nothing (an upload), so that lost connections, 408, 500 and
                   a 429 without a Retry-After are tried again too
    on_busy        told the seconds of every 429 that asks for a pause, whether it is asked again or
                   not: others with the same credential would be refused as well. Must not block
    """

    max_retries: int = 2
    initial_delay: float = 0.5
    longest_wait: float = 20.0
    harmless: bool = False
    on_busy: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError("max_retries must not be negative")
        if not self.initial_delay > 0:
            raise ValueError("initial_delay must be above 0")
        if not self.longest_wait > 0:
            raise ValueError("longest_wait must be above 0")

    def delay(
        self, error: AgentError, attempt: int, uniform: Callable[[float, float], float] = random.uniform
    ) -> float | None:
        """Seconds to wait before call `attempt` + 1 (`attempt` counts from 1); None to give up.

        A Retry-After is honoured to the second when it is above the backoff. Without one, 429 is
        not asked again: nobody knows when it would help.
        """
        if self.on_busy is not None and error.code == "busy" and error.retry_after:
            self.on_busy(error.retry_after)
        if attempt > self.max_retries or not self._may_help(error):
            return None
        backoff = self.initial_delay * 2 ** (attempt - 1)
        asked = error.retry_after or 0.0
        if asked > self.longest_wait:
            return None
        # Spread upwards only: nobody comes back before the moment that was asked for.
        return float(min(max(backoff, asked) * uniform(1.0, 1.0 + JITTER), self.longest_wait))

    def _may_help(self, error: AgentError) -> bool:
        if self.harmless and error.code != "credit":
            if error.status in HARMLESS_STATUSES:
                return True
            return error.status is None and error.family in ("network", "timeout")
        if error.code == "busy":
            return error.retry_after is not None
        return error.code == "agent_unavailable" and error.status in RETRIED_STATUSES
