"""The splitter: bytes to events, as the WHATWG algorithm says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.agents.sse import EventSplitter, RawEvent


def split(*chunks: bytes, limit: int = 1 << 20) -> list[RawEvent]:
    splitter = EventSplitter(limit)
    return [event for chunk in chunks for event in splitter.feed(chunk)]


def test_empty_input() -> None:
    assert split() == split(b"") == []
    assert EventSplitter().finish() is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_ends_at_lf_crlf_or_cr(end: bytes) -> None:
    assert split(b"data: a" + end + end + b"data: b" + end + end) == [("", b"a"), ("", b"b")]


def test_mixed_line_ends_are_fine() -> None:
    assert split(b"data: a\r\ndata: b\r\rdata: c\n\r\ndata: d\r\n\n") == [
        ("", b"a\nb"),
        ("", b"c"),
        ("", b"d"),
    ]


def test_a_cr_and_its_lf_in_two_reads_are_one_line_end() -> None:
    assert split(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [("", b"a\nb")]


def test_an_event_of_a_cr_only_server_does_not_wait_for_the_next_one() -> None:
    assert split(b"data: a\r\r") == [("", b"a")]


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\x00"])
def test_nothing_else_ends_a_line(inside: str) -> None:
    text = f"a{inside}b".encode()
    assert split(b"data: " + text + b"\n\n") == [("", text)]


@pytest.mark.parametrize(
    "chunks", [(b"\xef\xbb\xbfdata: a\n\n",), (b"\xef", b"\xbb", b"\xbf", b"data: a\n\n")]
)
def test_a_byte_order_mark_at_the_start_is_dropped(chunks: tuple[bytes, ...]) -> None:
    assert split(*chunks) == [("", b"a")]


def test_a_byte_order_mark_elsewhere_is_text() -> None:
    assert split(b"data: a\n\ndata: \xef\xbb\xbfb\n\n") == [("", b"a"), ("", b"\xef\xbb\xbfb")]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"data:x", b"x"),
        (b"data: x", b"x"),
        (b"data:  x", b" x"),
        (b"data: x ", b"x "),
        (b"data:\tx", b"\tx"),
        (b"data:", b""),
        (b"data", b""),
        (b"data: a:b", b"a:b"),
    ],
)
def test_one_leading_space_is_removed_and_no_other(line: bytes, value: bytes) -> None:
    assert split(line + b"\n\n") == [("", value)]


def test_event_boundary_on_empty_line() -> None:
    assert split(b"data: a\n\ndata: b\n\n") == [("", b"a"), ("", b"b")]


def test_event_with_event_type_field() -> None:
    assert split(b"event: done\ndata: {}\n\n", b"event:error\ndata: x\n\n") == [
        ("done", b"{}"),
        ("error", b"x"),
    ]


def test_comment_lines_ignored() -> None:
    assert split(b": ping\n\n:\n\n: a\ndata: b\n: c\n\n") == [("", b"b")]


def test_unknown_fields_ignored() -> None:
    assert split(b"id: 1\nretry: 5\nfoo: bar\ndata: a\n\nid: 2\n\n") == [("", b"a")]


def test_multiline_data() -> None:
    assert split(b"data: a\ndata:\ndata: b\n\n") == [("", b"a\n\nb")]


def test_consecutive_empty_lines_do_not_produce_events() -> None:
    assert split(b"\n\n\n\ndata: a\n\n\n\n\n") == [("", b"a")]


def test_the_event_name_is_reset_at_each_blank_line() -> None:
    assert split(b"event: done\n\ndata: a\n\n") == [("", b"a")]


def test_the_last_of_several_event_names_counts() -> None:
    assert split(b"event: a\nevent: b\ndata: x\n\n") == [("b", b"x")]


def test_an_unterminated_event_is_not_dispatched_but_can_be_looked_at() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\nevent: done\ndata: b") == [("", b"a")]
    assert splitter.finish() == ("done", b"b")


def test_an_event_above_the_limit_stops_the_splitter_and_keeps_those_before() -> None:
    splitter = EventSplitter(100)
    assert splitter.feed(b"data: a\n\ndata: " + b"x" * 100 + b"\n\ndata: c\n\n") == [("", b"a")]
    assert splitter.too_large
    assert splitter.feed(b"data: d\n\n") == []
    assert splitter.finish() is None


def test_an_endless_line_is_given_up_at_the_limit_without_holding_it() -> None:
    splitter = EventSplitter(1000)
    fed = 0
    while not splitter.too_large:
        assert splitter.feed(b"x" * 64) == []
        fed += 64
    assert fed <= 1000 + 64
    assert len(splitter._pending) == 0


def test_a_megabyte_in_single_bytes_takes_linear_time() -> None:
    # Quadratic copying would move half a terabyte here and never end.
    splitter = EventSplitter()
    for _ in range(1 << 20):
        splitter.feed(b"x")
    assert not splitter.too_large
    assert splitter.feed(b"x") == []
    assert splitter.too_large


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"event: done",
        b"event:",
        b": ping",
        b"id: 1",
        b"x",
        b"data: \xc3\xa9\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"",
        b"",
        b"",
    ]
)
BODIES = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=30).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(BODIES | st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=12), st.integers(5, 60))
def test_any_cut_of_any_bytes_gives_the_same_events(body: bytes, cuts: list[int], limit: int) -> None:
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    whole, pieces, bytewise = EventSplitter(limit), EventSplitter(limit), EventSplitter(limit)
    expected = whole.feed(body)
    cut = [e for a, b in zip(places, places[1:], strict=False) for e in pieces.feed(body[a:b])]
    single = [e for i in range(len(body)) for e in bytewise.feed(body[i : i + 1])]
    assert cut == single == expected
    assert pieces.too_large == bytewise.too_large == whole.too_large
    assert pieces.finish() == bytewise.finish() == whole.finish()
