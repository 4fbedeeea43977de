"""Strict decoding: whatever is sent, every fault is named, and nothing but a Problem comes of it."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.catalogue.wire import TemplateRequest, TypeRequest
from bellhouse.ingest.wire import BatchRequest, NotificationRequest
from bellhouse.recipients.wire import PreferencesBody, RecipientsRequest
from bellhouse.web.codes import FIELD_CODES
from bellhouse.web.decode import MAX_FAULTS, decode, faults
from bellhouse.web.problems import Problem

BODIES: list[Any] = [
    NotificationRequest,
    BatchRequest,
    RecipientsRequest,
    PreferencesBody,
    TypeRequest,
    TemplateRequest,
]
NAMES = sorted({field for body in BODIES for field in body.__struct_fields__} | {"x", "en", "push", "address"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def problem_with(wanted: Any, body: bytes) -> Problem | None:
    """The problem with a body; None where it is taken."""
    try:
        decode(msgspec.json.Decoder(wanted), body)
    except Problem as problem:
        return problem
    return None


@given(st.sampled_from(BODIES), st.binary(max_size=200) | VALUES.map(msgspec.json.encode))
def test_a_body_is_decoded_or_a_problem_with_a_fault(wanted: Any, body: bytes) -> None:
    problem = problem_with(wanted, body)
    if problem is None:
        assert list(faults(body, wanted)) == []
        return
    assert problem.status in (400, 422)
    assert (problem.status == 422) == bool(problem.errors)
    assert all(fault.code in FIELD_CODES and fault.message for fault in problem.errors)


@given(st.sampled_from(BODIES), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_without_the_fields_that_were_named_only_what_is_required_is_missing(wanted: Any, body: dict[str, Any]) -> None:
    named = {fault.field.split(".")[0].split("[")[0] for fault in faults(msgspec.json.encode(body), wanted)}
    kept = {name: item for name, item in body.items() if name not in named}
    left = {fault.field: fault.code for fault in faults(msgspec.json.encode(kept), wanted)}
    required = {field.encode_name for field in msgspec.structs.fields(wanted) if field.required}
    assert set(left) <= required
    assert set(left.values()) <= {"required"}


def test_the_number_of_faults_is_bounded() -> None:
    body = msgspec.json.encode({"notifications": [{}] * 1_000})
    assert len(list(faults(body, BatchRequest))) == MAX_FAULTS


def test_a_duplicate_field_whose_first_value_is_wrong_is_a_fault() -> None:
    problem = problem_with(NotificationRequest, b'{"user_id":3,"user_id":"u","type":"t"}')
    assert problem is not None
    assert problem.code == "validation_failed"
