"""Contact points of profiles that nobody has stored for long, whatever store they are in."""

from collections.abc import Iterable
from typing import Any

import msgspec

from bellhouse.adapters.store.codec import decode_profile, encode
from bellhouse.domain.ids import RecipientNo
from bellhouse.domain.words import Channel
from bellhouse.ports.store.recipients import Unseen


def unseen_of(rows: Iterable[Any], channel: Channel, after: RecipientNo) -> tuple[Unseen, dict[int, bytes]]:
    """What a page of rows (recipient, profile) comes to, and the profiles without those contact points."""
    looked = contacts = 0
    last = after
    changed: dict[int, bytes] = {}
    for recipient, record in rows:
        looked, last = looked + 1, RecipientNo(recipient)
        profile = decode_profile(record)
        kept = tuple(contact for contact in profile.contacts if contact.channel != channel)
        if len(kept) < len(profile.contacts):
            contacts += len(profile.contacts) - len(kept)
            changed[recipient] = encode(msgspec.structs.replace(profile, contacts=kept))
    return Unseen(looked, contacts, last), changed
