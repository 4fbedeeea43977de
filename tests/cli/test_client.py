"""The commands that speak to a server: what they ask, what they print, and how they fail."""

import json

import pytest
from tests.observability.otlp import Collector

from bellhouse.app.secrets import keep_development_key

ID = "019ae3d2-7c00-7abc-8def-001122334400"
DELIVERY = "019ae3d2-7c00-7abc-8def-001122334401"
STORY = {
    "id": ID, "user_id": "ada", "type": "order_shipped", "priority": "high", "state": "planned",
    "received_at": "2026-11-23T05:00:00.123Z",
    "decision": {"reasons": [{"code": "x", "sentence": "She has muted [sms].", "channel": "sms"}]},
    "deliveries": [{
        "id": DELIVERY, "channel": "email", "contact": "e1", "state": "delivered",
        "reason": {"sentence": "Confirmed."},
        "attempts": [{"attempt": 1, "at": "2026-11-23T05:00:01Z", "provider": "sendgrid", "verdict": "accepted",
                      "code": "202"}],
        "callbacks": [{"at": "2026-11-23T05:00:02Z", "news": "delivered", "attempt": 1}],
        "history": [{"at": "2026-11-23T05:00:01Z", "source": "worker", "state": "sent",
                     "reason": {"sentence": "Accepted."}}],
    }],
}  # fmt: skip


def test_send_asks_for_what_it_was_given_and_prints_the_id(run, server):
    server.answers["POST /v1/notifications"] = (202, {"id": ID})
    status, out, _ = run(
        "send", "ada", "order_shipped", "--set", "order=4711", "--set", "name=Ada L", "--channel", "email",
        "--campaign", "spring", "--idempotency-key", "k", "--url", server.url, "--key", "secret",
    )  # fmt: skip
    assert (status, out) == (0, f"{ID}\n")
    assert server.asked == [
        (
            "POST /v1/notifications",
            {
                "user_id": "ada",
                "type": "order_shipped",
                "data": {"order": 4711, "name": "Ada L"},
                "channels": ["email"],
                "campaign": "spring",
                "idempotency_key": "k",
            },
        )
    ]
    assert server.keys == ["Bearer secret"]


def test_the_key_of_the_data_folder_is_used_where_none_is_given(run, server, tmp_path):
    keep_development_key(tmp_path, "kept")
    server.answers["GET /v1/breakers"] = (200, {"breakers": []})
    assert run("breaker", "list", "--url", server.url, "--data", tmp_path)[0] == 0
    assert server.keys == ["Bearer kept"]


def test_get_tells_the_story_in_its_order(run, server):
    server.answers[f"GET /v1/notifications/{ID}"] = (200, STORY)
    status, out, _ = run("get", ID, "--url", server.url)
    assert status == 0
    assert out.index("attempt 1") < out.index("callback")
    assert "She has muted [sms]." in out
    assert "campaign" not in out
    assert json.loads(run("get", ID, "--url", server.url, "--json")[1]) == STORY


def test_get_names_the_campaign_where_there_is_one(run, server):
    server.answers[f"GET /v1/notifications/{ID}"] = (200, STORY | {"campaign": "spring-sale"})
    assert "campaign spring-sale" in run("get", ID, "--url", server.url)[1]


def test_get_shows_a_callback_after_its_attempt_whatever_the_provider_s_clock_said(run, server):
    delivery = STORY["deliveries"][0]
    early = {"at": "2026-11-23T05:00:00Z", "news": "delivered", "attempt": 1}
    story = {**STORY, "deliveries": [{**delivery, "callbacks": [early]}]}
    server.answers[f"GET /v1/notifications/{ID}"] = (200, story)
    out = run("get", ID, "--url", server.url)[1]
    assert out.index("attempt 1") < out.index("callback")


