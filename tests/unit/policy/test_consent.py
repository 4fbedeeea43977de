"""Whose word goes first where a recipient's choices differ."""

from typing import Any

import pytest

from bellhouse.domain.recipient import Choice, ConsentProof, Preferences
from bellhouse.policy.consent import refusal
from bellhouse.policy.unknown import after_unknown
from tests.unit.policy.facts import kind

OFF, ON = Choice(enabled=False), Choice(enabled=True)
NO_MAIL, YES_MAIL = Choice(channels={"email": False}), Choice(channels={"email": True})
ME = "order_shipped"


@pytest.mark.parametrize(
    ("chosen", "answer"),
    [
        ({}, None),
        ({"channels": {"email": False}}, "suppressed:channel_off"),
        ({"channels": {"push": False}}, None),
        ({"channels": {"email": True}}, None),
        ({"categories": {"product": OFF}}, "suppressed:category_off"),
        ({"categories": {"marketing": OFF}}, None),
        ({"categories": {"product": NO_MAIL}}, "suppressed:category_off"),
        ({"types": {ME: OFF}}, "suppressed:type_off"),
        ({"types": {"other": OFF}}, None),
        ({"types": {ME: NO_MAIL}}, "suppressed:type_off"),
        ({"types": {ME: ON}, "categories": {"product": OFF}}, None),
        ({"types": {ME: ON}, "categories": {"product": NO_MAIL}}, "suppressed:category_off"),
        ({"types": {ME: ON}, "channels": {"email": False}}, "suppressed:channel_off"),
        ({"types": {ME: YES_MAIL}, "channels": {"email": False}}, None),
        ({"types": {ME: YES_MAIL}, "categories": {"product": OFF}}, None),
        ({"categories": {"product": YES_MAIL}, "channels": {"email": False}}, None),
        ({"types": {ME: Choice(enabled=False, channels={"email": True})}}, "suppressed:type_off"),
        ({"consent": {"product": ConsentProof(given=False)}}, "suppressed:unsubscribed"),
    ],
)
def test_the_more_specific_choice_wins(chosen: dict[str, Any], answer: str | None) -> None:
    assert refusal(Preferences(**chosen), kind("product"), "email") == answer


def test_consent_does_not_undo_a_preference() -> None:
    both = Preferences(consent={"marketing": ConsentProof(given=True)}, categories={"marketing": OFF})
    assert refusal(both, kind("marketing"), "email") == "suppressed:category_off"


@pytest.mark.parametrize(
    ("category", "policy"),
    [("security", "retry"), ("transactional", "retry"), ("product", "keep"), ("marketing", "keep")],
)
def test_an_unknown_outcome_follows_the_category_unless_the_type_says_otherwise(category: str, policy: str) -> None:
    assert after_unknown(kind(category)) == policy
    other: Any = "keep" if policy == "retry" else "retry"
    assert after_unknown(kind(category, on_unknown=other)) == other
