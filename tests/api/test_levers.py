"""Levers over HTTP: pulled and let go, tried, recorded, and told in a notification's story."""

from typing import Any

import pytest

from bellhouse.domain.ids import to_text
from tests.api.face import ASKED, Face
from tests.api.test_reading import _planned

PAUSE = "/v1/levers/pause"
RESUME = "/v1/levers/resume"


async def _pulled(face: Face) -> list[tuple[str, str, str]]:
    levers = (await face.call("GET", "/v1/levers")).json["levers"]
    return [(lever["kind"], lever["scope"], lever["value"]) for lever in levers]


async def _acts(face: Face) -> list[tuple[str, str, str, str]]:
    acts = (await face.call("GET", "/v1/audit")).json["acts"]
    return [(act["act"], act["scope"], act["before"], act["after"]) for act in acts]


async def test_a_pause_is_pulled_once_and_let_go_once_and_both_are_recorded(face: Face) -> None:
    body = {"channel": "sms", "priority": "low", "why": "a bad link"}
    outcomes = [(await face.call("POST", path, body)).json["outcome"] for path in (PAUSE, PAUSE)]
    assert outcomes == ["changed", "unchanged"]
    [lever] = (await face.call("GET", "/v1/levers")).json["levers"]
    assert (lever["scope"], lever["why"], lever["until"]) == ("channel=sms, priority=low", "a bad link", None)
    outcomes = [(await face.call("POST", path, body)).json["outcome"] for path in (RESUME, RESUME)]
    assert outcomes == ["changed", "unchanged"]
    assert await _pulled(face) == []
    scope = "channel=sms, priority=low"
    assert await _acts(face) == [("resume", scope, "paused", ""), ("pause", scope, "", "paused")]
    acts = (await face.call("GET", "/v1/audit")).json["acts"]
    assert {(act["by"], act["why"]) for act in acts} == {(lever["by"], "a bad link")}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PAUSE, {"all": True}),
        ("/v1/levers/prefer", {"provider": "fcm"}),
        ("/v1/levers/rate", {"provider": "fcm", "rate": 5}),
    ],
)
async def test_what_is_only_tried_says_what_would_change_and_changes_nothing(
    face: Face, path: str, body: dict[str, Any]
) -> None:
    answer = (await face.call("POST", path, body | {"dry_run": True})).json
    assert (answer["outcome"], answer["dry_run"]) == ("changed", True)
    assert [change["changed"] for change in answer["changes"]] == [True]
    assert await _pulled(face) == []
    assert await _acts(face) == []


async def test_a_pause_of_nothing_or_of_everything_and_something_is_refused(face: Face) -> None:
    assert (await face.call("POST", PAUSE, {})).faults == {"all": "mismatch"}
    assert (await face.call("POST", PAUSE, {"all": True, "channel": "sms"})).faults == {"all": "mismatch"}


@pytest.mark.parametrize(
    ("field", "code"), [("tenant", "not_allowed"), ("type", "unknown_type"), ("template", "unknown_template")]
)
async def test_a_misspelt_name_is_refused_since_it_would_hold_nothing(face: Face, field: str, code: str) -> None:
    assert (await face.call("POST", PAUSE, {field: "ordr"})).faults == {field: code}


async def test_pausing_what_people_wait_for_is_lawful_and_warned_of(face: Face) -> None:
    critical = (await face.call("POST", PAUSE, {"all": True, "why": "x"})).json["warnings"]
    assert [warning for warning in critical if "critical" in warning]
    low = (await face.call("POST", PAUSE, {"priority": "low", "why": "x"})).json["warnings"]
    assert low == []


async def test_an_act_without_a_reason_is_done_and_warned_of(face: Face) -> None:
    answer = (await face.call("POST", PAUSE, {"priority": "low"})).json
    assert (answer["outcome"], len(answer["warnings"])) == ("changed", 1)


async def test_resuming_names_the_pauses_that_go_on(face: Face) -> None:
    for body in ({"all": True}, {"channel": "sms"}, {"channel": "sms", "priority": "low"}):
        await face.call("POST", PAUSE, body)
    warnings = (await face.call("POST", RESUME, {"channel": "sms", "why": "x"})).json["warnings"]
    assert warnings == ["Still held by the wider pause of platform.", "The pause of channel=sms, priority=low goes on."]


async def test_a_lever_goes_back_by_itself_and_can_be_pulled_again(face: Face) -> None:
    body = {"channel": "sms", "for_s": 60}
    await face.call("POST", PAUSE, body)
    await face.clock.advance(61)
    assert await _pulled(face) == []
    assert (await face.call("POST", PAUSE, body)).json["outcome"] == "changed"
    assert await _pulled(face) == [("pause", "channel=sms", "")]


