"""Recipients, types, templates, stories, operations: what the rest of the API promises."""

from typing import Any

import msgspec
import pytest

from bellhouse.domain.delivery import Delivery, Detail, Event
from bellhouse.domain.ids import delivery_id, from_text, to_text
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery, Reason
from bellhouse.ports.store.deliver import DeadLetter, InboxItem, Outcome, Settlement
from bellhouse.ports.store.route import Routed
from bellhouse.testing.clock import START
from bellhouse.web.health import Check
from tests.api.face import ASKED, FURNITURE, Face

RECIPIENT = FURNITURE["/v1/recipients/ada"]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"zone": "Europe/Pari"}, {"zone": "unknown_zone"}),
        ({"zone": "../../etc/passwd"}, {"zone": "unknown_zone"}),
        ({"zone": ""}, {"zone": "unknown_zone"}),
        ({"locale": "not a locale"}, {"locale": "invalid_format"}),
        ({"contacts": [{"channel": "sms", "address": "0612345678"}]}, {"contacts[0].address": "invalid_contact"}),
        ({"contacts": [{"channel": "sms", "address": "+331"}]}, {"contacts[0].address": "invalid_contact"}),
        ({"contacts": [{"channel": "email", "address": "ada"}]}, {"contacts[0].address": "invalid_contact"}),
        ({"contacts": [{"channel": "push"}]}, {"contacts[0].address": "invalid_contact"}),
        (
            {"contacts": [{"channel": "fax", "address": 1}]},
            {"contacts[0].channel": "not_allowed", "contacts[0].address": "wrong_type"},
        ),
        ({"contacts": [{"address": "x"}]}, {"contacts[0].channel": "required"}),
        ({"contacts": [{"channel": "in_app"}] * 101}, {"contacts": "too_many"}),
        ({"preferences": {"channels": {"fax": True}}}, {"preferences.channels.fax": "not_allowed"}),
        (
            {"preferences": {"quiet_hours": {"start": "25:00", "end": "08:00"}}},
            {"preferences.quiet_hours.start": "invalid_format"},
        ),
        (
            {"preferences": {"quiet_hours": {"start": "08:00", "end": "08:00"}}},
            {"preferences.quiet_hours": "invalid_format"},
        ),
        ({"preferences": {"consent": {"marketing": {}}}}, {"preferences.consent.marketing.given": "required"}),
        ({"name": "Ada"}, {"name": "unknown_field"}),
    ],
)
async def test_every_faulty_field_of_a_recipient_is_named(
    face: Face, change: dict[str, Any], faults: dict[str, str]
) -> None:
    before = (await face.call("GET", "/v1/recipients/ada")).json
    assert (await face.call("PUT", "/v1/recipients/ada", RECIPIENT | change)).faults == faults
    batch = {"recipients": [{"user_id": "bob"}, RECIPIENT | change | {"user_id": "ada"}]}
    answer = await face.call("POST", "/v1/recipients/batch", batch)
    assert answer.faults == {f"recipients[1].{field}": code for field, code in faults.items()}
    assert (await face.call("GET", "/v1/recipients/ada")).json == before
    assert (await face.call("GET", "/v1/recipients/bob")).problem.code == "recipient_not_found"


async def test_contact_points_are_kept_in_one_spelling_with_a_stable_id(face: Face) -> None:
    first = (await face.call("GET", "/v1/recipients/ada")).json["contacts"]
    await face.clock.advance(60)
    spelled = [
        {"channel": "push", "address": "token-1", "providers": ["fcm"]},
        {"channel": "email", "address": "Ada@EXAMPLE.com"},
        {"channel": "sms", "address": "+33 6 12 34 56 78"},
    ]
    again = (await face.call("PUT", "/v1/recipients/ada", {"contacts": spelled})).json["contacts"]
    assert again == first
    await face.call("POST", "/v1/recipients/batch", {"recipients": [RECIPIENT | {"user_id": "ada"}]})
    assert (await face.call("GET", "/v1/recipients/ada")).json["contacts"] == first


