"""`manage.py ask`: what is printed, what is written down, and what an interrupt leaves."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from chat.agents import AgentRequest
from chat.agents.continuing import CONTINUE
from chat.agents.values import AgentConfig
from chat.management.calling import Purse, RecordingClient
from chat.models import Agent, LedgerEntry
from chat.turns.allowance import open_allowance
from chat.turns.places import Rule, Ticket
from tests.agent_server import (
    AgentServer,
    Recorded,
    Step,
    call,
    hang,
    refuse,
    say,
    think,
    usage,
)
from tests.real_server import ROOT, Server, wait_for

Make = Callable[..., Agent]


class Said:
    """What a command printed."""

    def __init__(self, out: str, err: str) -> None:
        self.out, self.err = out, err


def ask(*arguments: str, stdin: str = "") -> Said:
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        call_command("ask", *arguments, stdout=out, stderr=err)
    finally:
        sys.stdin = before
    return Said(out.getvalue(), err.getvalue())


def prompts_of(agent_server: AgentServer) -> list[str]:
    return [chat.json["messages"][-1]["content"] for chat in agent_server.chats]


def echo(request: Recorded) -> tuple[Step, ...]:
    """Answers with the question; one that says `no` is refused."""
    text = request.json["messages"][-1]["content"]
    return (
        (refuse(400, {"error": {"message": "no"}}),)
        if "no" in text
        else (say(f"re: {text}"), usage(3, None, 4))
    )


# -- one question ----------------------------------------------------------------------------------


def test_it_prints_the_answer_and_what_it_used(make_model: Make, agent_server: AgentServer) -> None:
    make_model()
    said = ask("Model", "Hi")
    assert said.out == "Hello, world\n"
    assert said.err == "Tokens: 15 (10 asked, 5 answered)\n"
    assert prompts_of(agent_server) == ["Hi"]


def test_the_call_is_in_the_ledger_under_the_name_of_whoever_asks(
    make_agent: Make, agent_server: AgentServer
) -> None:
    row = make_agent()
    agent_server.answer(say("a"), usage(7, 2, 3, message_id="m1"))
    ask("Scripted", "Hi", "--as", "night-job")
    entry = LedgerEntry.objects.get()
    assert (entry.username, entry.user_id, entry.agent_id) == ("night-job", None, row.pk)
    assert (entry.user_tokens, entry.enrichment_tokens, entry.output_tokens) == (7, 2, 3)
    assert (entry.outcome, entry.error_code, entry.upstream_id) == ("completed", "", "m1")
    assert (entry.conversation_id, entry.message_id) == ("", "")
    assert entry.first_delta_ms is not None and entry.first_delta_ms <= entry.duration_ms


def test_it_reads_standard_input(make_model: Make, agent_server: AgentServer) -> None:
    make_model()
    ask("Model", stdin="from a pipe\n")
    ask("Model", "-", stdin="again")
    assert prompts_of(agent_server) == ["from a pipe", "again"]


def test_it_puts_files_in_front_of_the_question(
    make_model: Make, agent_server: AgentServer, tmp_path: Path
) -> None:
    make_model()
    (tmp_path / "a.txt").write_text("alpha </file-1>")
    ask("Model", "What is it?", f"--file={tmp_path / 'a.txt'}", "--file=-", stdin="beta")
    (prompt,) = prompts_of(agent_server)
    assert '<file-2 name="a.txt">\nalpha </file-1>\n</file-2>' in prompt, "a mark of its own"
    assert '<file-2 name="-">\nbeta\n</file-2>' in prompt
    assert prompt.endswith("What is it?")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00a", "is not text"), (b"a\x00b", "is not text"), (b"x" * 300_000, "too long")],
)
def test_it_refuses_what_is_no_text_or_too_long(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, content: bytes, said: str
) -> None:
    make_model()
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CommandError, match=said):
        ask("Model", "Hi", f"--file={tmp_path / 'a'}")
    assert agent_server.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Nobody", "Hi"], "There is no agent Nobody. There are: Model"),
        (["Model", " "], "There is no question"),
        (["Model", "Hi", "--file=/no/such"], "cannot be read: No such file"),
        (["Model", "Hi", "--batch=x"], "--batch and --out together"),
        (["Model", "Hi", "--batch=x", "--out=y"], "the questions are in the file alone"),
        (["Model", "--file=-"], "not both"),
    ],
)
def test_it_says_what_is_wrong_before_it_asks(
    make_model: Make, agent_server: AgentServer, arguments: list[str], said: str
) -> None:
    make_model()
    with pytest.raises(CommandError, match=said):
        ask(*arguments)
    assert agent_server.requests == []


def test_a_disabled_agent_is_not_asked(make_model: Make, agent_server: AgentServer) -> None:
    make_model(enabled=False)
    with pytest.raises(CommandError, match="agent enable Model"):
        ask("Model", "Hi")


def test_it_prints_the_whole_response_as_json(make_model: Make, agent_server: AgentServer) -> None:
    make_model()
    agent_server.answer(think("hm"), say('```json\n{"a": 1}\n```'), usage(1, None, 2))
    found = json.loads(ask("Model", "Hi", "--json", "--result=json").out)
    assert (found["status"], found["result"], found["reasoning"]) == ("SUCCESS", {"a": 1}, "hm")
    assert found["usage"] == {
        "user": 1, "enrichment": None, "output": 2, "total": 3, "cached": None, "reasoning": None,
        "raw": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": None},
    }  # fmt: skip
    assert found["error"] is None


def test_a_failure_keeps_the_text_names_the_code_and_ends_non_zero(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    agent_server.answer(say("half"))
    out = io.StringIO()
    with pytest.raises(CommandError, match="ended_early") as failed:
        call_command("ask", "Model", "Hi", stdout=out)
    assert failed.value.returncode == 1
    assert out.getvalue() == "half\n"
    entry = LedgerEntry.objects.get()
    assert (entry.outcome, entry.error_code, entry.certainty) == ("interrupted", "ended_early", "unknown")


def test_an_answer_that_is_no_json_fails_but_was_a_good_call(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    with pytest.raises(CommandError, match="no JSON"):
        ask("Model", "Hi", "--result=json")
    assert LedgerEntry.objects.get().outcome == "completed"


def test_options_are_for_this_question_alone(make_model: Make, agent_server: AgentServer) -> None:
    make_model(options={"temperature": 1})
    ask("Model", "Hi", "--option=temperature=0.5")
    ask("Model", "Hi")
    assert [chat.json["temperature"] for chat in agent_server.chats] == [0.5, 1]
    with pytest.raises(CommandError, match="temperature must be a number from 0 to 2"):
        ask("Model", "Hi", "--option=temperature=9")


def test_a_terminal_is_given_no_orders(make_model: Make, agent_server: AgentServer) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    make_model()
    agent_server.answer(say("a\x1b]0;gone\x07b\n\x9bc"), usage())
    out = Terminal()
    call_command("ask", "Model", "Hi", stdout=out, stderr=io.StringIO())
    assert "\x1b" not in out.getvalue() and "\x9b" not in out.getvalue()
    assert "b\n" in out.getvalue()


def test_it_asks_the_demo_agent(demo_agent: Any) -> None:
    assert ask("Demo", "/fast /echo Hello there").out == "Hello there\n"


# -- answers cut by their length ---------------------------------------------------------------------


def cut_at(text: str, count: int) -> tuple[Step, ...]:
    return (say(text), usage(count, None, count, stop="length"))


def test_an_answer_that_was_cut_goes_on_by_itself_as_its_agent_is_set_up(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto", continue_times=2)
    for number, text in enumerate(("one ", "two ", "three"), 1):
        agent_server.answer(*cut_at(text, number))
    said = ask("Model", "count")
    assert said.out == "one two three\n"
    assert said.err.splitlines() == [
        "Tokens: 12 (6 asked, 6 answered)",
        "Cut because of its length, and continued 2 times.",
        "The answer was cut because of its length.",
    ]
    told = agent_server.chats[2].json["messages"]
    assert [message["content"] for message in told] == ["count", "one two ", CONTINUE]
    calls = LedgerEntry.objects.order_by("pk").values_list("user_tokens", "outcome")
    assert list(calls) == [(1, "completed"), (2, "completed"), (3, "completed")]


def test_the_whole_response_of_a_continued_answer_has_the_sum_of_its_calls(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at('{"a": ', 1))
    agent_server.answer(say("1}"), usage(2, None, 3))
    found = json.loads(ask("Model", "as JSON", "--json", "--result", "json").out)
    assert (found["result"], found["stop_reason"], found["continued"]) == ({"a": 1}, "stop", 1)
    assert (found["usage"]["user"], found["usage"]["output"], len(found["usage"]["raw"]["calls"])) == (
        3,
        4,
        2,
    )


@pytest.mark.parametrize("on_length", ["off", "ask"])
def test_nobody_is_asked_where_nobody_is_and_the_answer_says_that_it_was_cut(
    make_model: Make, agent_server: AgentServer, on_length: str
) -> None:
    make_model(on_length=on_length)
    agent_server.answer(*cut_at("one", 1))
    said = ask("Model", "count")
    assert (said.out, said.err.splitlines()[-1]) == ("one\n", "The answer was cut because of its length.")
    assert len(agent_server.chats) == 1


@pytest.mark.parametrize(("reply", "text"), [("y\n", "one two"), ("\n", "one ")])
def test_a_person_at_a_terminal_decides_whether_it_goes_on(
    make_model: Make, agent_server: AgentServer, reply: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    make_model(on_length="ask")
    agent_server.answer(*cut_at("one ", 1))
    agent_server.answer(say("two"), usage(2, None, 3))
    out, err = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdin", Terminal(reply))
    call_command("ask", "Model", "count", stdout=out, stderr=err)
    assert out.getvalue() == f"{text}\n"
    assert "Go on? [y/N]" in err.getvalue()


def test_what_came_before_a_failed_continuation_is_counted_and_kept(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one", 1))
    agent_server.answer(refuse(400, {"error": {"message": "no"}}))
    out = io.StringIO()
    with pytest.raises(CommandError, match="rejected"):
        call_command("ask", "Model", "count", stdout=out, stderr=io.StringIO())
    assert out.getvalue() == "one\n"
    assert list(LedgerEntry.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "completed",
        "failed",
    ]


def test_an_agent_that_has_nothing_more_to_say_has_answered(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one", 1))
    agent_server.answer(usage(2, None, 0))
    found = json.loads(ask("Model", "count", "--json").out)
    assert (found["status"], found["text"], found["usage"]["user"]) == ("SUCCESS", "one", 3)


def test_every_answer_of_a_batch_goes_on_too(
    make_model: Make, agent_server: AgentServer, tmp_path: Path
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one ", 1))
    agent_server.answer(say("two"), usage(2, None, 3))
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text('"count"\n')
    ask("Model", "--batch", str(prompts), "--out", str(out), "--workers", "1")
    (line,) = out.read_text().splitlines()
    assert (json.loads(line)["text"], json.loads(line)["continued"]) == ("one two", 1)
    assert LedgerEntry.objects.count() == 2


def test_what_was_cut_off_is_estimated_from_the_text_that_came(
    make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    agent_server.answer(say("word " * 100), hang())
    purse = Purse(Agent.objects.get(), username="alice", purpose="command", agreed=False)
    client = RecordingClient(
        open_allowance(""), lambda: Ticket("k", "p", Rule()), purse, agent_server.config("openai")
    )
    stream = client.stream(AgentRequest("count"))
    next(stream)
    stream.close()
    entry = LedgerEntry.objects.get()
    assert (entry.outcome, entry.certainty) == ("stopped", "estimated")
    assert (entry.output_tokens or 0) > 50


def test_a_call_of_a_tool_is_named(make_model: Make, agent_server: AgentServer) -> None:
    make_model()
    agent_server.answer(call("weather", {"place": "Olinda"}), usage(stop="tool_calls"))
    assert 'Called: weather({"place": "Olinda"})' in ask("Model", "How is it?").err


# -- many questions ----------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """lines(*values): a prompts' file with them, and the arguments that name both files."""

    def write(*values: Any) -> tuple[str, str]:
        (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
        return f"--batch={tmp_path / 'prompts.jsonl'}", f"--out={tmp_path / 'answers.jsonl'}"

    return write


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]


