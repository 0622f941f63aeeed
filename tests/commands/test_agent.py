"""`manage.py agent`: what an administrator types, and what comes back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from chat import limits
from chat.actions.beginning import rule_of
from chat.checks import check_sdk_settings
from chat.models import Agent
from chat.turns.places import Rule
from tests.agent_server import AGENT_ID, API_KEY, CLIENT_SECRET, AgentServer, refuse

pytestmark = pytest.mark.django_db

SECRET = "planted-secret-5ab1"


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return str(path)


def agent(*arguments: str) -> str:
    out = io.StringIO()
    call_command("agent", *arguments, stdout=out)
    return out.getvalue()


def add(secret_file: str, name: str = "Architect", **changes: str) -> str:
    options = {
        "realm": "acme",
        "agent-id": AGENT_ID,
        "client-id": "client-1",
        "client-secret-file": secret_file,
        **{key.replace("_", "-"): value for key, value in changes.items()},
    }
    return agent("add", name, *(f"--{key}={value}" for key, value in options.items() if value))


def test_it_adds_an_agent_whose_secret_is_sealed(secret_file: str) -> None:
    said = add(secret_file)
    row = Agent.objects.get()
    assert row.base_url == "https://genai-inference-app.stackspot.com"
    assert row.token_url == "https://idm.stackspot.com/acme/oidc/oauth/token"
    assert row.enabled
    assert row.secret() == SECRET
    assert SECRET not in row.sealed_secret + said
    assert "agent test Architect" in said


def test_it_reads_the_secret_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    add("-")
    assert Agent.objects.get().secret() == SECRET


def test_it_has_no_option_that_takes_a_secret() -> None:
    with pytest.raises(CommandError, match="unrecognized arguments"):
        agent("add", "x", "--client-secret=abc", "--realm=acme")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_secret_file": ""}, "--client-secret-file FILE"),
        ({"client_secret_file": "/no/such/file"}, "cannot be read: No such file"),
        ({"realm": ""}, "--realm REALM"),
        ({"realm": "a/b"}, "--realm: A realm is one word"),
        ({"agent_id": "a/../b"}, "--agent-id: An agent id is"),
        ({"agent_id": "x?y"}, "--agent-id: An agent id is"),
        ({"agent_id": ""}, "--agent-id: An agent id is"),
        ({"client_id": ""}, "--client-id: Give the client id"),
        ({"base_url": "http://agents.example"}, "STKWEB_AGENT_HOSTS=agents.example"),
        ({"base_url": "https://user:pw@agents.example"}, "--base-url: The address must hold neither"),
        ({"base_url": "https://agents.example/?x=1"}, "--base-url: The address must hold neither"),
        ({"base_url": "file:///etc/passwd"}, "--base-url: An address begins with https://"),
        ({"base_url": "https://a b"}, "--base-url: The address holds a character"),
        ({"base_url": "https://agents.example:99999"}, "--base-url: This is not an address"),
        ({"ca_bundle": "/no/such/file"}, "--ca-bundle: There is no such file"),
        ({"proxy": "socks5://x"}, "--proxy: Give the proxy as"),
    ],
)
def test_it_refuses_and_says_what_to_type(secret_file: str, changes: dict[str, str], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        add(secret_file, **changes)
    assert said in str(refused.value)
    assert not Agent.objects.exists()


def test_it_refuses_an_empty_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CommandError, match="must not be empty"):
        add(str(tmp_path / "empty"))


def test_it_refuses_a_name_that_is_taken(secret_file: str) -> None:
    add(secret_file)
    with pytest.raises(CommandError, match="NAME: Agent with this Name already exists"):
        add(secret_file)


def test_it_allows_other_addresses_to_named_hosts_alone(secret_file: str, settings: Any) -> None:
    settings.AGENT_HOSTS = ["localhost", "models.lan", "10.1.2.3"]
    add(secret_file, "One", base_url="http://localhost:9000")
    add(secret_file, "Two", base_url="https://10.1.2.3")
    add(secret_file, "Three", base_url="http://models.lan")
    assert Agent.objects.count() == 3
    for refused in ("http://127.0.0.1:9000", "https://10.1.2.4", "https://[::1]", "https://169.254.169.254"):
        with pytest.raises(CommandError, match="STKWEB_AGENT_HOSTS"):
            add(secret_file, "Four", base_url=refused)


def openai(*arguments: str, name: str = "Local", model: str = "llama3.2") -> str:
    return agent("add", name, "--kind=openai", f"--model={model}", *arguments)


def test_it_adds_a_model_that_needs_no_key_by_its_preset() -> None:
    openai("--preset=ollama")
    row = Agent.objects.get()
    assert (row.kind, row.base_url, row.agent_id) == ("openai", "http://localhost:11434/v1", "llama3.2")
    assert row.secret() == ""


def test_it_adds_a_model_with_a_key_and_options(secret_file: str) -> None:
    said = openai(
        "--preset=azure",
        "--base-url=https://acme.openai.azure.com/openai/v1",
        f"--api-key-file={secret_file}",
        "--option=temperature=0.2",
        '--option=stop=["END"]',
        "--option=system=Answer briefly.",
        "--continue=auto",
        "--continue-times=5",
        "--history-bytes=20000",
        "--requests-per-minute=60",
        "--concurrent-streams=4",
    )
    row = Agent.objects.get()
    assert row.secret() == SECRET
    assert SECRET not in said
    assert row.options == {
        "key_header": "api-key", "temperature": 0.2, "stop": ["END"], "system": "Answer briefly.",
    }  # fmt: skip
    assert (row.on_length, row.continue_times, row.history_bytes) == ("auto", 5, 20000)
    assert (row.requests_per_minute, row.concurrent_streams) == (60, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset=openai"], "--api-key-file FILE"),
        (["--preset=azure", "--api-key-file=KEY"], "--base-url: Give the address with your own name in it"),
        (["--preset=ollama", "--option=temperature=3"], "temperature must be a number from 0 to 2"),
        (["--preset=ollama", "--option=top_p=-0.1"], "top_p must be a number from 0 to 1"),
        (["--preset=ollama", "--option=max_tokens=0"], "max_tokens must be a whole number of at least 1"),
        (["--preset=ollama", "--option=temprature=1"], "Unknown option temprature. There are: "),
        (["--preset=ollama", "--option=temperature"], "--option NAME=VALUE"),
        (["--preset=ollama", "--continue-times=0"], "--continue-times: "),
        (["--preset=ollama", "--client-id=x"], "--client-id: An OpenAI-compatible server has a key alone"),
        (["--base-url=http://models.example/v1"], "STKWEB_AGENT_HOSTS=models.example"),
        ([], "--base-url: Give the address"),
    ],
)
def test_it_refuses_a_model_and_says_what_to_type(secret_file: str, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        openai(*(argument.replace("KEY", secret_file) for argument in arguments))
    assert said in str(refused.value)
    assert not Agent.objects.exists()


def test_it_refuses_a_model_without_a_name() -> None:
    with pytest.raises(CommandError, match="--model: Give the model's name"):
        agent("add", "Local", "--kind=openai", "--preset=ollama")


def test_it_keeps_each_kind_to_its_own_options(secret_file: str) -> None:
    with pytest.raises(CommandError, match="--realm belongs to --kind stackspot"):
        openai("--preset=ollama", "--realm=acme")
    with pytest.raises(CommandError, match="--preset belongs to --kind openai"):
        agent("add", "x", "--realm=acme", "--preset=ollama")


def test_it_tests_a_model_step_by_step(agent_server: AgentServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(API_KEY)
    openai(f"--base-url={agent_server.url}/v1", f"--api-key-file={tmp_path / 'key'}", model="test-model")
    said = agent("test", "Local")
    assert "token" not in said.replace("tokens", "")
    assert "Local answers." in said
    assert API_KEY not in said


def test_it_lists_agents_and_the_state_of_their_secrets(secret_file: str, demo_agent: Any) -> None:
    add(secret_file, "One")
    add(secret_file, "Two")
    Agent.objects.filter(name="Two").update(sealed_secret=Agent.objects.get(name="One").sealed_secret)
    said = agent("list")
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    assert lines["One"][2:4] == ["enabled", "set"]
    assert lines["Two"][2:4] == ["enabled", "unreadable"], "a ciphertext of another row does not open"
    assert lines["Demo"][1:4] == ["demo", "enabled", "-"]
    assert SECRET not in said


def test_it_disables_and_enables(demo_agent: Any) -> None:
    agent("disable", "Demo")
    assert not Agent.objects.usable().exists()
    agent("enable", "Demo")
    assert Agent.objects.usable().exists()


def test_it_names_the_agents_there_are(demo_agent: Any) -> None:
    with pytest.raises(CommandError, match='no agent "My Agent". There are: Demo'):
        agent("disable", "My Agent")


def test_it_replaces_a_secret(secret_file: str, tmp_path: Path) -> None:
    add(secret_file)
    (tmp_path / "new").write_text("another-secret")
    agent("secret", "Architect", f"--client-secret-file={tmp_path / 'new'}")
    assert Agent.objects.get().secret() == "another-secret"


def test_it_reseals_all_secrets_for_a_new_key(secret_file: str, settings: Any) -> None:
    """S24: rotation keeps the agents working, and the old key may go."""
    add(secret_file)
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    assert "1 secrets" in agent("reseal")
    settings.ENCRYPTION_KEYS = [new]
    assert Agent.objects.get().secret() == SECRET


def test_it_says_which_secret_no_key_opens(secret_file: str, settings: Any) -> None:
    add(secret_file)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="opens the secret of: Architect"):
        agent("reseal")
    assert agent("list").count("unreadable") == 1


@pytest.fixture
def real_agent(tmp_path: Path, agent_server: AgentServer) -> AgentServer:
    """An agent named Architect that is at `agent_server`."""
    (tmp_path / "real-secret").write_text(CLIENT_SECRET)
    at = agent_server.config()
    add(
        str(tmp_path / "real-secret"),
        realm="",
        token_url=at.token_url,
        base_url=at.base_url,
        client_id=at.client_id,
    )
    return agent_server


def test_it_tests_an_agent_step_by_step(real_agent: AgentServer) -> None:
    said = agent("test", "Architect")
    for step in ("name", "TLS", "token", "agent", "first byte", "last byte", "usage"):
        assert step in said
    assert "Architect answers." in said
    assert CLIENT_SECRET not in said


def test_it_fails_with_advice(real_agent: AgentServer, capsys: pytest.CaptureFixture[str]) -> None:
    real_agent.answer(refuse(404))
    with pytest.raises(CommandError, match="cannot be asked"):
        call_command("agent", "test", "Architect")
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "Check the agent id" in said
    assert CLIENT_SECRET not in said


def test_it_says_that_a_secret_cannot_be_opened(secret_file: str, settings: Any) -> None:
    add(secret_file)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="cannot be opened"):
        agent("test", "Architect")


# -- explain -----------------------------------------------------------------------------------------


def explained(*arguments: str) -> dict[str, list[str]]:
    """Each name's value and source."""
    lines = agent("explain", *arguments).splitlines()[1:]
    return {
        line.split("  ")[0]: [cell.strip() for cell in line.split("  ") if cell.strip()][1:] for line in lines
    }


