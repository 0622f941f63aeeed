"""When a call is made again, after the SDK's cases. Delays are computed, never slept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentError
from chat.agents.errors import CODES
from chat.agents.refusals import refusal, retry_after_seconds
from chat.agents.retry import RetryPolicy


def lowest(low: float, _: float) -> float:
    return low


def highest(_: float, high: float) -> float:
    return high


def status(number: int, retry_after: float | None = None, text: str = "") -> AgentError:
    return refusal(number, text, retry_after=retry_after)


def test_backoff_doubles() -> None:
    policy = RetryPolicy(max_retries=3, initial_delay=0.5)
    assert [policy.delay(status(503), n, lowest) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, None]


def test_jitter_spreads_upwards_by_a_tenth() -> None:
    assert RetryPolicy().delay(status(503), 1, highest) == pytest.approx(0.55)


def test_no_retry_when_retry_disabled() -> None:
    assert RetryPolicy(max_retries=0).delay(status(503), 1) is None


@pytest.mark.parametrize("number", [400, 401, 403, 404, 408, 409, 413, 422, 500, 501])
def test_no_retry_on_4xx_errors(number: int) -> None:
    assert RetryPolicy().delay(status(number), 1) is None


@pytest.mark.parametrize("code", sorted(CODES - {"busy", "agent_unavailable"}))
def test_nothing_but_a_refusal_by_status_is_asked_again(code: str) -> None:
    assert RetryPolicy().delay(AgentError(code), 1) is None


def test_retry_after_beats_the_backoff() -> None:
    assert RetryPolicy().delay(status(429, 10), 1, lowest) == 10
    assert RetryPolicy(initial_delay=5).delay(status(429, 1), 1, lowest) == 5
    assert RetryPolicy().delay(status(503, 3), 1, lowest) == 3


def test_nobody_comes_back_before_the_moment_that_was_asked_for() -> None:
    delay = RetryPolicy().delay(status(429, 10), 1)
    assert delay is not None and delay >= 10


def test_an_oversized_retry_after_is_not_waited_for() -> None:
    assert RetryPolicy().delay(status(429, 20.1), 1) is None
    assert RetryPolicy().delay(status(429, 20), 1, highest) == 20


def test_a_429_without_retry_after_is_not_asked_again() -> None:
    assert RetryPolicy().delay(status(429), 1) is None


def test_a_credit_limit_is_never_asked_again() -> None:
    error = status(429, 1, "Credit Limit Reached")
    assert error.code == "credit"
    assert RetryPolicy().delay(error, 1) is None
    assert RetryPolicy(harmless=True).delay(error, 1) is None


@pytest.mark.parametrize(
    "error",
    [
        status(408),
        status(429),
        status(500),
        status(503),
        AgentError("connection_lost"),
        AgentError("unreachable"),
        AgentError("no_answer"),
    ],
)
def test_what_is_harmless_is_tried_again_more_often(error: AgentError) -> None:
    assert RetryPolicy(harmless=True).delay(error, 1) is not None


@pytest.mark.parametrize(
    "values",
    [{"max_retries": -1}, {"initial_delay": 0}, {"longest_wait": 0}, {"initial_delay": float("nan")}],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        RetryPolicy(**values)  # type: ignore[arg-type]


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("86400", 86400.0),
        ("Thu, 01 Jan 2026 12:00:10 GMT", 10.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thursday, 01-Jan-26 12:00:10 GMT", 10.0),
        ("Thu, 01 Jan 2026 13:00:10 +0100", 10.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e3", None),
        ("nan", None),
        ("9" * 40, None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_read_without_raising(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0