def test_why_answers_in_sentences(run, server):
    answer = {"id": ID, "state": "suppressed", "sentences": ["All channels: not sent. Marketing is muted."]}
    server.answers[f"GET /v1/notifications/{ID}/why"] = (200, answer)
    assert "Marketing is muted." in run("why", ID, "--url", server.url)[1]


TRACE = {
    "id": ID, "trace_id": ID.replace("-", ""), "sampled": False,
    "traceparent": f"00-{ID.replace('-', '')}-0000000000000001-00",
    "spans": [
        {"id": "0000000000000001", "parent": "00000000000000aa", "name": "receive_notification",
         "service": "notification-api", "start": "2026-11-23T05:00:00.123Z", "after_ms": 0.0, "duration_ms": 0.0,
         "attributes": {"priority": "high"}},
        {"id": "0000000000000002", "parent": "0000000000000001", "name": "route", "service": "notification-router",
         "start": "2026-11-23T05:00:00.223Z", "after_ms": 100.0, "duration_ms": 0.0,
         "attributes": {"state": "planned"}, "budget_ms": 55.0},
        {"id": "0000000000000003", "parent": "0000000000000001", "name": "deliver", "service": "push-worker",
         "start": "2026-11-23T05:00:00.300Z", "after_ms": 177.0, "duration_ms": 90.0,
         "attributes": {"state": "sent"}, "budget_ms": 150.0},
    ],
}  # fmt: skip


def test_trace_shows_the_tree_with_times_beside_the_budget(run, server):
    server.answers[f"GET /v1/notifications/{ID}/trace"] = (200, TRACE)
    status, out, _ = run("trace", ID, "--url", server.url)
    assert status == 0
    lines = out.splitlines()
    assert lines[2].startswith("receive_notification")
    assert lines[3].startswith("  route")
    assert "+100 ms" in lines[3]
    assert "55 ms exceeded" in lines[3]
    assert "90 ms" in lines[4]
    assert "exceeded" not in lines[4]
    assert json.loads(run("trace", ID, "--url", server.url, "--json")[1]) == TRACE


def test_trace_exports_the_spans_that_the_server_rebuilt(run, server, tmp_path):
    collector = Collector()
    server.answers[f"GET /v1/notifications/{ID}/trace"] = (200, TRACE)
    asked = ("trace", ID, "--url", server.url, "--data", tmp_path)
    try:
        status, out, _ = run(*asked, "--otlp", collector.url)
        assert (status, [span.name for span in collector.spans(TRACE["trace_id"])]) == (
            0,
            [span["name"] for span in TRACE["spans"]],
        )
        assert "3 spans were taken" in out
        collector.status = 400
        status, _, told = run(*asked, "--otlp", collector.url)
        assert (status, "does not take the spans" in told) == (1, True)
    finally:
        collector.close()
    assert run(*asked, "--export")[0] == 2
    assert "is no URL of a collector" in run(*asked, "--otlp", "collector")[2]


def test_a_refusal_names_each_faulty_field_and_the_remedy(run, server):
    problem = {
        "title": "Faulty",
        "detail": "type: unknown",
        "remedy": "Correct the fields",
        "errors": [{"field": "type", "code": "unknown_type", "message": "there is no type `x`"}],
    }
    server.answers["POST /v1/notifications"] = (422, problem)
    status, out, complaint = run("send", "ada", "x", "--url", server.url)
    assert (status, out) == (1, "")
    assert "type: there is no type `x`" in complaint
    assert "Correct the fields" in complaint


def test_a_failure_is_json_where_json_was_asked_for(run, server):
    server.answers["GET /v1/ledger?recount=true"] = (401, {"detail": "No valid key.", "title": "x"})
    status, out, complaint = run("ledger", "--url", server.url, "--json")
    assert (status, complaint) == (1, "")
    assert "bellhouse keys create" in json.loads(out)["error"]["remedy"]