async def test_a_put_keeps_preferences_unless_it_brings_some(face: Face) -> None:
    chosen = {"categories": {"marketing": {"enabled": False}}, "types": {"order_shipped": {"channels": {"sms": False}}}}
    put = await face.call("PUT", "/v1/recipients/ada/preferences", chosen)
    assert put.json == chosen
    await face.call("PUT", "/v1/recipients/ada", RECIPIENT)
    assert (await face.call("GET", "/v1/recipients/ada/preferences")).json == chosen
    await face.call("PUT", "/v1/recipients/ada", RECIPIENT | {"preferences": {"channels": {"sms": True}}})
    assert (await face.call("GET", "/v1/recipients/ada/preferences")).json == {"channels": {"sms": True}}


async def test_a_batch_of_recipients_creates_and_replaces(face: Face) -> None:
    quiet = {"quiet_hours": {"start": "22:00", "end": "08:00", "days": [1, 7]}}
    body = {"recipients": [{"user_id": "ada", "preferences": quiet}, {"user_id": "bob", "preferences": quiet}]}
    assert (await face.call("POST", "/v1/recipients/batch", body)).json == {"created": 1, "replaced": 1}
    for name in ("ada", "bob"):
        assert (await face.call("GET", f"/v1/recipients/{name}/preferences")).json == quiet


async def test_consent_keeps_its_proof(face: Face) -> None:
    proof = {"given": True, "at": "2026-01-02T03:04:05Z", "source": "sign-up", "text": "Yes, tell me."}
    answer = await face.call("PUT", "/v1/recipients/ada/preferences", {"consent": {"marketing": proof}})
    assert answer.json["consent"]["marketing"] == proof


async def test_a_deleted_recipient_is_gone(face: Face) -> None:
    assert (await face.call("DELETE", "/v1/recipients/ada")).status == 204
    for method, path in (("DELETE", ""), ("GET", ""), ("GET", "/preferences"), ("GET", "/inbox")):
        assert (await face.call(method, f"/v1/recipients/ada{path}")).problem.code == "recipient_not_found"
    assert (await face.call("PUT", "/v1/recipients/ada/preferences", {})).problem.code == "recipient_not_found"
    assert (await face.call("POST", "/v1/notifications", ASKED)).faults == {"user_id": "unknown_recipient"}


@pytest.mark.parametrize(
    ("written", "stored"),
    [("Ada@Example.com", "ada@example.com"), ("+33612345678", "+33612345678"), ("a/b:c", "a/b:c")],
)
async def test_an_address_is_suppressed_whatever_its_spelling(face: Face, written: str, stored: str) -> None:
    path = f"/v1/suppressions/{written}"
    assert (await face.call("GET", path)).problem.code == "suppression_not_found"
    put = await face.call("PUT", path, {"reason": "complaint", "detail": "by phone"})
    assert (put.json["address"], put.json["reason"]) == (stored, "complaint")
    assert (await face.call("GET", f"/v1/suppressions/{stored}")).json == put.json
    assert (await face.call("DELETE", path)).status == 204
    assert (await face.call("DELETE", path)).problem.code == "suppression_not_found"


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"category": "spam"}, {"category": "not_allowed"}),
        ({"channels": []}, {"channels": "too_few"}),
        ({"channels": ["sms", "sms"]}, {"channels": "duplicate"}),
        ({"lifetime_s": 0}, {"lifetime_s": "too_small"}),
        ({"lifetime_s": 10**12}, {"lifetime_s": "too_large"}),
        ({"lifetime_s": "1"}, {"lifetime_s": "wrong_type"}),
        (
            {"mode": 1, "template": "a b", "x": 1},
            {"mode": "wrong_type", "template": "invalid_format", "x": "unknown_field"},
        ),
    ],
)
async def test_every_faulty_field_of_a_type_is_named(
    face: Face, change: dict[str, Any], faults: dict[str, str]
) -> None:
    body = {"category": "product"} | change
    assert (await face.call("PUT", "/v1/types/news", body)).faults == faults
    assert (await face.call("GET", "/v1/types/news")).problem.code == "type_not_found"


