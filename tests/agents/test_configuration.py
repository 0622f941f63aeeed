"""The SDK's settings, after its test_config."""

from __future__ import annotations

import pytest

from chat.agents import AgentRequest
from chat.agents.blocking import BlockingClient, Status
from chat.agents.configuration import SETTINGS, Configuration, ConfigurationError
from tests.agent_server import AGENT_ID, CLIENT_SECRET, AgentServer

ENVIRONMENT = {
    "STKAI_AUTH_CLIENT_ID": "id",
    "STKAI_AUTH_CLIENT_SECRET": "s3cr3t-s3cr3t",
    "STKAI_AUTH_TOKEN_URL": "https://id.example/token/",
}


def test_defaults_hold_without_an_environment() -> None:
    found = Configuration(environment={})
    assert found["agent.base_url"] == "https://genai-inference-app.stackspot.com"
    assert (found["agent.max_workers"], found["agent.retry_initial_delay"]) == (8, 0.5)
    assert {entry.source for entry in found.explain()} == {"default"}


def test_what_is_given_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"STKAI_AGENT_MAX_WORKERS": "3", "STKAI_AGENT_REQUEST_TIMEOUT": "10"}
    found = Configuration({"agent.max_workers": 5, "agent.request_timeout": None}, environment)
    assert (found["agent.max_workers"], found["agent.request_timeout"]) == (5, 10)
    sources = {entry.name: entry.source for entry in found.explain()}
    assert sources["agent.max_workers"] == "given"
    assert sources["agent.request_timeout"] == "env:STKAI_AGENT_REQUEST_TIMEOUT"
    assert sources["agent.retry_max_retries"] == "default"


def test_an_empty_variable_counts_as_unset() -> None:
    assert Configuration(environment={"STKAI_AGENT_MAX_WORKERS": ""})["agent.max_workers"] == 8


def test_a_variable_equal_to_the_default_still_comes_from_the_environment() -> None:
    found = Configuration(environment={"STKAI_AGENT_MAX_WORKERS": "8"})
    assert {e.name: e.source for e in found.explain()}["agent.max_workers"].startswith("env:")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"agent\.colour"):
        Configuration({"agent.colour": "red"}, {})


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("STKAI_AGENT_REQUEST_TIMEOUT", "soon", "expected int"),
        ("STKAI_AGENT_REQUEST_TIMEOUT", "1.5", "expected int"),
        ("STKAI_AGENT_REQUEST_TIMEOUT", "0", "expected above 0"),
        ("STKAI_AGENT_MAX_WORKERS", "-1", "expected above 0"),
        ("STKAI_AGENT_RETRY_MAX_RETRIES", "-1", "expected at least 0"),
        ("STKAI_AGENT_RETRY_MAX_RETRIES", "1e9", "int"),
        ("STKAI_AGENT_RETRY_INITIAL_DELAY", "nan", "expected float"),
        ("STKAI_AGENT_RETRY_INITIAL_DELAY", "0", "above 0"),
        ("STKAI_AGENT_BASE_URL", "ftp://x", "URL"),
        ("STKAI_RATE_LIMIT_MAX_REQUESTS", "0", "expected above 0"),
        ("STKAI_RATE_LIMIT_TIME_WINDOW", "soon", "expected float"),
        ("STKAI_RATE_LIMIT_MAX_WAIT_TIME", "soon", "expected float"),
        ("STKAI_AUTH_TOKEN_URL", "id.example", "URL"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_the_name_of_its_variable(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Configuration(environment={variable: value})
    assert (
        variable in str(caught.value) and expected in str(caught.value) and repr(value) in str(caught.value)
    )


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("1", True), ("YES", True), ("on", False), ("0", False)]
)
def test_a_boolean_is_read_as_the_sdk_reads_it(text: str, meant: bool) -> None:
    found = Configuration(environment={"STKAI_RATE_LIMIT_ENABLED": text})
    assert found["rate_limit.enabled"] is meant
    assert found.requests_per_minute == (100 if meant else None)


@pytest.mark.parametrize("text", ["none", "NULL", "unlimited"])
def test_a_wait_may_be_without_an_end(text: str) -> None:
    assert (
        Configuration(environment={"STKAI_RATE_LIMIT_MAX_WAIT_TIME": text})["rate_limit.max_wait_time"]
        is None
    )


def test_no_retries_is_a_value() -> None:
    assert Configuration(environment={"STKAI_AGENT_RETRY_MAX_RETRIES": "0"}).policy().max_retries == 0


def test_explain_masks_secrets_whole() -> None:
    entries = Configuration(environment=ENVIRONMENT).explain()
    assert [entry.name for entry in entries] == [setting.name for setting in SETTINGS]
    assert {entry.name: entry.value for entry in entries}["auth.client_secret"] == "set"
    assert "s3cr3t" not in str(entries)


def test_an_agent_without_a_credential_names_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="STKAI_AUTH_CLIENT_SECRET"):
        Configuration({"auth.client_id": "id"}, {}).agent("A")


def test_an_agent_is_made_of_the_settings() -> None:
    config = Configuration(environment=ENVIRONMENT).agent("A", options={"deep_search_ks": True})
    assert (config.kind, config.agent_id, config.token_url) == ("stackspot", "A", "https://id.example/token")
    assert config.options["deep_search_ks"] is True
    assert "s3cr3t" not in repr(config)


def test_a_whole_call_from_the_environment(agent_server: AgentServer) -> None:
    found = Configuration(
        environment={
            "STKAI_AUTH_CLIENT_ID": agent_server.client_id,
            "STKAI_AUTH_CLIENT_SECRET": CLIENT_SECRET,
            "STKAI_AUTH_TOKEN_URL": f"{agent_server.url}/oidc/oauth/token",
            "STKAI_AGENT_BASE_URL": f"{agent_server.url}/",
        }
    )
    client = BlockingClient(found.agent(AGENT_ID), found.limits(), policy=found.policy())
    assert client.chat(AgentRequest("Hi")).status is Status.SUCCESS
