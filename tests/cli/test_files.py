"""The commands that work on the data folder itself: keys, ledger, migrate."""

import json

from bellhouse.app.folder import lock_folder


def test_nothing_is_made_where_there_is_no_database(run, tmp_path):
    for command in (["keys", "list"], ["keys", "create"], ["ledger"]):
        status, _, complaint = run(*command, "--data", tmp_path / "typo")
        assert status == 1
        assert "There is no database" in complaint
        assert "--data" in complaint
    assert not (tmp_path / "typo").exists()


def test_migrate_makes_the_file_and_says_what_it_applied(run, tmp_path):
    status, out, _ = run("migrate", "--data", tmp_path, "--json")
    assert status == 0
    assert json.loads(out)["applied"]
    assert json.loads(run("migrate", "--data", tmp_path, "--json")[1])["applied"] == []


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(run, tmp_path):
    run("migrate", "--data", tmp_path)
    status, out, _ = run(
        "keys", "create", "--data", tmp_path, "--tenant", "acme", "--environment", "production", "--scope", "send",
        "--scope", "read", "--label", "shop", "--json",
    )  # fmt: skip
    made = json.loads(out)
    assert status == 0
    assert made["key"].startswith("bh_production_")
    _, listed, _ = run("keys", "list", "--data", tmp_path, "--json")
    (key,) = json.loads(listed)["keys"]
    assert (key["tenant"], key["environment"], key["scopes"]) == ("acme", "production", ["send", "read"])
    assert made["key"] not in listed
    assert run("keys", "revoke", made["id"], "--data", tmp_path)[0] == 0
    assert json.loads(run("keys", "list", "--data", tmp_path, "--json")[1])["keys"][0]["revoked_at"]
    assert run("keys", "revoke", "0000", "--data", tmp_path)[0] == 1


def test_a_scope_or_environment_that_cannot_be_is_a_usage_error(run, tmp_path):
    run("migrate", "--data", tmp_path)
    for wrong in (["--scope", "everything"], ["--environment", "No Good"]):
        status, _, complaint = run("keys", "create", "--data", tmp_path, *wrong)
        assert status == 2
        assert complaint.startswith("bellhouse: ")


def test_the_ledger_of_a_file_balances(run, tmp_path):
    run("migrate", "--data", tmp_path)
    status, out, _ = run("ledger", "--data", tmp_path)
    assert status == 0
    assert "It balances." in out
    answer = json.loads(run("ledger", "--data", tmp_path, "--json")[1])
    assert answer["imbalance"] == 0
    assert all(check["holds"] for check in answer["checks"])


def test_a_foreign_file_is_left_alone(run, tmp_path):
    (tmp_path / "bellhouse.db").write_text("this is somebody's diary, not a database" * 100)
    status, _, complaint = run("ledger", "--data", tmp_path)
    assert status == 1
    assert "database cannot be used" in complaint


def test_wrong_settings_end_a_command_with_words(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BELLHOUSE_PORT", "none")
    for command in (["serve"], ["config"], ["config", "check"]):
        status, _, complaint = run(*command, "--data", tmp_path)
        assert status == 2
        assert "port (environment)" in complaint


def test_a_second_serve_on_the_same_folder_is_refused_in_words(run, tmp_path):
    first = lock_folder(tmp_path, 0, print)
    status, _, complaint = run("serve", "--data", tmp_path, "--port", "0")
    first.release()
    assert status == 1
    assert "is being served by process" in complaint
