from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.agents import errors
from chat.agents.errors import CODES, FAMILIES, RETRYABLE, AgentError, one_line, without


def test_every_code_stands_in_the_drawn_tree() -> None:
    assert errors.__doc__ is not None
    drawn = {word for line in errors.__doc__.splitlines() for word in line.split()}
    assert drawn >= CODES
    assert drawn >= set(FAMILIES)


def test_every_retryable_code_exists() -> None:
    assert RETRYABLE <= CODES


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="oops"):
        AgentError("oops")


def test_an_error_knows_its_family_and_whether_to_try_again() -> None:
    assert (AgentError("stalled").family, AgentError("stalled").retryable) == ("timeout", True)
    assert (AgentError("credit").family, AgentError("credit").retryable) == ("refused", False)
    assert AgentError("credit", retryable=True).retryable is True


def test_the_detail_has_no_markup() -> None:
    page = (
        "<html><head><style>p{}</style><script>steal()</script></head><body><h1>502 Bad\nGateway</h1></body>"
    )
    assert AgentError("agent_unavailable", detail=page).detail == "502 Bad Gateway"


def test_the_detail_of_a_broken_tag_keeps_no_angle_bracket() -> None:
    assert "<" not in one_line("<img src=x onerror=alert(1)") and ">" not in one_line("a > b <b")


@pytest.mark.parametrize("secret", ["hunter2hunter2", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "sk-abcdef123456"])
@pytest.mark.parametrize(
    "shape",
    [
        "client_secret={}",
        '{{"client_secret": "{}"}}',
        "Authorization: Bearer {}",
        '"access_token":"{}"',
        "password: {}",
        "X-Amz-Signature={}",
    ],
)
def test_the_detail_has_no_secret_of_a_known_shape(shape: str, secret: str) -> None:
    assert secret not in one_line("refused: " + shape.format(secret))


def test_the_secrets_given_are_blotted_out() -> None:
    assert without(["s3cr3t!"], "you sent s3cr3t!, twice s3cr3t!") == "you sent [hidden], twice [hidden]"


def test_the_detail_keeps_the_numbers_of_a_prompt_that_is_too_long() -> None:
    text = (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens."
    )
    assert one_line(text) == text


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\x1b]52;c;aGk=\x07", "a\x9bb", "a\u202eb", "a\u2028b", "\ud83c"]
)
def test_control_characters_are_escaped(text: str) -> None:
    line = one_line(text)
    assert "\\u" in line
    line.encode()


@given(st.text(st.characters(), max_size=2_000))
def test_any_detail_becomes_one_short_line(text: str) -> None:
    line = AgentError("rejected", detail=text).detail
    assert len(line) <= 300
    assert not any(c in line for c in "<>\r\n\t\x00\x1b\u2028\u2029\x85")
    assert len((line + "|").splitlines()) == 1