async def test_a_name_in_a_path_must_be_a_name(face: Face) -> None:
    assert (await face.call("PUT", "/v1/types/a b", {"category": "product"})).faults == {"name": "invalid_format"}
    assert (await face.call("GET", f"/v1/recipients/{'u' * 300}")).faults == {"user_id": "too_long"}


async def test_types_are_listed(face: Face) -> None:
    await face.call("PUT", "/v1/types/a", {"category": "marketing", "priority": "low", "mode": "first"})
    listed = (await face.call("GET", "/v1/types")).json["types"]
    assert [kind["name"] for kind in listed] == ["a", "order_shipped"]
    assert listed[0] == (await face.call("GET", "/v1/types/a")).json


async def test_a_template_with_a_missing_variable_is_not_published(face: Face) -> None:
    body = {"locales": {"en": {"sms": {"text": "Hi {{ name }}"}}}}
    answer = await face.call("PUT", "/v1/templates/hi", body)
    assert answer.faults == {"locales.en.sms.text": "missing_variable"}
    assert (await face.call("GET", "/v1/templates/hi")).problem.code == "template_not_found"


async def test_each_template_version_stays_readable(face: Face) -> None:
    for version, text in ((1, "one"), (2, "two")):
        put = await face.call("PUT", "/v1/templates/hi", {"locales": {"en": {"sms": {"text": text}}}})
        assert put.json["version"] == version
    assert (await face.call("GET", "/v1/templates/hi")).json["locales"]["en"]["sms"] == {"text": "two"}
    assert (await face.call("GET", "/v1/templates/hi?version=1")).json["locales"]["en"]["sms"] == {"text": "one"}
    assert (await face.call("GET", "/v1/templates/hi?version=3")).problem.code == "template_not_found"
    assert (await face.call("GET", "/v1/templates/hi?version=x")).faults == {"version": "invalid_format"}
    assert {"name": "hi", "version": 2} in (await face.call("GET", "/v1/templates")).json["templates"]


async def test_a_preview_shows_what_would_go_out(face: Face) -> None:
    shown = (await face.call("POST", "/v1/templates/order_shipped/preview", {"data": {"order": "Z"}})).json
    assert shown["channels"]["push"]["content"] == {"title": "Shipped", "body": "Order Z is on its way."}
    draft = {"locales": {"en": {"sms": {"text": "ü" * 71 + "{{ x }}"}}}, "sample": {"x": "漢"}}
    shown = (await face.call("POST", "/v1/templates/any/preview", {"draft": draft})).json
    assert (shown["version"], shown["channels"]["sms"]["segments"]) == (0, 2)
    lacking = (await face.call("POST", "/v1/templates/order_shipped/preview", {"data": {}})).json
    assert lacking["channels"]["push"]["error"]["code"] == "missing_variable"


async def _planned(face: Face, **words: object) -> tuple[Notification, Delivery]:
    """A notification that was accepted and decided: push is planned, email suppressed."""
    await face.clock.advance(1)
    number = (await face.call("POST", "/v1/notifications", ASKED | words)).json["id"]
    story = await face.store.insights.story(None, from_text(number))  # type: ignore[arg-type]  # it is an id
    assert story is not None
    note = story.notification
    plan = PlannedDelivery(1, "push", "push-1", 0, "chosen:type_channel")
    decision = Decision(
        "planned", START, (plan,), (Reason("suppressed:address", "email", "email-1"),), "order_shipped", 1
    )
    record = msgspec.Raw(msgspec.msgpack.encode(note))
    delivery = Delivery(delivery_id(note.id, 1), "push", "high", "push-1", note.expires_at, "order_shipped", 1, record)
    await face.store.route.decide([Routed(note, decision, (delivery,))], START, ())
    return note, delivery


