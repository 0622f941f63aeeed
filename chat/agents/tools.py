"""Function tools: what an administrator may offer, and the calls a model makes of them in pieces.

No I/O and nobody is called: a call is handed on, and whoever can answers it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from . import options
from .decoding import decode
from .values import ToolCall

#: Calls of one answer; a model that makes more does not end by itself.
MOST_CALLS: Final = 64
MOST_TOOLS: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_DEEPEST: Final = 20
_LONGEST_ID: Final = 200


def check_tools(name: str, value: Any) -> list[Any]:
    """`value` as a list of function tools. Raises AgentError with the place that is wrong."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_TOOLS:
        raise options.wrong(name, f"a list of 1 to {MOST_TOOLS} tools")
    names: set[str] = set()
    for index, tool in enumerate(value):
        place = f"{name}[{index}]"
        if options.members(place, tool).get("type") != "function" or set(tool) != {"type", "function"}:
            raise options.wrong(place, '{"type": "function", "function": {…}}')
        function = options.members(f"{place}.function", tool["function"])
        called = function.get("name")
        if not isinstance(called, str) or not _NAME.fullmatch(called) or called in names:
            raise options.wrong(f"{place}.function.name", "a name of its own: letters, digits, _ and -")
        names.add(called)
        if not isinstance(function.get("description", ""), str):
            raise options.wrong(f"{place}.function.description", "text")
        if function.get("strict") is not None:
            options.boolean(f"{place}.function.strict", function["strict"])
        parameters = function.get("parameters", {})
        _check_schema(f"{place}.function.parameters", parameters, 0)
        if parameters and options.members(place, parameters).get("type") != "object":
            raise options.wrong(f"{place}.function.parameters.type", '"object"')
    return list(value)


def _check_schema(place: str, schema: Any, depth: int) -> None:
    """The words of JSON Schema that a function's parameters are made of; others are left alone."""
    if isinstance(schema, bool) and depth:
        return
    found = options.members(place, schema)
    if depth > _DEEPEST:
        raise options.wrong(place.partition(".")[0], f"at most {_DEEPEST} levels deep")
    kinds = found.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
        raise options.wrong(f"{place}.type", "one of " + ", ".join(sorted(_TYPES)))
    if "required" in found:
        options.list_of_words(f"{place}.required", found["required"])
    if "enum" in found and (not isinstance(found["enum"], list) or not found["enum"]):
        raise options.wrong(f"{place}.enum", "a list of values")
    for inner, below in _inside(place, found):
        _check_schema(inner, below, depth + 1)


def _inside(place: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema, each with its place."""
    for word in ("properties", "$defs", "definitions"):
        for member, inner in options.members(f"{place}.{word}", schema.get(word, {})).items():
            yield f"{place}.{word}.{member}", inner
    for word in ("items", "additionalProperties", "not"):
        if word in schema:
            yield f"{place}.{word}", schema[word]
    for word in ("anyOf", "oneOf", "allOf"):
        if not isinstance(schema.get(word, []), list):
            raise options.wrong(f"{place}.{word}", "a list of schemas")
        for index, inner in enumerate(schema.get(word, [])):
            yield f"{place}.{word}[{index}]", inner


@dataclass(slots=True)
class CallPart:
    """What one event adds to a call. `index` and `id` say which; either may be missing."""

    index: int | None
    id: str
    name: str
    arguments: str


def parts_of(delta: Mapping[str, Any]) -> tuple[CallPart, ...]:
    """The parts of calls in a delta or in a whole message, with the older `function_call` too."""
    calls = delta.get("tool_calls")
    if not isinstance(calls, list):
        single = delta.get("function_call")
        calls = [{"index": 0, "function": single}] if isinstance(single, dict) else []
    found = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            continue
        index, arguments = call.get("index"), function.get("arguments")
        if isinstance(arguments, dict):  # Ollama's own, and some gateways
            arguments = json.dumps(arguments, ensure_ascii=False)
        found.append(
            CallPart(
                index if isinstance(index, int) and not isinstance(index, bool) else None,
                _word(call.get("id")),
                _word(function.get("name")),
                arguments if isinstance(arguments, str) else "",
            )
        )
    return tuple(found)


def _word(value: Any) -> str:
    return value[:_LONGEST_ID] if isinstance(value, str) else ""


class _Open:
    """A call that is being written. Its arguments are joined once, at the end."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, part: CallPart) -> None:
        self.index, self.id, self.name = part.index, part.id, part.name
        self.arguments: list[str] = []


class CallJoiner:
    """Joins the parts of calls: by index, by id where there is none, else to the last one.

    Some servers give every call the index 0 and another id, some repeat id and name in each part.
    """

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, part: CallPart) -> bool:
        """Takes a part; False when there are too many calls."""
        call = self._of(part)
        if call is None:
            if len(self._open) >= MOST_CALLS:
                return False
            call = _Open(part)
            self._open.append(call)
        call.id = call.id or part.id
        call.name = call.name or part.name
        if part.arguments:
            call.arguments.append(part.arguments)
        return True

    def _of(self, part: CallPart) -> _Open | None:
        if part.index is not None:
            same = [call for call in self._open if call.index == part.index]
            other = bool(part.id) and bool(same) and bool(same[-1].id) and same[-1].id != part.id
            return same[-1] if same and not other else self._by_id(part.id) if other else None
        if part.id:
            return self._by_id(part.id)
        if part.name and self._open and self._open[-1].name:
            return None  # whole calls one after another, without index and id
        return self._open[-1] if self._open else None

    def _by_id(self, id: str) -> _Open | None:
        return next((call for call in self._open if call.id == id), None)

    def finish(self, *, cut: bool = False) -> tuple[ToolCall, ...] | None:
        """The calls in their order; None when one is none: without a name, or its arguments no object.

        An answer that was `cut` loses such a call instead. A call without an id gets one.
        """
        found: list[ToolCall] = []
        for number, call in enumerate(self._open, 1):
            arguments = _object("".join(call.arguments))
            if arguments is None or not call.name:
                if cut:
                    continue
                return None
            ids = {known.id for known in found}
            id = call.id if call.id and call.id not in ids else f"call_{number}"
            found.append(ToolCall(id, call.name, arguments))
        return tuple(found)


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, if it can be stored and sent; an empty text is an empty one."""
    value = decode(text.encode("utf-8", "replace")) if text.strip() else {}
    return value if isinstance(value, dict) and portable(value) else None


def portable(value: Any) -> bool:
    """Whether every reader of JSON takes `value`: finite numbers of 64 bits, not too deep."""
    try:
        json.dumps(value, allow_nan=False)
        orjson.dumps([[[[[[[[value]]]]]]]])  # room for what it will stand in
    except (TypeError, ValueError, RecursionError):
        return False
    return True
