"""A process that has just begun may be a deploy: it is no certain crash loop, and put-away letters are of the past."""

import pytest

from bellhouse.ops.doctor.diagnose import diagnose
from bellhouse.ops.doctor.facts import Facts, Group, LogFacts, ProcessFacts
from bellhouse.ops.doctor.prometheus import reading_of
from bellhouse.ops.doctor.readings import facts_of_metrics

AGAIN = LogFacts(9, {"Role bulk was killed by SIGKILL; it is started again after 0.0 s": 1}, {})
OLD = ProcessFacts("api", age_s=9_000.0)


def facts(young: ProcessFacts, log: LogFacts | None = None) -> Facts:
    return Facts(metrics=True, window_s=5, processes=(OLD, young), gauge_ages={"lags": 1.0}, ledger_age_s=1.0, log=log)


def test_a_young_process_alone_is_likely_and_not_certain() -> None:
    (cause,) = diagnose(facts(ProcessFacts("bulk", age_s=20.0))).causes
    assert (cause.name, cause.confidence) == ("CrashLoop", "likely")


@pytest.mark.parametrize(
    "known",
    [facts(ProcessFacts("bulk", age_s=20.0), AGAIN), facts(ProcessFacts("bulk", age_s=20.0, restarts=1.0))],
    ids=["with the log's word", "with its starts counted"],
)
def test_one_that_was_seen_to_end_is_certain(known: Facts) -> None:
    assert diagnose(known).causes[0].confidence == "certain"


@pytest.mark.parametrize(("restarts", "healthy"), [(1, True), (4, False)])
def test_one_start_in_a_quarter_of_an_hour_is_a_deploy_and_several_are_a_loop(restarts: int, healthy: bool) -> None:
    answer = {"metric": {"role": "worker", "instance": "a"}, "value": [10_000, f"{restarts}"]}
    began = {"metric": {"role": "worker", "instance": "a"}, "value": [10_000, "9700"]}
    reading = reading_of({"process_restarts": [answer], "process_started_timestamp_seconds": [began]})
    found = diagnose(facts_of_metrics(reading, 10_000.0), "process-restarting")
    names = [cause.name for cause in found.causes]
    assert ("CrashLoop" not in names) is healthy
    assert healthy or "was started 4 times within 15 min." in found.causes[names.index("CrashLoop")].evidence[0]


def test_bad_ends_whose_letters_were_put_away_do_not_accuse_the_template_any_more() -> None:
    past = Group(40, reason="dead_lettered:not_rendered", template="words", template_version=7, type="order")
    known = Facts(metrics=True, window_s=5, gauge_ages={"lags": 1.0}, failures=(past,))
    assert "BadTemplateVersion" not in [cause.name for cause in diagnose(known).causes]