def _event(delivery: Delivery, n: int, state: Any, previous: Any, **detail: Any) -> Event:
    return Event(delivery.id, "worker", n, state, START + n, previous, msgspec.msgpack.encode(Detail(**detail)))


async def test_the_whole_story_is_told_with_reasons_in_words(face: Face) -> None:
    note, delivery = await _planned(face)
    event = _event(
        delivery,
        0,
        "sent",
        "waiting",
        provider="fcm",
        attempt=1,
        verdict="accepted",
        code="200",
        message_id="m",
        duration_ms=5.0,
    )
    await face.store.deliver.settle(Settlement(outcomes=(Outcome(event, note.tenant),)))
    story = (await face.call("GET", f"/v1/notifications/{to_text(note.id)}")).json
    assert (story["state"], story["decision"]["reasons"][0]["code"]) == ("planned", "suppressed:address")
    told = story["deliveries"][0]
    assert (told["id"], told["state"], told["chosen"]["code"]) == (to_text(delivery.id), "sent", "chosen:type_channel")
    assert told["reason"]["sentence"] == "The provider accepted it."
    attempt = told["attempts"][0]
    assert (attempt["attempt"], attempt["provider"], attempt["message_id"]) == (1, "fcm", "m")
    assert attempt["at"].endswith("Z")
    why = (await face.call("GET", f"/v1/notifications/{to_text(note.id)}/why")).json["sentences"]
    assert why[0].startswith("email: not sent. The address is on the suppression list")
    assert why[1].startswith("push: sent by fcm. Planned: The notification's type names this channel.")
    trace = (await face.call("GET", f"/v1/notifications/{to_text(note.id)}/trace")).json
    assert (trace["trace_id"], trace["sampled"]) == (note.id.hex(), False)
    assert [span["name"] for span in trace["spans"]] == ["receive_notification", "route", "deliver", "send_to_fcm"]
    send = trace["spans"][3]
    assert (send["duration_ms"], send["attributes"]["status"], send["budget_ms"]) == (5.0, "success", 125.0)
    assert send["parent"] == trace["spans"][2]["id"]


async def test_what_has_been_sent_cannot_be_cancelled(face: Face) -> None:
    note, delivery = await _planned(face)
    event = _event(delivery, 0, "sent", "waiting", provider="fcm", attempt=1, verdict="accepted")
    await face.store.deliver.settle(Settlement(outcomes=(Outcome(event, note.tenant),)))
    answer = await face.call("POST", f"/v1/notifications/{to_text(note.id)}/cancel")
    assert answer.problem.code == "too_late_to_cancel"


async def _dead(face: Face) -> str:
    note, delivery = await _planned(face)
    event = _event(delivery, 0, "dead_lettered", "waiting", reason="dead_lettered:attempts_exhausted", provider="fcm")
    letter = DeadLetter(delivery, note, "dead_lettered:attempts_exhausted", START, "fcm", "503")
    await face.store.deliver.settle(Settlement(outcomes=(Outcome(event, note.tenant),), dead_letters=(letter,)))
    return to_text(delivery.id)


async def test_dead_letters_are_listed_replayed_once_and_discarded(face: Face) -> None:
    first, second = [await _dead(face) for _ in range(2)]
    page = (await face.call("GET", "/v1/dead-letters?limit=1")).json
    assert [letter["id"] for letter in page["dead_letters"]] == [first]
    rest = (await face.call("GET", f"/v1/dead-letters?limit=1&cursor={page['next']}")).json
    assert [letter["id"] for letter in rest["dead_letters"]] == [second]
    assert rest["dead_letters"][0]["sentence"].startswith("Every allowed attempt failed")
    for done in (1, 0):
        answer = await face.call("POST", "/v1/dead-letters/replay", {"ids": [first]})
        assert (answer.json["done"], answer.json["more"]) == (done, False)
    tried = await face.call("POST", "/v1/dead-letters/discard", {"filter": {}, "why": "old", "dry_run": True})
    assert (tried.json["done"], tried.json["dry_run"]) == (1, True)
    assert (await face.call("POST", "/v1/dead-letters/discard", {"filter": {}})).faults == {"why": "required"}
    discarded = await face.call("POST", "/v1/dead-letters/discard", {"filter": {"channel": "push"}, "why": "old"})
    assert (discarded.json["done"], discarded.json["more"], discarded.json["warnings"]) == (1, False, [])
    acts = (await face.call("GET", "/v1/audit")).json["acts"]
    assert [(act["act"], act["scope"], act["why"]) for act in acts] == [
        ("dlq_discard", "channel=push", "old"),
        ("dlq_replay", first, ""),
    ]
    assert (await face.call("GET", "/v1/dead-letters")).json["dead_letters"] == []
    [gone] = (await face.call("GET", "/v1/dead-letters?state=discarded")).json["dead_letters"]
    assert (gone["id"], gone["why"]) == (second, "old")


