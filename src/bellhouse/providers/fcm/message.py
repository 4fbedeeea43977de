"""A delivery as an FCM v1 message: the JSON body, and what can be refused before it is sent."""

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from bellhouse.domain.attempt import Permanent
from bellhouse.domain.content import PushContent
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import Message

PAYLOAD_LIMIT = 4096
"""Bytes of all keys and values of `notification` and `data` (Firebase: "message types")."""
LONGEST_TTL_S = 2_419_200
_COLLAPSE_ID_LIMIT = 64
_OWN_BYTES = len("titlebodydelivery_idnotification_idattemptreceipt") + 36 + 36 + 5 + 24
_TOKEN_LIMIT = 4096
_URGENT = frozenset({"critical", "high"})
_WRONG_CONTENT = Permanent("FCM takes push content only", "wrong_content")
_NOT_TEXT = Permanent("a text holds a lone surrogate", "not_text")


_OWN_KEYS = frozenset({"delivery_id", "notification_id", "attempt", "receipt"})
_BODY = (
    b'{"message":{"token":%b,"notification":{"title":%b,"body":%b%b},'
    b'"data":{%b"delivery_id":"%b","notification_id":"%b00","attempt":"%d"%b},'
    b'"android":{"priority":"%b","ttl":"%ds",%b"notification":{"tag":%b}},'
    b'"apns":{"headers":{"apns-priority":"%b","apns-expiration":"%d","apns-collapse-id":%b}}}}'
)
"""The body as pieces of JSON: half the cost of building and encoding the nested objects it stands for."""

_escaped: Callable[[object], bytes] = msgspec.json.Encoder().encode


def body_encoder(receipt: Callable[[bytes, int], str] | None) -> Callable[[Message, int], bytes | Permanent]:
    """A function that encodes a message's body, given the moment in epoch seconds; Permanent where none can be made.

    `receipt` makes the token that the device app hands back.
    """

    def body_of(message: Message, now_s: int) -> bytes | Permanent:
        content = message.content
        if not isinstance(content, PushContent):
            return _WRONG_CONTENT
        try:
            return _body(message, content, now_s, receipt)
        except UnicodeEncodeError:
            return _NOT_TEXT

    return body_of


def _body(message: Message, content: PushContent, now_s: int, receipt: Callable[[bytes, int], str] | None) -> bytes:
    delivery = to_text(message.delivery_id).encode("ascii")
    ttl_s = min(max(message.ttl_s, 0), LONGEST_TTL_S)
    urgent = message.priority in _URGENT
    collapse = message.collapse_key
    # The tag is the same for every attempt of a delivery, so that a repeat replaces itself on the screen.
    tag = b'"%b"' % delivery if collapse is None else _escaped(collapse)
    return _BODY % (
        _escaped(message.address),
        _escaped(content.title),
        _escaped(content.body),
        b"" if content.image is None else b',"image":' + _escaped(content.image),
        b"" if content.link is None and not message.data else _extra(content, message.data),
        delivery,
        delivery[:-2],  # a notification's id is its delivery's with a last byte of zero
        message.attempt,
        b"" if receipt is None else b',"receipt":"%b"' % receipt(message.delivery_id, message.attempt).encode("ascii"),
        b"high" if urgent else b"normal",
        ttl_s,
        b"" if collapse is None else b'"collapse_key":%b,' % tag,
        tag,
        b"10" if urgent else b"5",
        now_s + ttl_s if ttl_s else 0,
        tag if collapse is None else _escaped(_collapse_id(collapse)),
    )


def refusal(message: Message) -> Permanent | None:
    """Why FCM would never take this message, or None."""
    content = message.content
    if not isinstance(content, PushContent):
        return _WRONG_CONTENT
    address = message.address
    if not 0 < len(address) <= _TOKEN_LIMIT or not address.isascii() or not address.isprintable() or " " in address:
        return Permanent("not a registration token", "bad_address")
    for key in message.data:
        if key == "from" or key.startswith(("gcm", "google")):
            return Permanent(f"FCM reserves the data key {key[:40]!r}", "reserved_key")
    return _too_large(message, content)


def _too_large(message: Message, content: PushContent) -> Permanent | None:
    texts = [content.title, content.body, content.image or "", content.link or ""]
    for key, value in message.data.items():
        texts += (key, value)
    size = _OWN_BYTES + 9 * 2
    if size + 4 * sum(map(len, texts)) <= PAYLOAD_LIMIT:  # no UTF-8 character has more than four bytes
        return None
    size += sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size <= PAYLOAD_LIMIT:
        return None
    return Permanent(f"the payload has {size} bytes of at most {PAYLOAD_LIMIT}", "too_large")


def _extra(content: PushContent, data: Mapping[str, str]) -> bytes:
    """The caller's data and the link, to stand before our own keys, which nobody may forge."""
    extra = {} if content.link is None else {"link": content.link}
    extra.update((key, value) for key, value in data.items() if key not in _OWN_KEYS)
    return _escaped(extra)[1:-1] + b"," if extra else b""


def _collapse_id(tag: str) -> str:
    """The tag, or a digest of it where it is longer than APNs takes or is not plain ASCII."""
    if len(tag) <= _COLLAPSE_ID_LIMIT and tag.isascii():
        return tag
    return hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
