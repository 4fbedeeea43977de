"""`config`: what is in force, what to start from, and whether it can be used."""

import json
import socket
from pathlib import Path

import pytest

from bellhouse.app import settings
from bellhouse.app.settings_page import rows

DISTRIBUTED = {
    "KAFKA_BROKERS": "127.0.0.1:1",
    "BELLHOUSE_STORE__URL": "postgresql://bell:hush@127.0.0.1:1/bellhouse",
    "BELLHOUSE_SECRET": "s" * 32,
}


@pytest.fixture
def given(monkeypatch):
    """Puts variables into the environment."""
    return lambda variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


def test_config_prints_every_setting_with_value_default_and_origin(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SEND_RATE_LIMIT", "500")
    (tmp_path / "bellhouse.toml").write_text('[providers.twilio]\nauth_token = "hush"\n')
    status, out, _ = run("config", "--data", tmp_path, "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out)["settings"]}
    assert (rows["send_rate_limit"]["value"], rows["send_rate_limit"]["origin"]) == (500.0, "environment")
    assert rows["providers.twilio.auth_token"]["origin"] == "file"
    assert "hush" not in out
    assert rows["port"]["origin"] == "default"
    assert "unset" in run("config", "--data", tmp_path)[1]


def test_config_shows_the_tables_of_a_priority_only_where_they_are_used(run, tmp_path, given):
    assert ".lanes." not in run("config", "--data", tmp_path)[1]
    given({"BELLHOUSE_KAFKA__LANES__CRITICAL__BROKERS": "quick:9092"})
    shown = run("config", "--data", tmp_path)[1]
    assert "kafka.lanes.critical.brokers" in shown
    assert "redis.lanes" not in shown
    told = json.loads(run("config", "--data", tmp_path, "--json")[1])["settings"]
    assert len(told) == len(rows(settings.load(environment={})))


def test_config_default_is_a_file_to_start_from(run, tmp_path):
    status, out, _ = run("config", "default")
    assert status == 0
    assert out == Path(settings.__file__).with_name("bellhouse.default.toml").read_text(encoding="utf-8")
    (tmp_path / "bellhouse.toml").write_text(out, encoding="utf-8")
    assert run("config", "check", "--data", tmp_path)[0] == 0


def test_config_check_says_that_settings_can_be_used(run, tmp_path):
    (tmp_path / "bellhouse.toml").write_text("port = 1\n")
    status, out, _ = run("config", "check", "--data", tmp_path)
    assert status == 0
    assert f"File: {tmp_path / 'bellhouse.toml'}" in out
    assert "These settings can be used." in out


def test_config_check_tells_a_script_each_fault(run, tmp_path, given):
    given({"BELLHOUSE_PORT": "none", "BELLHOUSE_LEASE_S": "60"})
    status, out, _ = run("config", "check", "--data", tmp_path, "--json")
    answer = json.loads(out)
    assert (status, answer["usable"]) == (2, False)
    assert [(fault["setting"], fault["origin"]) for fault in answer["faults"]] == [
        ("port", "environment"), ("lease_s", "environment"),
    ]  # fmt: skip


def test_config_check_of_a_role_names_what_it_lacks(run, tmp_path, given):
    status, out, _ = run("config", "check", "--role", "router", "--data", tmp_path)
    assert status == 2
    assert "Lacking: store.url: is needed" in out
    assert "Set KAFKA_BROKERS, or brokers under [kafka] in bellhouse.toml" in out
    assert "Warning: secret" in out
    answer = json.loads(run("config", "check", "--role", "router", "--data", tmp_path, "--json")[1])
    assert [fault["setting"] for fault in answer["faults"]] == ["store.url", "kafka.brokers"]
    assert [fault["setting"] for fault in answer["warnings"]] == ["secret"]
    given(DISTRIBUTED)
    assert run("config", "check", "--role", "router", "--data", tmp_path)[0] == 0


def test_config_check_of_an_unknown_role_is_a_usage_error(run, tmp_path):
    status, _, complaint = run("config", "check", "--role", "pusher", "--data", tmp_path)
    assert status == 2
    assert "exporter" in complaint


def test_config_check_connects_and_says_what_does_not_answer(run, tmp_path, given):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        given(DISTRIBUTED | {"BELLHOUSE_STORE__URL": f"postgresql://bell:hush@127.0.0.1:{port}/bellhouse"})
        given({"KAFKA_BROKERS": f"127.0.0.1:{port}", "BELLHOUSE_REDIS__URL": f"redis://127.0.0.1:{port}"})
        status, out, _ = run("config", "check", "--role", "api", "--connect", "--data", tmp_path, "--json")
    answer = json.loads(out)
    assert (status, answer["usable"], answer["faults"]) == (1, False, [])
    assert [(found["table"], found["usable"]) for found in answer["engines"]] == [
        ("store", False), ("kafka", False), ("redis", False),
    ]  # fmt: skip
    assert all(found["words"] and found["remedy"] for found in answer["engines"])
    assert "hush" not in out


def test_config_check_without_engines_has_none_to_connect_to(run, tmp_path):
    status, out, _ = run("config", "check", "--connect", "--data", tmp_path, "--json")
    assert (status, json.loads(out)["engines"]) == (0, [])


def test_options_before_the_second_word_are_refused_since_they_would_be_lost(run, tmp_path):
    status, _, complaint = run("config", "--data", tmp_path, "check")
    assert status == 2
    assert "Options stand behind `check`" in complaint
