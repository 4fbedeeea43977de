"""How records are written into the file: msgpack, one encoder and one decoder a type."""

from typing import Final

import msgspec

from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.delivery import Delivery, Detail
from bellhouse.domain.levers import Act, Lever
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.recipient import Preferences, Profile
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.store.deliver import InboxItem
from bellhouse.ports.store.providers import BreakerRow

encode: Final = msgspec.msgpack.Encoder().encode

decode_notification: Final = msgspec.msgpack.Decoder(Notification).decode
decode_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode
decode_decision: Final = msgspec.msgpack.Decoder(Decision).decode
decode_detail: Final = msgspec.msgpack.Decoder(Detail).decode
decode_profile: Final = msgspec.msgpack.Decoder(Profile).decode
decode_preferences: Final = msgspec.msgpack.Decoder(Preferences).decode
decode_type: Final = msgspec.msgpack.Decoder(NotificationType).decode
decode_template: Final = msgspec.msgpack.Decoder(Template).decode
decode_key: Final = msgspec.msgpack.Decoder(ApiKey).decode
decode_breaker: Final = msgspec.msgpack.Decoder(BreakerRow).decode
decode_lever: Final = msgspec.msgpack.Decoder(Lever).decode
decode_inbox: Final = msgspec.msgpack.Decoder(InboxItem).decode

_decode_act: Final = msgspec.msgpack.Decoder(Act).decode


def decode_act(record: bytes, number: int) -> Act:
    """An operator's act with the number that the store gave it."""
    return msgspec.structs.replace(_decode_act(record), number=number)
