"""Sending to the inbox: acceptance is arrival, and a repeat finds its item there already."""

from collections.abc import Sequence
from typing import Final

from bellhouse.domain.attempt import Accepted, Permanent, Retry
from bellhouse.domain.content import InAppContent
from bellhouse.domain.ids import RecipientNo
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Message, Report, Sheet
from bellhouse.ports.store.deliver import DeliverStore, InboxItem
from bellhouse.ports.store.errors import StoreUnavailable

_ACCEPTED: Final = Accepted(delivered=True, code="stored")
_SHEET: Final = Sheet(name="in_app", channels=("in_app",), batch=200, price=0.0)


class InAppProvider:
    """The inbox of every recipient."""

    def __init__(self, store: DeliverStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @property
    def sheet(self) -> Sheet:
        return _SHEET

    def check(self, message: Message) -> Permanent | None:
        """Only in-app content has a place in the inbox."""
        if isinstance(message.content, InAppContent):
            return None
        return Permanent("not in-app content", "content")

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """Store all items of the batch in one transaction."""
        began = self._clock.monotonic()
        now = self._clock.now()
        try:
            await self._store.put_inbox([_item(message, now) for message in batch])
        except StoreUnavailable as down:
            for index in range(len(batch)):
                report(index, Retry(down.remedy, down.reason), 0.0)
            return
        seconds = self._clock.monotonic() - began
        for index in range(len(batch)):
            report(index, _ACCEPTED, seconds)

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""


def _item(message: Message, now: int) -> InboxItem:
    content = message.content
    assert isinstance(content, InAppContent)
    return InboxItem(
        RecipientNo(message.recipient),
        message.delivery_id,
        message.type,
        content.title,
        content.body,
        now,
        content.link,
        expires_at=now + message.ttl_s * 1000,
    )
