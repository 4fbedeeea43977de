"""Records of notifications between releases: old ones are read by new code, and new ones by old code."""

import msgspec

from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.testing.records import notification

_WITHOUT_CAMPAIGN = 14
"""How many fields a record had before notifications had campaigns."""

Before = msgspec.defstruct(
    "Before",
    [(name, object) for name in Notification.__struct_fields__[:_WITHOUT_CAMPAIGN]],
    array_like=True,
)


def test_a_record_from_before_campaigns_is_read_and_has_none() -> None:
    now = notification(TenantNo(1), RecipientNo(2))
    old = msgspec.msgpack.encode(list(msgspec.structs.astuple(now))[:_WITHOUT_CAMPAIGN])
    assert msgspec.msgpack.decode(old, type=Notification) == now


def test_code_from_before_campaigns_reads_a_record_that_has_one() -> None:
    now = notification(TenantNo(1), RecipientNo(2), campaign="spring-sale")
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=Before)
    assert msgspec.structs.astuple(read) == msgspec.structs.astuple(now)[:_WITHOUT_CAMPAIGN]


def test_a_campaign_survives_the_record() -> None:
    now = notification(TenantNo(1), RecipientNo(2), campaign="spring-sale")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=Notification) == now
