"""`monitoring`: files for Prometheus and Alertmanager, and words for what cannot be made."""

import pytest
import yaml


def alerts_of(text):
    """The alerts of a rule file."""
    groups = yaml.safe_load(text)["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_rules_are_printed_with_the_given_scale_runbooks_and_thresholds(run):
    status, out, _ = run(
        "monitoring", "rules", "--scale", "1/60", "--runbooks", "https://r.example/", "--threshold", "dead_letters=5"
    )
    assert status == 0
    growing = alerts_of(out)["DLQGrowing"]
    assert growing["for"] == "30s"
    assert growing["expr"].endswith("[1m])) > 5")
    assert growing["annotations"]["runbook_url"] == "https://r.example/dlq-growing.md"


def test_a_file_is_written_where_it_is_asked_for(run, tmp_path):
    assert run("monitoring", "rules", "--out", tmp_path / "rules.yml")[0] == 0
    assert "NotAccepting" in alerts_of((tmp_path / "rules.yml").read_text())


def test_the_routes_are_printed_with_what_is_given(run):
    _, out, _ = run("monitoring", "alertmanager", "--chat", "#night", "--escalation", "pagerduty", "--secrets", "/s")
    receivers = {one["name"]: one for one in yaml.safe_load(out)["receivers"]}
    assert "pager-secondary" not in receivers
    assert receivers["chat"]["slack_configs"][0]["channel"] == "#night"
    assert receivers["pager"]["pagerduty_configs"][0]["routing_key_file"] == "/s/pagerduty-primary"


def test_the_scrapes_are_printed_for_either_mode(run):
    def targets(*arguments):
        jobs = yaml.safe_load(run("monitoring", "prometheus", *arguments)[1])["scrape_configs"]
        return {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}

    assert targets("--host", "one:8080") == {"bellhouse": ["one:8080"]}
    hosts = ("api=one", "api=two", "worker=one", "worker=one:9465", "router=two", "all=three")
    spread = targets("--mode", "distributed", *(word for host in hosts for word in ("--host", host)))
    assert spread == {
        "bellhouse-api": ["one:8080", "two:8080"],
        "bellhouse-router": ["two:9464"],
        "bellhouse-worker": ["one:9464", "one:9465"],
        "bellhouse-all": ["three:8080"],
    }
    every = [target for found in targets("--mode", "distributed").values() for target in found]
    assert len(every) == len(set(every)) == 6


@pytest.mark.parametrize("host", ["one.example", "poet=one.example", "worker="])
def test_a_process_whose_role_is_not_said_is_not_scraped_as_every_role(run, host):
    status, _, said = run("monitoring", "prometheus", "--mode", "distributed", "--host", host)
    assert status == 2
    assert "names no role" in said
    assert "scheduler" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scale", "2"), "--scale 2 is no number above 0 and up to 1"),
        (("--scale", "1/0"), "--scale 1/0 is no number"),
        (("--threshold", "nothing=1"), "there is no nothing"),
        (("--threshold", "dead_letters=many"), "'many' is no number"),
        (("--threshold", "dead_letters=nan"), "'nan' is no number"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run, arguments, words):
    status, _, said = run("monitoring", "rules", *arguments)
    assert status == 2
    assert words in said


def test_a_file_that_cannot_be_written_is_told(run, tmp_path):
    status, _, said = run("monitoring", "alertmanager", "--out", tmp_path / "nowhere" / "file")
    assert status == 1
    assert "cannot be written" in said
