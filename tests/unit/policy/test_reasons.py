"""The closed list of reasons is complete, and explains itself."""

from bellhouse.domain.words import DELIVERY_STATES
from bellhouse.policy.reasons import REASON_CODES, SENTENCES, label, sentence


def test_every_code_has_a_sentence_and_no_sentence_is_without_its_code() -> None:
    assert set(SENTENCES) == set(REASON_CODES)
    assert all(text.endswith(".") and text[0].isupper() for text in SENTENCES.values())
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_every_code_begins_with_what_happened() -> None:
    stems = {code.partition(":")[0] for code in REASON_CODES}
    assert stems <= {*DELIVERY_STATES, "chosen", "deferred", "suppressed"}


def test_a_strange_code_is_shown_as_it_is_and_counted_as_other() -> None:
    assert sentence("suppressed:moon") == "suppressed:moon"
    assert label("suppressed:moon") == "other"
    assert label("suppressed:address") == "suppressed:address"
