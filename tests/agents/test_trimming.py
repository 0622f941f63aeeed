"""A request that was refused as too long, made shorter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentRequest, HistoryMessage, ToolCall
from chat.agents.trimming import shorter

CALL = ToolCall("a", "f", {})


def round_of(text: str, size: int = 100) -> tuple[HistoryMessage, ...]:
    return (HistoryMessage("user", text * size), HistoryMessage("assistant", text * size))


def kept(request: AgentRequest) -> str:
    return "".join(message.text[0] for message in request.history)


TEN = AgentRequest("z", history=tuple(message for letter in "abcdefghij" for message in round_of(letter)))


def test_half_of_it_is_left_out_when_no_numbers_are_known() -> None:
    less, left_out = shorter(TEN, {}) or (TEN, 0)
    assert (kept(less), left_out) == ("ffgghhiijj", 10)


def test_the_numbers_of_the_refusal_say_how_much() -> None:
    less, left_out = shorter(TEN, {"limit": 1000, "size": 1100}) or (TEN, 0)
    assert (kept(less), left_out) == ("ccddeeffgghhiijj", 4)


def test_numbers_that_make_no_sense_are_not_believed() -> None:
    assert shorter(TEN, {"limit": 1100, "size": 1000}) == shorter(TEN, {})


def test_outputs_keep_the_call_they_belong_to() -> None:
    called = (*round_of("b"), HistoryMessage("user", "c"), HistoryMessage("assistant", "", calls=(CALL,)),
              HistoryMessage("tool", "x" * 1000, call_id="a"))  # fmt: skip
    request = AgentRequest("", history=called)
    less, left_out = shorter(request, {}) or (request, 0)
    assert ([message.role for message in less.history], left_out) == (["user", "assistant", "tool"], 2)
    assert shorter(less, {}) is None


def test_a_question_alone_cannot_be_made_shorter() -> None:
    assert shorter(AgentRequest("z" * 1000), {"limit": 1, "size": 2}) is None


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(["limit", "size"]), st.integers(0, 10**6)),
)
def test_what_is_left_is_the_newest_part_and_always_less(sizes: list[int], params: dict[str, int]) -> None:
    history = tuple(message for size in sizes for message in round_of("x", size))
    less, left_out = shorter(AgentRequest("z", history=history), params) or (AgentRequest("z"), 0)
    assert left_out >= 2
    assert less.history == history[left_out:]
    assert not less.history or less.history[0].role == "user"