def test_it_explains_every_value_and_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STKAI_AGENT_RETRY_MAX_RETRIES", "5")
    monkeypatch.setenv("STKAI_AUTH_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("STKAI_AUTH_CLIENT_ID", "")
    found = explained()
    assert found["agent.retry_max_retries"] == ["5", "env:STKAI_AGENT_RETRY_MAX_RETRIES"]
    assert found["auth.client_secret"] == ["set", "env:STKAI_AUTH_CLIENT_SECRET"]
    assert found["auth.client_id"] == ["not set", "default"], "an empty variable counts as unset"
    assert found["limit.idle"] == ["60", "default"]
    assert found["allowed_hosts"][0] == "127.0.0.1, localhost"


def test_it_explains_an_agent_and_masks_its_secret_whole(secret_file: str) -> None:
    add(secret_file)
    Agent.objects.update(options={"deep_search_ks": True}, requests_per_minute=30)
    said = agent("explain", "Architect")
    found = explained("Architect")
    assert found["client_secret"] == ["set", "row"]
    assert found["option.deep_search_ks"] == ["True", "row"]
    assert found["option.stackspot_knowledge"] == ["False", "default"]
    assert found["requests_per_minute"] == ["30", "row"]
    assert found["concurrent_streams"] == ["no limit", "default"]
    assert "auth.client_id" not in found, "the row's own counts"
    for part in (SECRET, SECRET[:4], SECRET[-4:]):
        assert part not in said


def test_it_names_a_setting_that_cannot_be_used_as_the_sdk_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STKAI_AGENT_RETRY_MAX_RETRIES", "many")
    with pytest.raises(CommandError, match="Invalid value for STKAI_AGENT_RETRY_MAX_RETRIES: 'many'"):
        agent("explain")
    assert [message.id for message in check_sdk_settings()] == ["stkweb.E006"]


def test_the_sdks_timeout_counts_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STKAI_AGENT_REQUEST_TIMEOUT", "45")
    assert limits.of_agents().first_byte == 45
    assert explained()["limit.first_byte"] == ["45", "env:STKAI_AGENT_REQUEST_TIMEOUT"]
    monkeypatch.setenv("STKWEB_FIRST_BYTE_SECONDS", "120")
    assert limits.of_agents().first_byte == 120


def test_the_sdks_rate_limit_holds_for_stackspot_agents_without_one(
    secret_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(secret_file)
    row = Agent.objects.get()
    assert rule_of(row) == Rule(None, None)
    monkeypatch.setenv("STKAI_RATE_LIMIT_ENABLED", "yes")
    monkeypatch.setenv("STKAI_RATE_LIMIT_MAX_REQUESTS", "10")
    monkeypatch.setenv("STKAI_RATE_LIMIT_TIME_WINDOW", "30")
    assert rule_of(row) == Rule(20, None)
    assert explained("Architect")["requests_per_minute"] == ["20", "env:STKAI_RATE_LIMIT_MAX_REQUESTS"]
    assert limits.longest_wait("stackspot") == 900
    monkeypatch.setenv("STKAI_RATE_LIMIT_MAX_WAIT_TIME", "45")
    assert limits.longest_wait("stackspot") == 45
    assert limits.longest_wait("openai") == 900
    row.requests_per_minute = 5
    assert rule_of(row) == Rule(5, None)
    monkeypatch.setenv("STKAI_RATE_LIMIT_ENABLED", "no")
    row.requests_per_minute = None
    assert rule_of(row) == Rule(None, None)


#: Every variable that the SDK 0.4.18 reads.
SDK_VARIABLES = [
    *(f"STKAI_AUTH_{n}" for n in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL")),
    *(f"STKAI_AGENT_{n}" for n in ("BASE_URL", "REQUEST_TIMEOUT", "RETRY_MAX_RETRIES", "RETRY_INITIAL_DELAY",
                                   "MAX_WORKERS")),
    *(f"STKAI_FILE_UPLOAD_{n}" for n in ("BASE_URL", "REQUEST_TIMEOUT", "TRANSFER_TIMEOUT",
                                         "RETRY_MAX_RETRIES", "RETRY_INITIAL_DELAY", "MAX_WORKERS")),
    *(f"STKAI_RATE_LIMIT_{n}" for n in ("ENABLED", "STRATEGY", "MAX_REQUESTS", "TIME_WINDOW", "MAX_WAIT_TIME",
                                        "MIN_RATE_FLOOR", "PENALTY_FACTOR", "RECOVERY_FACTOR")),
    *(f"STKAI_RQC_{n}" for n in ("REQUEST_TIMEOUT", "RETRY_MAX_RETRIES", "RETRY_INITIAL_DELAY",
                                 "POLL_INTERVAL", "POLL_MAX_DURATION", "POLL_OVERLOAD_TIMEOUT", "MAX_WORKERS",
                                 "BASE_URL")),
]  # fmt: skip


@pytest.mark.parametrize("variable", SDK_VARIABLES)
def test_every_name_of_the_sdk_has_an_effect_or_a_reason_for_none(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "https://host.example" if variable.endswith("URL") else "1")
    lines = [line for line in agent("explain").splitlines() if f"env:{variable}" in line]
    assert lines
    known = variable.startswith("STKAI_RQC_") or variable.removeprefix("STKAI_") in (
        "FILE_UPLOAD_MAX_WORKERS", "RATE_LIMIT_STRATEGY", "RATE_LIMIT_MIN_RATE_FLOOR",
        "RATE_LIMIT_PENALTY_FACTOR", "RATE_LIMIT_RECOVERY_FACTOR",
    )  # fmt: skip
    assert ("not applicable: " in lines[0]) == known


def test_the_sdks_retries_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STKAI_AGENT_RETRY_MAX_RETRIES", "0")
    assert limits.policy().max_retries == 0
