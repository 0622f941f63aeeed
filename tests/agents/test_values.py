from __future__ import annotations

import dataclasses

import pytest

from chat.agents.values import AgentConfig, AgentRequest, ReasoningDelta, Usage, count


@pytest.mark.parametrize(
    "value",
    [
        None,
        -1,
        1e18,
        10**13,
        True,
        False,
        float("nan"),
        float("inf"),
        "",
        "-3",
        "1e9",
        "12.5",
        12.5,
        "abc",
        "٣",
        [],
        {},
        "9" * 5000,
    ],
)
def test_a_count_that_cannot_be_is_unknown_and_never_zero(value: object) -> None:
    assert count(value) is None


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (7, 7), ("42", 42), (" 42 ", 42), (3.0, 3)])
def test_a_count_may_be_a_number_or_a_numeric_string(value: object, expected: int) -> None:
    assert count(value) == expected


def test_total_returns_sum_of_all_tokens() -> None:
    assert Usage(user=10, enrichment=5, output=20).total == 35


def test_total_with_zero_values() -> None:
    assert Usage(user=0, enrichment=0, output=0).total == 0


def test_the_total_of_nothing_reported_is_unknown() -> None:
    assert Usage().total is None


def test_the_total_leaves_out_what_was_not_reported() -> None:
    assert Usage(user=749, output=5).total == 754


def test_cached_and_reasoning_tokens_are_parts_and_not_additions() -> None:
    assert Usage(user=10, output=20, cached=8, reasoning=15).total == 30


def test_usage_forgets_counts_that_cannot_be() -> None:
    usage = Usage(user=-1, output=10**18, reasoning=True)
    assert (usage.user, usage.output, usage.reasoning) == (None, None, None)


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ReasoningDelta("a").text = "b"  # type: ignore[misc]


def test_a_request_needs_a_prompt_alone() -> None:
    request = AgentRequest("hi")
    assert (request.history, request.conversation_id, request.upload_ids) == ((), None, ())
    assert dict(request.options) == {}


def test_the_secret_is_not_in_the_repr() -> None:
    config = AgentConfig("stackspot", "a", client_secret="hunter2hunter2", proxy="http://u:p4ss@proxy:3128")
    assert "hunter2" not in repr(config)
    assert "p4ss" not in repr(config)