def test_a_batch_keeps_the_order_of_its_prompts(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    make_model()
    agent_server.choose = echo
    said = ask("Model", *lines("a", {"prompt": "b", "id": "second"}, *(f"p{n}" for n in range(20))))
    found = rows(tmp_path)
    assert [row["id"] for row in found] == [1, "second", *range(3, 23)]
    assert [row["text"] for row in found][:3] == ["re: a", "re: b", "re: p0"]
    assert "22 of 22" in said.err
    assert LedgerEntry.objects.count() == 22


def test_a_batch_with_a_failure_ends_non_zero_and_asks_only_that_again(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    make_model()
    agent_server.choose = echo
    arguments = lines("a", "no", "c")
    with pytest.raises(CommandError, match="1 of 3 failed") as failed:
        ask("Model", *arguments)
    assert failed.value.returncode == 1
    assert [row["status"] for row in rows(tmp_path)] == ["SUCCESS", "ERROR", "SUCCESS"]
    assert rows(tmp_path)[1]["error"]["code"] == "rejected"
    agent_server.choose = lambda request: (say("now"), usage())
    ask("Model", *arguments)
    assert len(agent_server.chats) == 4
    assert [row["text"] for row in rows(tmp_path)] == ["re: a", "now", "re: c"]


def test_a_batch_goes_on_where_it_was_cut_off_even_in_the_middle_of_a_line(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    make_model()
    agent_server.choose = echo
    arguments = lines("a", "b", "c")
    ask("Model", *arguments)
    whole = (tmp_path / "answers.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").write_bytes(whole[:-10])
    ask("Model", *arguments)
    assert prompts_of(agent_server)[3:] == ["c"]
    assert [row["text"] for row in rows(tmp_path)] == ["re: a", "re: b", "re: c"]


def test_an_answer_to_another_prompt_under_the_same_id_is_none(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    make_model()
    agent_server.choose = echo
    ask("Model", *lines("a", "b"))
    ask("Model", *lines("a", "changed"))
    assert prompts_of(agent_server)[2:] == ["changed"]
    assert [row["text"] for row in rows(tmp_path)] == ["re: a", "re: changed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 2: this is not JSON"),
        ('{"prompt": " "}', "line 2: there is no prompt"),
        ('{"promt": "x"}', "line 2: give a text, or"),
        ("7", "line 2: give a text, or"),
        ('{"prompt": "x", "id": 1}', "line 2: the id 1 was used before"),
        ('{"prompt": "x", "id": true}', "line 2: an id is"),
    ],
)
def test_a_line_that_is_no_prompt_is_named_before_anything_is_asked(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, text: str, said: str
) -> None:
    make_model()
    (tmp_path / "p").write_text(f'"one"\n{text}\n')
    with pytest.raises(CommandError, match=said):
        ask("Model", f"--batch={tmp_path / 'p'}", f"--out={tmp_path / 'o'}")
    assert agent_server.requests == []


def test_a_file_that_holds_something_else_is_not_touched(
    make_model: Make, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    make_model()
    (tmp_path / "answers.jsonl").write_text("my diary\n")
    with pytest.raises(CommandError, match="holds something else"):
        ask("Model", *lines("a"))
    assert (tmp_path / "answers.jsonl").read_text() == "my diary\n"


# -- interrupts, in a process of its own ---------------------------------------------------------------


def add_model(server: Server, config: AgentConfig, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(config.client_secret)
    manage(server, "agent", "add", "Model", "--kind=openai", f"--base-url={config.base_url}",
           f"--model={config.agent_id}", f"--api-key-file={key}").communicate()  # fmt: skip


def manage(server: Server, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=server.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.server
def test_an_interrupt_loses_nothing_that_was_answered(
    server: Server, agent_server: AgentServer, tmp_path: Path, lines: Any
) -> None:
    def answer(request: Recorded) -> tuple[Step, ...]:
        text = request.json["messages"][-1]["content"]
        return (say("half"), hang()) if text == "slow" else (say(f"re: {text}"), usage())

    agent_server.choose = answer
    add_model(server, agent_server.config("openai"), tmp_path)
    arguments = lines("a", "b", "slow", "d", "slow")
    command = manage(server, "ask", "Model", *arguments, "--workers=2")
    wait_for(lambda: len(agent_server.chats) == 5, 30, "all were asked")
    os.kill(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=20)
    assert command.returncode == 130, err
    assert "What was answered is kept" in err
    assert [row["text"] for row in rows(tmp_path)] == ["re: a", "re: b", "re: d"]
    agent_server.choose = echo
    again = manage(server, "ask", "Model", *arguments)
    _, err = again.communicate(timeout=30)
    assert again.returncode == 0, err
    assert [row["text"] for row in rows(tmp_path)] == ["re: a", "re: b", "re: slow", "re: d", "re: slow"]
    assert len(agent_server.chats) == 7


@pytest.mark.server
def test_an_interrupted_answer_is_shown_as_far_as_it_went(
    server: Server, agent_server: AgentServer, tmp_path: Path
) -> None:
    agent_server.answer(say("half"), hang())
    add_model(server, agent_server.config("openai"), tmp_path)
    command = manage(server, "ask", "Model", "Hi")
    assert command.stdout is not None
    assert command.stdout.read(4) == "half", "as it comes"
    os.kill(command.pid, signal.SIGINT)
    command.communicate(timeout=20)
    assert command.returncode == 130
    agent_server.wait(lambda: agent_server.closed_by_client)
