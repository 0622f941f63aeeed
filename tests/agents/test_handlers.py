from __future__ import annotations

import pytest

from chat.agents.handlers import HandlerError, apply, as_json, chain, raw


def test_raw_leaves_the_answer_as_it_is() -> None:
    assert raw(" a ") == " a "


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]\n", [1, 2]),
        ('"x"', "x"),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Here it is:\n\n```json\n{"a": "```"}\n```\nAnything else?', {"a": "```"}),
        ('~~~\n{"a": 1}\n~~~', {"a": 1}),
        ('````json\n{"a": 1}\n````', {"a": 1}),
        ('```json\n{"a": 1}\n```\n```json\n[2]\n```', [{"a": 1}, [2]]),
        ("```python\nx = 1\n```\n```json\n[2]\n```", [2]),
        ('```JSON title="x"\n[2]\n```', [2]),
    ],
)
def test_json_is_read_from_the_text_or_from_its_fences(text: str, value: object) -> None:
    assert apply(as_json, text) == value


@pytest.mark.parametrize("text", ["", "no", "```json\n{\n```", "```python\nx\n```", "[" * 100_000])
def test_an_answer_without_json_is_told_by_the_handlers_name(text: str) -> None:
    with pytest.raises(HandlerError, match="as_json") as caught:
        apply(as_json, text)
    assert caught.value.handler == "as_json"


def test_a_chain_gives_each_what_the_one_before_made() -> None:
    assert apply(chain(as_json, lambda value: value["a"], str), '{"a": 1}') == "1"


def test_a_chain_names_the_link_that_broke() -> None:
    def total(value: dict[str, int]) -> int:
        return value["b"]

    with pytest.raises(HandlerError, match="total"):
        apply(chain(as_json, total), '{"a": 1}')
