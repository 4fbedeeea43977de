"""What may be revoked between the decision and the sending."""

import pytest

from bellhouse.domain.recipient import Choice, ConsentProof, Preferences, QuietHours
from bellhouse.policy.decide import IN_APP
from bellhouse.policy.recheck import recheck, state_after
from tests.unit.policy.facts import HOUR, MAIL, MOBILE, NOON, delivery, kind, notification, profile

NIGHT = Preferences(quiet_hours=QuietHours(start="22:00", end="08:00"))
MIDNIGHT = NOON + 12 * HOUR


def test_nothing_revoked_gives_the_contact_point() -> None:
    assert recheck(delivery(), notification(), kind(), profile(), (), NOON) == (MAIL, None, 0)


def test_the_inbox_needs_no_contact_point_and_is_never_disturbed() -> None:
    inbox = delivery(IN_APP)
    assert recheck(inbox, notification(), kind(), profile(preferences=NIGHT), (), MIDNIGHT) == (IN_APP, None, 0)


def test_it_is_not_sent_after_its_lifetime() -> None:
    short = delivery(expires_at=NOON)
    assert recheck(short, notification(), kind(), profile(), (), NOON)[1] is None
    assert recheck(short, notification(), kind(), profile(), (), NOON + 1) == (None, "expired:lifetime", 0)


def test_a_deleted_recipient_or_contact_point_stops_it() -> None:
    assert recheck(delivery(), notification(), kind(), None, (), NOON)[1] == "suppressed:recipient_deleted"
    assert recheck(delivery(), notification(), kind(), profile(MOBILE), (), NOON)[1] == "suppressed:no_contact_point"


@pytest.mark.parametrize("category", ["security", "product"])
def test_a_stopped_address_stops_every_category(category: str) -> None:
    answer = recheck(delivery(), notification(), kind(category), profile(), {MAIL.address}, NOON)
    assert answer == (None, "suppressed:address", 0)


def test_a_revoked_preference_or_consent_stops_it_but_not_security() -> None:
    off = profile(
        preferences=Preferences(
            types={"order_shipped": Choice(enabled=False)}, consent={"marketing": ConsentProof(given=False)}
        )
    )
    assert recheck(delivery(), notification(), kind(), off, (), NOON)[1] == "suppressed:type_off"
    assert recheck(delivery(), notification(), kind("marketing"), off, (), NOON)[1] == "suppressed:unsubscribed"
    assert recheck(delivery(), notification(), kind("security"), off, (), NOON)[0] == MAIL


def test_within_quiet_hours_it_waits_drops_or_goes_as_its_type_says() -> None:
    who = profile(preferences=NIGHT)
    contact, reason, not_before = recheck(delivery(), notification(), kind(), who, (), MIDNIGHT)
    assert (contact, reason) == (MAIL, "waiting:quiet_hours")
    assert MIDNIGHT + 8 * HOUR <= not_before < MIDNIGHT + 9 * HOUR
    assert (
        recheck(delivery(), notification(), kind(quiet_hours="drop"), who, (), MIDNIGHT)[1] == "suppressed:quiet_hours"
    )
    assert recheck(delivery(), notification(), kind(quiet_hours="ignore"), who, (), MIDNIGHT) == (MAIL, None, 0)
    assert recheck(delivery(), notification(), kind("security"), who, (), MIDNIGHT) == (MAIL, None, 0)


def test_when_its_deferral_is_over_it_goes() -> None:
    who = profile(preferences=NIGHT)
    not_before = recheck(delivery(), notification(), kind(), who, (), MIDNIGHT)[2]
    assert recheck(delivery(), notification(), kind(), who, (), not_before) == (MAIL, None, 0)


def test_each_answer_has_its_state() -> None:
    assert state_after("expired:lifetime") == "expired"
    assert state_after("waiting:quiet_hours") == "waiting"
    assert state_after("suppressed:address") == "cancelled"