async def test_a_provider_is_preferred_on_the_channels_that_it_serves(face: Face) -> None:
    assert (await face.call("POST", "/v1/levers/prefer", {"provider": "twilio"})).json["outcome"] == "changed"
    assert await _pulled(face) == [("prefer", "sms", "twilio")]
    wrong = {"provider": "twilio", "channel": "push"}
    assert (await face.call("POST", "/v1/levers/prefer", wrong)).faults == {"channel": "not_allowed"}
    assert (await face.call("POST", "/v1/levers/prefer", {"provider": "x"})).faults == {"provider": "not_allowed"}
    assert (await face.call("POST", "/v1/levers/prefer", {})).faults == {"channel": "required"}
    assert (await face.call("POST", "/v1/levers/prefer", {"channel": "sms"})).json["outcome"] == "changed"
    assert await _pulled(face) == []


async def test_a_rate_is_set_and_reset(face: Face) -> None:
    for rate, outcome in ((50, "changed"), (50.0, "unchanged"), (2.5, "changed"), (None, "changed")):
        body = {"provider": "twilio", "rate": rate}
        assert (await face.call("POST", "/v1/levers/rate", body)).json["outcome"] == outcome
    assert [act for act, *_ in await _acts(face)] == ["rate_reset", "rate_set", "rate_set"]
    assert (await face.call("POST", "/v1/levers/rate", {"provider": "twilio", "rate": 0})).faults == {
        "rate": "too_small"
    }


async def test_forcing_a_breaker_is_recorded_once_and_only_where_it_changes_something(face: Face) -> None:
    tried = (await face.call("POST", "/v1/breakers/fcm/open?dry_run=true")).json
    assert (tried["outcome"], tried["breakers"][0]["forced"]) == ("changed", "open")
    for outcome in ("changed", "unchanged"):
        assert (await face.call("POST", "/v1/breakers/fcm/open?why=slow")).json["outcome"] == outcome
    assert await _acts(face) == [("breaker_open", "fcm", "push closed", "push open (forced)")]


async def test_acts_are_paged_and_found_by_kind_and_moment(face: Face) -> None:
    for path, body in ((PAUSE, {"channel": "sms"}), (RESUME, {"channel": "sms"}), (PAUSE, {"channel": "email"})):
        await face.call("POST", path, body)
        await face.clock.advance(60)
    page = (await face.call("GET", "/v1/audit?limit=2")).json
    rest = (await face.call("GET", f"/v1/audit?limit=2&cursor={page['next']}")).json
    assert [act["act"] for act in (*page["acts"], *rest["acts"])] == ["pause", "resume", "pause"]
    assert rest["next"] is None
    assert len((await face.call("GET", "/v1/audit?act=pause")).json["acts"]) == 2
    since = page["acts"][0]["at"]
    assert len((await face.call("GET", f"/v1/audit?since={since}")).json["acts"]) == 1
    assert (await face.call("GET", "/v1/audit?cursor=x")).problem.code == "invalid_cursor"
    assert (await face.call("GET", "/v1/audit?act=x")).faults == {"act": "not_allowed"}


async def test_the_story_of_what_waits_says_that_it_is_paused_by_whom_and_why(face: Face) -> None:
    note, _ = await _planned(face)
    answer = await face.call("POST", PAUSE, {"type": ASKED["type"], "why": "a bad link"})
    assert answer.status == 200, answer.body
    story = (await face.call("GET", f"/v1/notifications/{to_text(note.id)}/why")).json["sentences"]
    assert any("has paused it" in line and f"type={ASKED['type']}" in line and "a bad link" in line for line in story)
    await face.call("POST", RESUME, {"type": ASKED["type"]})
    story = (await face.call("GET", f"/v1/notifications/{to_text(note.id)}/why")).json["sentences"]
    assert not any("paused" in line for line in story)


async def test_a_campaign_is_paused_and_resumed_by_its_name_and_its_story_says_so(face: Face) -> None:
    mine, _ = await _planned(face, campaign="spring-sale")
    other, _ = await _planned(face)
    answer = (await face.call("POST", PAUSE, {"campaign": "spring-sale", "why": "a wrong price"})).json
    assert [warning for warning in answer["warnings"] if "misspelt" in warning and "'spring-sale'" in warning]
    assert not any("critical" in warning for warning in answer["warnings"])
    assert await _pulled(face) == [("pause", "campaign=spring-sale", "")]
    told = [
        (await face.call("GET", f"/v1/notifications/{to_text(note.id)}/why")).json["sentences"]
        for note in (mine, other)
    ]
    assert told[0][0] == "It belongs to the campaign spring-sale."
    assert any("campaign=spring-sale has been paused since" in line and "a wrong price" in line for line in told[0])
    assert not any("paused" in line or "campaign" in line for line in told[1])
    assert (await face.call("POST", RESUME, {"campaign": "spring"})).json["outcome"] == "unchanged"
    assert (await face.call("POST", RESUME, {"campaign": "spring-sale"})).json["outcome"] == "changed"
    assert await _pulled(face) == []
    assert [act[:2] for act in await _acts(face)] == [(act, "campaign=spring-sale") for act in ("resume", "pause")]


@pytest.mark.parametrize("path", [PAUSE, RESUME])
async def test_a_campaign_that_none_can_be_is_refused(face: Face, path: str) -> None:
    assert (await face.call("POST", path, {"campaign": "spring sale"})).faults == {"campaign": "invalid_format"}