def test_an_answer_that_is_not_bellhouses_is_told_apart(run, server):
    server.answers["GET /v1/breakers"] = [(200, b"<html>"), (502, b"<html>")]
    assert "not as Bellhouse does" in run("breaker", "list", "--url", server.url)[2]
    assert "502" in run("breaker", "list", "--url", server.url)[2]


@pytest.mark.parametrize(("imbalance", "status"), [(0, 0), (3, 1)])
def test_an_unbalanced_ledger_fails(run, server, imbalance, status):
    checks = [{"name": "accepted", "left": 5, "right": 5 - imbalance, "holds": not imbalance}]
    answer = {"at": "now", "accepted": 5, "planned": 5, "imbalance": imbalance, "lines": [], "checks": checks}
    server.answers["GET /v1/ledger?recount=true"] = (200, answer)
    ended, out, _ = run("ledger", "--url", server.url)
    assert ended == status
    assert ("BROKEN" in out) == bool(imbalance)


def test_without_a_server_the_remedy_is_named(run, tmp_path):
    status, _, complaint = run("send", "ada", "x", "--data", tmp_path)
    assert status == 1
    assert "bellhouse serve" in complaint
    assert "Nothing answers" in run("send", "ada", "x", "--url", "http://127.0.0.1:9")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "no-id"],
        ["send", "ada", "x", "--set", "novalue"],
        ["breaker", "list", "--url", "localhost:80"],
        ["dlq", "replay"],
        ["dlq", "replay", DELIVERY, "--all"],
        ["dlq", "show", "x"],
        ["simulator", "dial", "sendgrid", "outage"],
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(run, server, arguments):
    if "--url" not in arguments:
        arguments = [*arguments, "--url", server.url]
    assert run(*arguments)[0] == 2
    assert not server.asked


def test_a_replay_goes_on_until_nothing_is_left(run, server):
    server.answers["POST /v1/dead-letters/replay"] = [
        (200, {"done": 500, "more": True}),
        (200, {"done": 20, "more": False}),
    ]
    status, out, _ = run("dlq", "replay", "--channel", "email", "--rate", "50", "--url", server.url, "--json")
    assert (status, json.loads(out)) == (0, {"done": 520})
    assert [body for _, body in server.asked] == [
        {"filter": {"channel": "email"}, "lifetime_s": 3600, "rate": 50.0}
    ] * 2


def test_a_discard_keeps_its_reason(run, server):
    server.answers["POST /v1/dead-letters/discard"] = (200, {"done": 1, "more": False})
    assert run("dlq", "discard", DELIVERY, "--why", "left the company", "--url", server.url)[0] == 0
    assert server.asked[0][1] == {"ids": [DELIVERY], "why": "left the company"}


def test_a_dead_letter_is_shown_from_its_notifications_story(run, server):
    server.answers[f"GET /v1/notifications/{ID}"] = (200, STORY)
    status, out, _ = run("dlq", "show", DELIVERY, "--url", server.url)
    assert status == 0
    assert "Accepted." in out


def test_dead_letters_are_listed_with_where_to_go_on(run, server):
    letter = dict.fromkeys(("id", "at", "channel", "provider", "type", "user_id", "reason", "code"), "x") | {"epoch": 1}
    server.answers["GET /v1/dead-letters?channel=sms&state=open&limit=100"] = (
        200,
        {"dead_letters": [letter], "next": "abc"},
    )
    assert "--cursor abc" in run("dlq", "list", "--channel", "sms", "--url", server.url)[1]


def test_breakers_are_forced_by_name(run, server):
    row = {"channel": "email", "provider": "sendgrid", "state": "open", "forced": "open", "failures": 0,
           "reason": "", "changed_at": None}  # fmt: skip
    for act in ("open", "close", "reset"):
        server.answers[f"POST /v1/breakers/sendgrid/{act}"] = (200, {"breakers": [row]})
        assert "sendgrid" in run("breaker", act, "sendgrid", "--url", server.url)[1]
