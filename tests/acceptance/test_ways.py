"""The main ways of a notification through the whole platform: every channel and provider, in one process and in two."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from bellhouse.simulator.twilio import signature
from tests.acceptance.client import Client
from tests.acceptance.house import House
from tests.acceptance.people import CHANNELS, DATA, of, person
from tests.acceptance.waiting import wait_until


def moment(seconds: float) -> str:
    """A moment from now, as the API takes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def state_of(client: Client, identifier: str, channel: str) -> str:
    """The state of the delivery on a channel; empty while there is none."""
    story = client.story(identifier)
    return str(of(story, channel)["state"]) if story["deliveries"] else ""


def reaches(client: Client, identifier: str, channel: str, state: str, within_s: float = 20.0) -> Any:
    """The delivery on a channel, once it is in a state."""
    wait_until(lambda: state_of(client, identifier, channel) == state, within_s, lambda: client.story(identifier))
    return of(client.story(identifier), channel)


def waits_for(client: Client, identifier: str, channel: str, reason: str) -> None:
    """Wait until the delivery on a channel waits for this reason."""

    def waiting() -> bool:
        story = client.story(identifier)
        return bool(story["deliveries"]) and of(story, channel)["reason"]["code"] == reason

    wait_until(waiting, 20, lambda: client.story(identifier))


def accepted_by_a_provider(client: Client, identifier: str, channel: str) -> None:
    """Wait until a provider has the delivery on a channel."""
    wait_until(
        lambda: state_of(client, identifier, channel) in ("sent", "delivered"), 40, lambda: client.story(identifier)
    )


def test_every_channel_is_delivered_and_confirmed_by_callbacks(house: House, client: Client) -> None:
    ada = person(client)
    identifier = client.send(ada.id, "order", data=DATA)
    for channel in CHANNELS:
        delivery = reaches(client, identifier, channel, "delivered")
        assert [attempt["verdict"] for attempt in delivery["attempts"]] == ["accepted"]
        assert delivery["callbacks"] or channel == "in_app"
    assert house.world is not None
    calls = house.world.receipts()
    assert {(call["provider"], call["to"], call["verdict"]) for call in calls} == {
        ("fcm", ada.token[:64], "accepted"),
        ("sendgrid", ada.email, "accepted"),
        ("twilio", ada.phone, "accepted"),
    }
    inbox = client.get(f"/v1/recipients/{ada.id}/inbox")
    assert [(item["title"], item["body"]) for item in inbox["items"]] == [("Hello Ada", "Number 7")]
    assert inbox["unread"] == 1
    house.balances()


@pytest.mark.parametrize("kind", ["alert", "order", "news", "promo"])
def test_every_priority_has_its_way(client: Client, kind: str) -> None:
    ada = person(client, preferences={"consent": {"marketing": {"given": True, "source": "test"}}})
    identifier = client.send(ada.id, kind, data=DATA, channels=["push", "in_app"])
    reaches(client, identifier, "push", "delivered")
    reaches(client, identifier, "in_app", "delivered")


def test_the_second_provider_of_each_channel_delivers_when_the_first_is_switched_off(
    house: House, client: Client
) -> None:
    ada = person(client)
    house.force("sendgrid", "open")
    house.force("twilio", "open")
    identifier = client.send(ada.id, "order", data=DATA, channels=["email", "sms"])
    sms = reaches(client, identifier, "sms", "delivered")
    assert [attempt["provider"] for attempt in sms["attempts"]] == ["vonage"]
    email = reaches(client, identifier, "email", "sent")
    assert [attempt["provider"] for attempt in email["attempts"]] == ["smtp"]
    told = " ".join(client.get(f"/v1/notifications/{identifier}/why")["sentences"])
    assert "went to vonage, since twilio (its breaker was open) could not be asked." in told
    assert "went to smtp, since sendgrid (its breaker was open) could not be asked." in told


def test_a_batch_has_a_result_for_each_item_in_order(client: Client) -> None:
    ada = person(client)
    good = {"user_id": ada.id, "type": "order", "data": DATA, "channels": ["in_app"]}
    items = [good, {**good, "user_id": "nobody"}, {**good, "priority": "urgent"}, good]
    answer = client.ask("POST", "/v1/notifications/batch", {"notifications": items})
    assert answer.status == 202
    first, second, third, fourth = answer.json["results"]
    assert second["error"]["errors"][0] == {
        "field": "notifications[1].user_id",
        "code": "unknown_recipient",
        "message": "there is no recipient 'nobody'",
    }
    assert third["error"]["errors"][0]["field"] == "notifications[2].priority"
    assert first["id"] != fourth["id"]
    for result in (first, fourth):
        reaches(client, result["id"], "in_app", "delivered")