@pytest.mark.parametrize("body", [{}, {"ids": ["x"], "filter": {}}])
async def test_a_replay_says_which(face: Face, body: dict[str, Any]) -> None:
    assert (await face.call("POST", "/v1/dead-letters/replay", body)).faults == {"ids": "required"}


async def test_an_inbox_is_paged_and_marked(face: Face) -> None:
    recipients = await face.store.ingest.known_recipients(await face.tenant(), ["ada"])
    deliveries = []
    for number in range(3):
        note, _ = await _planned(face)
        deliveries.append(delivery_id(note.id, 2))
        item = InboxItem(recipients["ada"], deliveries[-1], "order_shipped", f"T{number}", "B", START)
        await face.store.deliver.put_inbox([item])
    page = (await face.call("GET", "/v1/recipients/ada/inbox?limit=2")).json
    assert ([item["title"] for item in page["items"]], page["unread"]) == (["T2", "T1"], 3)
    rest = (await face.call("GET", f"/v1/recipients/ada/inbox?limit=2&cursor={page['next']}")).json
    assert ([item["title"] for item in rest["items"]], rest["next"]) == (["T0"], None)
    mark = {"ids": [to_text(deliveries[0]), to_text(deliveries[1])]}
    for changed in (2, 0):
        assert (await face.call("POST", "/v1/recipients/ada/inbox/mark", mark)).json == {"changed": changed}
    left = (await face.call("GET", "/v1/recipients/ada/inbox?unread=true")).json
    assert ([item["title"] for item in left["items"]], left["unread"]) == (["T2"], 1)
    await face.call("POST", "/v1/recipients/ada/inbox/mark", mark | {"read": False})
    assert (await face.call("GET", "/v1/recipients/ada/inbox")).json["unread"] == 3


async def test_breakers_are_forced_and_reset(face: Face) -> None:
    listed = (await face.call("GET", "/v1/breakers")).json["breakers"]
    assert [(row["provider"], row["state"], row["forced"]) for row in listed] == [
        ("fcm", "closed", "none"),
        ("twilio", "closed", "none"),
    ]
    for act, state, forced in (("open", "open", "open"), ("close", "closed", "closed"), ("reset", "closed", "none")):
        [row] = (await face.call("POST", f"/v1/breakers/fcm/{act}")).json["breakers"]
        assert (row["state"], row["forced"]) == (state, forced)
    assert (await face.call("POST", "/v1/breakers/nobody/open")).problem.code == "breaker_not_found"
    assert (await face.call("POST", "/v1/breakers/fcm/kick")).faults == {"act": "not_allowed"}


async def test_the_ledger_counts_what_was_accepted(face: Face) -> None:
    await face.call("POST", "/v1/notifications", ASKED)
    for query in ("", "?recount=true"):
        ledger = (await face.call("GET", f"/v1/ledger{query}")).json
        assert (ledger["accepted"], ledger["imbalance"]) == (1, 0)
    assert all(check["holds"] for check in ledger["checks"])


