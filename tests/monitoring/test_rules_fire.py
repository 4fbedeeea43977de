"""Every alert fires when it should, not before its time, and is silent otherwise: promtool runs all stories at once."""

import pytest
import yaml

from bellhouse.monitoring.rules import rule_file
from tests.monitoring import cases_causes, cases_slo, cases_symptoms
from tests.monitoring.promtool import KEYS, Case, run

CASES = (*cases_symptoms.CASES, *cases_causes.CASES, *cases_slo.CASES)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool has against each case."""
    return run(CASES, yaml.safe_load(rule_file())["groups"], tmp_path_factory.mktemp("promtool"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_alert_is_as_the_story_wants_it(case: Case, complaints: dict[str, str]) -> None:
    assert complaints.get(case.name) is None
    assert "promtool" not in complaints


def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    assert {(case.alert, case.severity) for case in CASES if case.fires} == KEYS
    assert {(case.alert, case.severity) for case in CASES if not case.fires} == KEYS - {("Watchdog", "none")}


def test_no_two_stories_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
