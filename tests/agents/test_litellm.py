"""Our OpenAI-compatible client against a server nobody here wrote: LiteLLM's proxy with mock answers.

It brings a hundred packages, so it lives in an environment of its own, and these tests run only when
they are asked for. STKWEB_TEST_LITELLM names the program, or is 1 to have it installed once below the
cache folder (STKWEB_TEST_CACHE, else ~/.cache/stkweb). Where it cannot be installed, the tests say so.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from chat.agents import AgentConfig, AgentRequest, HttpSession
from chat.agents.blocking import BlockingClient, Status

from .calls import ask

KEY = "sk-test-1234"
TEXT = "Olá: a mock answer with \u2028, שלום and 👩‍👧."
VERSION = "1.106.2"
PACKAGE = f"litellm[proxy]=={VERSION}"

pytestmark = pytest.mark.litellm


def program() -> str:
    """LiteLLM's program, installed first where that is wanted. Skips where it cannot be."""
    named = os.environ["STKWEB_TEST_LITELLM"]
    if named != "1":
        return named
    cache = Path(os.environ.get("STKWEB_TEST_CACHE") or Path.home() / ".cache" / "stkweb")
    folder = cache / f"litellm-{VERSION}-py{sys.version_info.major}{sys.version_info.minor}"
    if not (folder / "ready").exists():
        # uv takes seconds and pip minutes; pip knows how to reach a package index where uv does not.
        if problem := _installed_with_uv(folder) and _installed_with_pip(folder):
            pytest.skip(f"LiteLLM cannot be installed: {problem}")
        (folder / "ready").touch()
    return str(folder / "bin" / "litellm")


def _installed_with_uv(folder: Path) -> str:
    uv, python = [sys.executable, "-m", "uv"], str(folder / "bin" / "python")
    return _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]) or _run(
        [*uv, "pip", "install", "--quiet", "--python", python, PACKAGE]
    )


def _installed_with_pip(folder: Path) -> str:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    return _run([sys.executable, "-m", "venv", "--clear", str(folder)]) or _run(
        [*pip, "install", "--quiet", PACKAGE]
    )


def _run(step: list[str]) -> str:
    """What went wrong; the empty string when nothing did."""
    try:
        done = subprocess.run(step, capture_output=True, text=True, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip().splitlines() or ["no reason was given"])[-1] if done.returncode else ""


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentConfig]:
    """The proxy, with one model that answers TEXT."""
    litellm = program()
    folder = tmp_path_factory.mktemp("litellm")
    model = {"model": "openai/gpt-4o", "api_key": "none", "mock_response": TEXT}
    limited = {**model, "mock_response": "litellm.RateLimitError"}
    settings = {
        "model_list": [
            {"model_name": "mock", "litellm_params": model},
            {"model_name": "limited", "litellm_params": limited},
        ],
        "general_settings": {"master_key": KEY},
    }
    # JSON is YAML but for two things: surrogate pairs, and U+2028, which YAML takes for a line end.
    text = json.dumps(settings, ensure_ascii=False).replace("\u2028", "\\u2028")
    (folder / "config.yaml").write_text(text, "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [litellm, "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    # Its list of prices would be fetched from the internet otherwise.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _await(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
        yield AgentConfig(
            "openai", "LiteLLM", base_url=f"http://127.0.0.1:{port}/v1", agent_id="mock", client_secret=KEY
        )
    finally:
        process.terminate()
        process.wait(20)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)


async def test_it_streams_the_answer_with_usage(litellm: AgentConfig, http: HttpSession) -> None:
    answer = await ask(http, litellm, "Hello")
    assert (answer.text, answer.code) == (TEXT, None)
    assert sum(bool(read) for read in answer.reads) > 1
    assert answer.done.stop_reason == "stop"
    usage = answer.done.usage
    assert usage is not None and usage.user and usage.output
    assert usage.raw is not None and usage.total == usage.raw["total_tokens"]


def test_a_blocking_call_gets_the_same_answer(litellm: AgentConfig) -> None:
    response = BlockingClient(litellm).chat(AgentRequest("Hello"))
    assert (response.status, response.text) == (Status.SUCCESS, TEXT)
    assert response.usage is not None and response.usage.total


async def test_a_model_it_does_not_have_is_a_refusal_that_names_it(
    litellm: AgentConfig, http: HttpSession
) -> None:
    answer = await ask(http, replace(litellm, agent_id="no-such-model"))
    assert answer.code in ("rejected", "agent_not_found")
    assert "no-such-model" in answer.error.detail


async def test_its_rate_limit_is_busy(litellm: AgentConfig, http: HttpSession) -> None:
    answer = await ask(http, replace(litellm, agent_id="limited"))
    assert (answer.code, answer.error and answer.error.status) == ("busy", 429)


async def test_its_parameters_are_taken(litellm: AgentConfig, http: HttpSession) -> None:
    options = {"temperature": 0.2, "max_tokens": 50, "stop": ["END"], "seed": 7, "system": "Be brief."}
    assert (await ask(http, replace(litellm, options=options))).text == TEXT


def test_a_batch_keeps_its_order(litellm: AgentConfig) -> None:
    requests_ = [AgentRequest(f"question {n}") for n in range(6)]
    found = BlockingClient(litellm).chat_many(requests_, workers=3)
    assert [response.request for response in found] == requests_
    assert {(response.status, response.text) for response in found} == {(Status.SUCCESS, TEXT)}