async def test_a_list_is_filtered_and_paged(face: Face) -> None:
    await face.call("PUT", "/v1/recipients/bob", {})
    ids = []
    for user in ("ada", "bob", "ada", "ada"):
        ids.append((await face.call("POST", "/v1/notifications", ASKED | {"user_id": user})).json["id"])
        await face.clock.advance(1)
    found, cursor = [], ""
    while True:
        page = (await face.call("GET", f"/v1/notifications?user_id=ada&limit=2{cursor}")).json
        found += [line["id"] for line in page["notifications"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [ids[3], ids[2], ids[0]]
    since = (await face.call("GET", f"/v1/notifications?since={'2099-01-01T00:00:00Z'}")).json
    assert since["notifications"] == []
    waiting = (await face.call("GET", "/v1/notifications?state=waiting&type=order_shipped")).json["notifications"]
    assert len(waiting) == 4
    assert len((await face.call("GET", "/v1/notifications?since=0001-01-01T00:00:00Z")).json["notifications"]) == 4
    wrong = await face.call("GET", "/v1/notifications?limit=0&state=lost")
    assert wrong.faults == {"limit": "too_small", "state": "not_allowed"}
    for since in ("today", "0.5", "2026-11-23T05:00:00"):
        for path in ("/v1/notifications", "/v1/dead-letters"):
            assert (await face.call("GET", f"{path}?since={since}")).faults == {"since": "invalid_format"}
    assert (await face.call("GET", "/v1/notifications?cursor=abc")).problem.code == "invalid_cursor"


async def test_health_needs_no_key_and_says_what_is_missing(face: Face) -> None:
    assert (await face.call("GET", "/healthz", token="")).json == {"status": "alive"}
    assert (await face.call("GET", "/readyz", token="")).json["status"] == "ready"
    face.checks[:] = [Check("store", False, "read-only")]
    answer = await face.call("GET", "/readyz", token="")
    assert (answer.problem.code, answer.problem.detail) == ("not_ready", "store: read-only")
    metrics = await face.call("GET", "/metrics", token="")
    assert (metrics.status, metrics.body) == (200, b"notifications_received_total 1\n")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_callbacks_go_to_their_own_application(face: Face) -> None:
    answer = await face.call("POST", "/callbacks/twilio", raw=b"204", token="")
    assert (answer.status, answer.headers["x-path"], answer.body) == (204, "/callbacks/twilio", b"not so fast")
    assert ("/callbacks/{provider}", 204) in face.telemetry.answers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (404, "not_found"),
        (413, "body_too_large"),
        (503, "busy"),
    ],
)
async def test_a_refused_callback_is_a_problem_too(face: Face, status: int, code: str) -> None:
    answer = await face.call("POST", "/callbacks/twilio", raw=b"%d" % status, token="")
    assert (answer.problem.code, answer.problem.detail) == (code, "Not so fast.")
    assert answer.headers["retry-after"] == "1"
    assert ("/callbacks/{provider}", status) in face.telemetry.answers


async def test_what_is_not_there_is_a_problem_too(face: Face) -> None:
    for path in (
        "/nothing",
        "/v1/nothing",
        "/docs/files/secret",
        "/v1/notifications/x",
        f"/v1/notifications/{'0' * 32}",
    ):
        assert (await face.call("GET", path)).problem.status == 404
    answer = await face.call("PATCH", "/v1/recipients/ada")
    assert answer.problem.code == "method_not_allowed"
    assert answer.headers["allow"] == "DELETE, GET, PUT"
    assert (await face.call("OPTIONS", "/v1/recipients/ada")).headers["allow"] == "DELETE, GET, PUT"
    assert (await face.call("GET", "/", token="")).headers["location"] == "/docs"


async def test_every_answer_is_counted_by_its_route(face: Face) -> None:
    face.telemetry.answers.clear()
    await face.call("GET", "/v1/recipients/ada")
    await face.call("GET", "/v1/recipients/eve")
    await face.call("GET", "/nothing")
    assert face.telemetry.answers == [
        ("/v1/recipients/{user_id}", 200),
        ("/v1/recipients/{user_id}", 404),
        ("other", 404),
    ]
