"""What is read of metrics, of a Prometheus, of a log and of the API's answers."""

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.observability.catalogue import BY_NAME
from bellhouse.ops.doctor.diagnose import diagnose
from bellhouse.ops.doctor.facts import Facts
from bellhouse.ops.doctor.logs import read_log
from bellhouse.ops.doctor.prometheus import METERS, reading_of
from bellhouse.ops.doctor.queue import paused
from bellhouse.ops.doctor.readings import facts_of_metrics, levers_of
from bellhouse.ops.doctor.samples import between, parse

FIRST = """\
# HELP notifications_sent_total Attempts.
# TYPE notifications_sent_total counter
notifications_sent_total{channel="email",provider="sendgrid",status="success"} 10.0
provider_latency_seconds_bucket{provider="sendgrid",le="1.0"} 0
provider_latency_seconds_bucket{provider="sendgrid",le="2.0"} 0
provider_latency_seconds_bucket{provider="sendgrid",le="+Inf"} 0
kafka_consumer_lag{topic="deliveries.push.low",partition="0",consumer_group="g"} 50
kafka_consumer_lag{topic="deliveries.push.low",partition="1",consumer_group="g"} 60
process_started_timestamp_seconds{role="bulk"} 900.0
"""
LAST = """\
notifications_sent_total{channel="email",provider="sendgrid",status="success"} 4.0
provider_latency_seconds_bucket{provider="sendgrid",le="1.0"} 50
provider_latency_seconds_bucket{provider="sendgrid",le="2.0"} 100
provider_latency_seconds_bucket{provider="sendgrid",le="+Inf"} 100
kafka_consumer_lag{topic="deliveries.push.low",partition="0",consumer_group="g"} 30
kafka_consumer_lag{topic="deliveries.push.low",partition="1",consumer_group="g"} 60
process_started_timestamp_seconds{role="bulk"} 990.0
process_seen_timestamp_seconds{role="bulk"} 995.0
gauge_read_timestamp_seconds{gauge="lags"} 940
ledger_imbalance NaN
ledger_checked_timestamp_seconds 400
odd{text="a \\"quoted\\" \\\\ word\\n"} 1
nonsense
"""


def test_two_scrapes_say_what_happened_between_them() -> None:
    facts = facts_of_metrics(between(parse(FIRST), parse(LAST), 5.0), 1_000.0)
    assert facts.sent == {"email": 4.0}  # it began anew
    (lane,) = facts.lanes
    assert (lane.topic, lane.lag, lane.lag_before, lane.channel, lane.priority) == (
        "deliveries.push.low", 90, 110, "push", "low",
    )  # fmt: skip
    (process,) = facts.processes
    assert (process.role, process.age_s, process.seen_s, process.restarts) == ("bulk", 10.0, 5.0, 1.0)
    assert facts.gauge_ages == {"lags": 60.0}
    assert facts.imbalance == 0
    assert facts.ledger_age_s == 600.0
    assert facts.provider("sendgrid").p95_s == 1.9


def test_records_that_were_skipped_within_the_window_are_poisoned() -> None:
    name = 'unreadable_records_total{topic="notifications.low"}'
    facts = facts_of_metrics(between(parse(f"{name} 2.0\n"), parse(f"{name} 5.0\n"), 5.0), 1_000.0)
    assert facts.unreadable == {"notifications.low": 3.0}
    (cause,) = diagnose(facts, "unreadable-records").causes
    assert cause.name == "PoisonedRecord"
    assert cause.evidence == ("3 records could not be read within 5 s, and were skipped: notifications.low × 3.",)


def test_labels_come_back_as_they_were() -> None:
    (labels,) = [dict(key[1]) for key in parse(LAST) if key[0] == "odd"]
    assert labels == {"text": 'a "quoted" \\ word\n'}


def test_targets_are_told_apart() -> None:
    both = parse(LAST, "one:1") | parse(LAST, "two:2")
    facts = facts_of_metrics(between({}, both, 5.0), 1_000.0)
    assert [one.role for one in facts.processes] == ["bulk at one:1", "bulk at two:2"]


@given(st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    assert all(isinstance(value, float) for value in parse(text).values())
    assert read_log(text.splitlines()).lines == len(text.splitlines())


def test_a_prometheus_is_asked_for_metrics_that_there_are() -> None:
    for name in METERS:
        plain = (name.partition(":")[2] or name).removesuffix("_bucket")
        assert plain in BY_NAME or plain == "process_restarts", name


def test_the_answers_of_a_prometheus_are_a_reading() -> None:
    def series(value: str, **labels: str) -> dict[str, object]:
        return {"metric": {"__name__": "x", "job": "bellhouse", **labels}, "value": [1_000, value]}

    reading = reading_of(
        {
            "kafka_consumer_lag": [series("7", topic="deliveries.sms.high")],
            "before:kafka_consumer_lag": [series("9", topic="deliveries.sms.high")],
            "grown:notifications_sent_total": [series("12", channel="sms", provider="twilio", status="success")],
            "process_started_timestamp_seconds": [series("900", role="worker", instance="a")],
            "process_restarts": [series("4", role="worker", instance="a")],
        }
    )
    facts = facts_of_metrics(reading, 1_000.0)
    assert (facts.lanes[0].lag, facts.lanes[0].lag_before) == (7, 9)
    assert facts.sent == {"sms": 12.0}
    assert facts.processes[0].restarts == 4


def test_a_log_is_counted_by_its_known_messages() -> None:
    lines = [
        '{"message": "Delivery attempted", "success": false, "provider": "fcm", "error": "retry 503"}',
        '{"message": "Unreadable record skipped", "topic": "notifications.low", "error": "truncated"}',
        '{"message": "Role bulk was killed by SIGKILL; it is started again after 0 s"}',
        '{"message": "Something else"}',
        "not ours",
    ]
    log = read_log(lines)
    assert log.lines == 5
    assert log.failed_attempts == {"fcm: retry 503": 1}
    assert log.messages["Unreadable record skipped"] == 1
    assert log.details["Unreadable record skipped"] == "topic notifications.low, error truncated"
    assert "Something else" not in log.messages


def test_levers_are_read_by_their_scopes() -> None:
    pause, rate, campaign = levers_of(
        {
            "levers": [
                {"kind": "pause", "scope": "channel=sms, tenant=acme", "value": "", "by": "ada", "at": "t", "why": "w"},
                {"kind": "rate", "scope": "twilio", "value": "12.5/s", "by": "ada", "at": "t", "why": "w"},
                {"kind": "pause", "scope": "campaign=spring", "value": "", "by": "ada", "at": "t", "why": "w"},
            ]
        }
    )
    assert (pause.channel, pause.tenant, pause.priority, pause.rate) == ("sms", "acme", "", None)
    assert (rate.provider, rate.rate) == ("twilio", 12.5)
    assert (campaign.campaign, campaign.template) == ("spring", "")
    (cause,) = paused(Facts(levers=(campaign,)))
    assert (cause.score, cause.commands[1]) == (70.0, 'bellhouse resume --campaign spring --why "it may go on"')