def test_a_thousand_in_one_batch_all_arrive(house: House, client: Client) -> None:
    people = [person(client) for _ in range(20)]
    items = [
        {"user_id": people[n % 20].id, "type": "order", "data": {"who": "Ada", "n": n}, "channels": ["push"]}
        for n in range(1000)
    ]
    results = client.post("/v1/notifications/batch", {"notifications": items})["results"]
    ids = {result["id"] for result in results}
    assert len(ids) == 1000
    assert house.world is not None
    world = house.world
    wait_until(lambda: {call["notification_id"] for call in world.receipts("fcm")} == ids, 30)
    assert len(world.receipts("fcm")) == 1000


# --- the outside world fails ---


def test_an_outage_fails_over_opens_the_breaker_and_recovers_by_a_probe(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)

    def breaker() -> str:
        rows = client.get("/v1/breakers")["breakers"]
        return str(next(row["state"] for row in rows if row["provider"] == "sendgrid"))

    world.dial("sendgrid", outage="503")
    sent = [client.send(ada.id, "order", data=DATA, channels=["email"]) for _ in range(8)]
    for identifier in sent:
        email = reaches(client, identifier, "email", "sent")
        assert email["attempts"][-1]["provider"] == "smtp"
    first = of(client.story(sent[0]), "email")
    assert [(a["provider"], a["verdict"]) for a in first["attempts"]] == [("sendgrid", "retry"), ("smtp", "accepted")]
    wait_until(lambda: breaker() == "open", what="the breaker opens")
    during = client.send(ada.id, "order", data=DATA, channels=["email"])
    assert reaches(client, during, "email", "sent")["attempts"][0]["provider"] == "smtp"

    world.dial("sendgrid", outage="none")

    def probed() -> bool:
        client.send(ada.id, "order", data=DATA, channels=["email"])
        return breaker() == "closed"

    wait_until(probed, what="a probe closes the breaker")
    after = client.send(ada.id, "order", data=DATA, channels=["email"])
    email = reaches(client, after, "email", "delivered")
    assert [attempt["provider"] for attempt in email["attempts"]] == ["sendgrid"]
    assert client.get("/v1/dead-letters")["dead_letters"] == []


def test_a_throttled_provider_is_waited_for_as_it_asks(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("fcm", throttle={"rate_per_second": 5, "retry_after_s": 1, "burst": 5})
    sent = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(10)]
    for identifier in sent:
        reaches(client, identifier, "push", "delivered", 30)
    calls = world.receipts("fcm")
    throttled = [call for call in calls if call["verdict"] == "throttled"]
    assert throttled
    for call in throttled:
        again = [c["at"] for c in calls if c["delivery_id"] == call["delivery_id"] and c["at"] > call["at"]]
        waited = datetime.fromisoformat(again[0]) - datetime.fromisoformat(call["at"])
        assert waited >= timedelta(milliseconds=950), "Retry-After is never cut short"
    stories = [of(client.story(identifier), "push") for identifier in sent]
    assert {a["state"] for one in stories for a in one["attempts"] if a["verdict"] == "throttled"} == {"waiting"}


def test_a_dead_token_retires_the_contact_point(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("fcm", dead_tokens=[ada.token])
    identifier = client.send(ada.id, "order", data=DATA, channels=["push"])
    delivery = reaches(client, identifier, "push", "failed")
    assert delivery["reason"]["code"] == "failed:token_invalid"
    contacts = client.get(f"/v1/recipients/{ada.id}")["contacts"]
    assert {contact["channel"] for contact in contacts} == {"email", "sms"}
    again = client.send(ada.id, "order", data=DATA, channels=["push"])
    wait_until(lambda: client.story(again)["state"] == "suppressed")
    assert client.story(again)["decision"]["reasons"][-1]["code"] == "suppressed:no_contact_point"


def test_an_opted_out_number_is_suppressed_and_security_takes_another_channel(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("twilio", errors={"21610": 1})
    identifier = client.send(ada.id, "order", data=DATA, channels=["sms"])
    assert reaches(client, identifier, "sms", "failed")["reason"]["code"] == "failed:permanent"
    assert client.get(f"/v1/suppressions/{ada.phone}")["reason"] == "opt_out"

    again = client.send(ada.id, "order", data=DATA, channels=["sms"])
    wait_until(lambda: client.story(again)["state"] == "suppressed")
    assert client.story(again)["decision"]["reasons"][-1]["code"] == "suppressed:address"

    secure = client.send(ada.id, "alert", data=DATA, channels=["sms"])
    push = reaches(client, secure, "push", "delivered")
    assert push["chosen"]["code"] == "chosen:security_fallback"
    assert len(world.receipts("twilio")) == 1, "a stopped number is not written to, not even for security"


@pytest.mark.parametrize(("provider", "failure"), [("sendgrid", "bounce"), ("smtp", "bounce"), ("smtp", "complaint")])
def test_a_bounce_or_a_complaint_suppresses_the_address(
    house: House, client: Client, provider: str, failure: str
) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    if provider == "smtp":
        house.force("sendgrid", "open")
    world.dial(provider, callback_failures={failure: 1})
    identifier = client.send(ada.id, "order", data=DATA, channels=["email"])
    if failure == "bounce":
        assert "failed" in {news["news"] for news in reaches(client, identifier, "email", "failed")["callbacks"]}
    wait_until(lambda: client.ask("GET", f"/v1/suppressions/{ada.email}").status == 200, what="suppressed")
    assert client.get(f"/v1/suppressions/{ada.email}")["reason"] == failure
    again = client.send(ada.id, "order", data=DATA, channels=["email"])
    wait_until(lambda: client.story(again)["state"] == "suppressed")
    assert len(world.receipts(provider)) == 1


def test_a_stop_by_sms_is_obeyed_until_a_start(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    account = world.api.credentials()["twilio"]

    def says(text: str) -> None:
        url = f"{house.url}/callbacks/twilio"
        form = {"MessageSid": f"SM{text}{ada.id}", "SmsStatus": "received", "From": ada.phone, "To": "+1", "Body": text}
        signed = signature(account["auth_token"].encode(), url, form)
        headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signed}
        assert client.ask("POST", "/callbacks/twilio", urlencode(form).encode(), headers).status == 200

    says("STOP")
    stopped = client.get(f"/v1/suppressions/{ada.phone}")
    assert stopped["reason"] == "opt_out"
    identifier = client.send(ada.id, "order", data=DATA, channels=["sms"])
    wait_until(lambda: client.story(identifier)["state"] == "suppressed")
    says("START")
    assert client.ask("GET", f"/v1/suppressions/{ada.phone}").status == 404
    again = client.send(ada.id, "order", data=DATA, channels=["sms"])
    reaches(client, again, "sms", "delivered")


def test_a_forged_callback_is_refused_and_changes_nothing(house: House, client: Client) -> None:
    ada = person(client)
    assert house.world is not None
    house.world.dial("twilio", callbacks=False)
    identifier = client.send(ada.id, "order", data=DATA, channels=["sms"])
    delivery = reaches(client, identifier, "sms", "sent")
    path = f"/callbacks/twilio?delivery_id={delivery['id']}&attempt=1"
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "AAAA"}
    assert client.ask("POST", path, b"MessageStatus=delivered&MessageSid=SM1", headers).status == 401
    assert client.ask("POST", "/callbacks/nobody", b"").status == 404
    assert state_of(client, identifier, "sms") == "sent"


def test_lost_answers_are_unknown_and_each_category_has_its_policy(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("fcm", lost_answers=1, callbacks=False)
    order = client.send(ada.id, "order", data=DATA, channels=["push"])
    news = client.send(ada.id, "news", data=DATA, channels=["push"])
    for identifier in (order, news):
        assert reaches(client, identifier, "push", "unknown")["reason"]["code"] == "unknown:no_answer"
    world.dial("fcm", lost_answers=0)
    assert reaches(client, news, "push", "failed")["reason"]["code"] == "failed:unknown_outcome"
    again = reaches(client, order, "push", "sent")
    assert [attempt["verdict"] for attempt in again["attempts"]] == ["unknown", "accepted"]
    assert world.calls_for(news) == [("fcm", "accepted_answer_lost")]
    assert world.calls_for(order) == [("fcm", "accepted_answer_lost"), ("fcm", "accepted")]
    house.balances()


def test_a_callback_settles_what_was_unknown_without_a_second_call(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("fcm", lost_answers=1, callback_delay_ms={"min": 300, "max": 300})
    identifier = client.send(ada.id, "order", data=DATA, channels=["push"])
    delivery = reaches(client, identifier, "push", "delivered")
    assert [attempt["verdict"] for attempt in delivery["attempts"]] == ["unknown"]
    house.balances()


def test_attempts_run_out_into_the_dead_letters_and_a_replay_delivers(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    world.dial("fcm", errors={"internal": 1})
    identifier = client.send(ada.id, "order", data=DATA, channels=["push"])
    delivery = reaches(client, identifier, "push", "dead_lettered")
    assert delivery["reason"]["code"] == "dead_lettered:attempts_exhausted"
    assert [attempt["verdict"] for attempt in delivery["attempts"]] == ["retry"] * 3
    letters = client.get("/v1/dead-letters?channel=push")["dead_letters"]
    assert [(letter["id"], letter["user_id"], letter["provider"]) for letter in letters] == [
        (delivery["id"], ada.id, "fcm")
    ]
    house.balances()

    world.dial("fcm", errors=None)
    client.post("/v1/breakers/fcm/reset")
    for done in (1, 0):
        answer = client.post("/v1/dead-letters/replay", {"ids": [delivery["id"]]})
        assert (answer["done"], answer["more"]) == (done, False)
    again = reaches(client, identifier, "push", "delivered")
    assert [attempt["verdict"] for attempt in again["attempts"]] == ["retry"] * 3 + ["accepted"]
    assert client.get("/v1/dead-letters?channel=push")["dead_letters"] == []
    (replayed,) = [
        letter
        for letter in client.get("/v1/dead-letters?state=replayed")["dead_letters"]
        if letter["id"] == delivery["id"]
    ]
    assert replayed["epoch"] == 1
    house.balances()


def test_an_outage_of_every_provider_parks_spends_nothing_and_expires_what_cannot_wait(
    house: House, client: Client
) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    for provider in ("sendgrid", "smtp"):
        world.dial(provider, outage="503" if provider == "sendgrid" else "refuse")
    first = [client.send(ada.id, "order", data=DATA, channels=["email"]) for _ in range(6)]

    def all_open() -> bool:
        rows = client.get("/v1/breakers")["breakers"]
        return all(row["state"] != "closed" for row in rows if row["channel"] == "email")

    wait_until(all_open, what=lambda: client.get("/v1/breakers"))
    patient = [client.send(ada.id, "order", data=DATA, channels=["email"]) for _ in range(12)]
    hasty = client.send(ada.id, "order", data=DATA, channels=["email"], expires_at=moment(5))
    for identifier in (*patient, hasty):
        waits_for(client, identifier, "email", "waiting:outage")
    assert reaches(client, hasty, "email", "expired")["reason"]["code"] == "expired:lifetime"
    house.balances()
    for provider in ("sendgrid", "smtp"):
        world.dial(provider, outage="none")
    for identifier in (*first, *patient):
        accepted_by_a_provider(client, identifier, "email")
    assert client.get("/v1/dead-letters?channel=email")["dead_letters"] == []
    house.balances()


def test_late_doubled_and_disordered_callbacks_come_to_the_same_end(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    for provider in ("fcm", "twilio", "sendgrid"):
        world.dial(
            provider,
            callback_delay_ms={"min": 50, "max": 1500},
            callback_duplicates=0.5,
            callback_disorder=1,
        )
    sent = [client.send(ada.id, "order", data=DATA, channels=["push", "sms", "email"]) for _ in range(12)]
    wait_until(
        lambda: world.api.pending_callbacks()["pending"] == 0 and len(world.receipts()) == 36,
        what=lambda: (world.api.pending_callbacks(), world.api.summary()),
    )
    for identifier in sent:
        for channel in ("push", "sms", "email"):
            reaches(client, identifier, channel, "delivered")
    house.balances()


# --- what the caller and the operator can ask for ---


def test_send_at_waits_and_then_goes(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    send_at = datetime.now(UTC) + timedelta(seconds=2)
    identifier = client.send(ada.id, "order", data=DATA, channels=["push"], send_at=send_at.isoformat())
    story = client.story(identifier)
    assert (story["state"], story["decision"]) == ("waiting", None)
    assert "moment that the caller asked for" in client.get(f"/v1/notifications/{identifier}/why")["sentences"][0]
    reaches(client, identifier, "push", "delivered")
    (call,) = world.receipts("fcm")
    assert send_at <= datetime.fromisoformat(call["at"]) < send_at + timedelta(seconds=2)


def test_cancelling_before_and_after_the_plan_sends_nothing(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    early = client.send(ada.id, "order", data=DATA, channels=["push"], send_at=moment(1.5))
    assert client.post(f"/v1/notifications/{early}/cancel")["state"] == "cancelled"
    house.force("fcm", "open")
    late = client.send(ada.id, "order", data=DATA, channels=["push"])
    waits_for(client, late, "push", "waiting:outage")
    client.post(f"/v1/notifications/{late}/cancel")
    client.post(f"/v1/notifications/{late}/cancel")
    assert of(client.story(late), "push")["reason"]["code"] == "cancelled:by_caller"
    client.post("/v1/breakers/fcm/reset")
    marker = client.send(ada.id, "order", data=DATA, channels=["push"], send_at=moment(2))
    reaches(client, marker, "push", "delivered")
    assert client.ask("POST", f"/v1/notifications/{marker}/cancel", {}).json["code"] == "too_late_to_cancel"
    assert {call["notification_id"] for call in world.receipts("fcm")} == {marker}
    assert client.story(early)["state"] == "cancelled"
    house.balances()


def test_what_has_expired_is_not_sent(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    house.force("fcm", "open")
    # Long enough to be planned before, on a machine that is busy with other tests too.
    identifier = client.send(ada.id, "order", data=DATA, channels=["push"], expires_at=moment(4))
    waits_for(client, identifier, "push", "waiting:outage")
    assert reaches(client, identifier, "push", "expired")["reason"]["code"] == "expired:lifetime"
    client.post("/v1/breakers/fcm/reset")
    marker = client.send(ada.id, "order", data=DATA, channels=["push"])
    reaches(client, marker, "push", "delivered")
    assert world.calls_for(identifier) == []


def test_a_newer_notification_with_the_same_collapse_key_takes_the_place_of_one_that_waits(
    house: House, client: Client
) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    house.force("fcm", "open")
    older, newer = (
        client.send(ada.id, "order", data=DATA, channels=["push"], collapse_key="parcel-1") for _ in range(2)
    )
    other = client.send(ada.id, "order", data=DATA, channels=["push"], collapse_key="parcel-2")
    client.post("/v1/breakers/fcm/reset")
    for identifier in (newer, other):
        reaches(client, identifier, "push", "delivered")
    assert reaches(client, older, "push", "cancelled")["reason"]["code"] == "cancelled:superseded"
    assert world.calls_for(older) == []


def test_quiet_hours_defer_to_their_end_and_the_story_says_so(client: Client) -> None:
    now = datetime.now(UTC)
    hours = {"start": (now - timedelta(hours=1)).strftime("%H:%M"), "end": (now + timedelta(hours=1)).strftime("%H:%M")}
    ada = person(client, zone="UTC", preferences={"quiet_hours": hours})
    identifier = client.send(ada.id, "order", data=DATA, channels=["push", "in_app"])
    reaches(client, identifier, "in_app", "delivered")
    push = of(client.story(identifier), "push")
    assert (push["state"], push["chosen"]["code"]) == ("waiting", "deferred:quiet_hours")
    wait = datetime.fromisoformat(push["not_before"]) - now
    assert timedelta(minutes=58) < wait <= timedelta(minutes=71)
    client.post(f"/v1/notifications/{identifier}/cancel")


def test_a_repeat_with_its_key_gets_the_first_answer_and_another_body_is_refused(client: Client) -> None:
    ada = person(client)
    body = {"user_id": ada.id, "type": "order", "data": DATA, "channels": ["in_app"]}
    key = {"idempotency-key": f"k-{ada.id}"}
    first = client.ask("POST", "/v1/notifications", body, key)
    again = client.ask("POST", "/v1/notifications", body, key)
    assert (first.status, again.status, again.json) == (202, 202, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = client.ask("POST", "/v1/notifications", {**body, "priority": "low"}, key)
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    batch = [{**body, "idempotency_key": f"b-{ada.id}"}] * 2 + [
        {**body, "idempotency_key": f"b-{ada.id}", "priority": "low"}
    ]
    one, two, three = client.post("/v1/notifications/batch", {"notifications": batch})["results"]
    assert one["id"] == two["id"]
    assert three["error"]["code"] == "idempotency_key_reused"
    reaches(client, one["id"], "in_app", "delivered")
    assert client.get(f"/v1/recipients/{ada.id}/inbox")["unread"] == 2


def test_a_dry_run_says_what_then_happens(client: Client) -> None:
    ada = person(client, preferences={"channels": {"sms": False}})
    client.put(f"/v1/suppressions/{ada.email}", {"reason": "operator"})
    body = {"user_id": ada.id, "type": "order", "data": DATA}
    foretold = client.ask("POST", "/v1/notifications", {**body, "dry_run": True})
    assert foretold.status == 200
    plan = foretold.json
    assert client.get(f"/v1/notifications?user_id={ada.id}")["notifications"] == []
    identifier = client.send(ada.id, "order", data=DATA)
    wait_until(lambda: client.story(identifier)["decision"])
    story = client.story(identifier)
    assert plan["state"] == story["state"] == "planned"
    assert plan["reasons"] == story["decision"]["reasons"]
    assert [(d["channel"], d["contact"], d["reason"]) for d in plan["deliveries"]] == [
        (d["channel"], d["contact"], d["chosen"]) for d in story["deliveries"]
    ]
    push = of(plan, "push")["message"]
    assert (push["title"], push["body"]) == ("Hello Ada", "Number 7")
    assert {reason["code"] for reason in plan["reasons"]} == {"suppressed:address", "suppressed:channel_off"}


def test_what_an_operator_suppresses_and_lifts_is_obeyed(house: House, client: Client) -> None:
    ada = person(client)
    client.put(f"/v1/suppressions/{ada.email}", {"reason": "operator", "detail": "asked by phone"})
    identifier = client.send(ada.id, "order", data=DATA, channels=["email"])
    wait_until(lambda: client.story(identifier)["state"] == "suppressed")
    client.delete(f"/v1/suppressions/{ada.email}")
    again = client.send(ada.id, "order", data=DATA, channels=["email"])
    reaches(client, again, "email", "delivered")


def test_a_forced_breaker_holds_everything_until_it_is_reset(house: House, client: Client) -> None:
    world = house.world
    assert world is not None
    ada = person(client)
    house.force("fcm", "open")
    held = client.send(ada.id, "order", data=DATA, channels=["push"])
    waits_for(client, held, "push", "waiting:outage")
    client.post("/v1/breakers/fcm/reset")
    reaches(client, held, "push", "delivered")

    house.force("fcm", "close")
    world.dial("fcm", errors={"internal": 1})
    failing = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(4)]
    letters = [reaches(client, identifier, "push", "dead_lettered")["id"] for identifier in failing]
    (row,) = [row for row in client.get("/v1/breakers")["breakers"] if row["provider"] == "fcm"]
    assert (row["state"], row["forced"]) == ("closed", "closed")
    assert client.post("/v1/dead-letters/discard", {"ids": letters, "why": "a drill"})["done"] == 4
    assert of(client.story(failing[0]), "push")["reason"]["code"] == "cancelled:discarded"
    house.balances()


def test_two_tenants_see_nothing_of_one_another(house: House, client: Client) -> None:
    made = house.cli_json("keys", "create", "--tenant", "other", "--scope", "send", "--scope", "read",
                          "--scope", "manage", "--scope", "operate")  # fmt: skip
    other = house.client(made["key"])
    ada = person(client)
    mine = client.send(ada.id, "order", data=DATA, channels=["in_app"])
    reaches(client, mine, "in_app", "delivered")
    assert other.ask("GET", f"/v1/notifications/{mine}").status == 404
    assert other.ask("POST", f"/v1/notifications/{mine}/cancel", {}).status == 404
    assert other.ask("GET", f"/v1/recipients/{ada.id}").status == 404
    assert other.ask("GET", "/v1/types/order").status == 404
    assert other.get("/v1/notifications")["notifications"] == []
    refused = other.ask("POST", "/v1/notifications", {"user_id": ada.id, "type": "order"})
    assert refused.status == 422
    assert set(refused.codes.values()) == {"unknown_recipient", "unknown_type"}
    client.put(f"/v1/suppressions/{ada.email}", {"reason": "operator"})
    assert other.ask("GET", f"/v1/suppressions/{ada.email}").status == 404
