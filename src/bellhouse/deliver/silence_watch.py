"""Notes what providers accept, and opens and closes the breakers of silent ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.deliver.accounts import Accounts
from bellhouse.deliver.silence import Change, SilenceSettings, Watched, changes
from bellhouse.domain.words import Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Sheet
from bellhouse.ports.service import Beat
from bellhouse.ports.store.providers import BreakerStore, SignStore
from bellhouse.ports.telemetry import Lease, Logbook

TELL_S: Final = 2.0
WATCH_S: Final = 2.0


class AcceptanceTeller(Beat):
    """Writes down now and then how many messages each provider that confirms has accepted here. Service."""

    def __init__(self, accounts: Accounts, store: SignStore, clock: Clock, name: str = "acceptances") -> None:
        super().__init__(name, TELL_S, clock)
        self._accounts = accounts
        self._store = store
        self._untold: Counter[str] = Counter()
        self._looked_at = clock.now()
        self._since = 0
        """The moment after which the first of what is untold was accepted (ms)."""

    async def beat(self) -> None:
        if not self._untold:
            self._since = self._looked_at
        self._looked_at = self._clock.now()
        for account in self._accounts.each():
            if account.sheet.confirms and account.accepted:
                self._untold[account.name] += account.accepted
            account.accepted = 0
        if self._untold:
            told = dict(self._untold)
            await self._store.note_accepted(told, self._since)
            self._untold -= Counter(told)


class SilenceWatch(Beat):
    """Applies the rule of `silence` every few seconds. Service; one, by lease."""

    def __init__(
        self,
        order: Mapping[Channel, Sequence[Sheet]],
        signs: SignStore,
        breakers: BreakerStore,
        lease: Lease,
        clock: Clock,
        logbook: Logbook,
        settings: SilenceSettings | None = None,
    ) -> None:
        """`order`: the providers of each channel, in the order in which they are tried."""
        super().__init__("silence", WATCH_S, clock)
        self._order = order
        self._signs = signs
        self._breakers = breakers
        self._lease = lease
        self._logbook = logbook
        self._settings = settings or SilenceSettings()

    async def beat(self) -> None:
        if not await self._lease.held():
            return
        rows = {(row.provider, row.channel): row for row in await self._breakers.breakers()}
        signs = await self._signs.signs()
        now = self._clock.now()
        for change in changes(Watched(self._order, signs, rows), now, self._settings):
            row = change.row
            # Whoever was swifter is right; the next beat looks again.
            if await self._breakers.change_breaker(row, row.version - 1):
                self._tell(change)

    def _tell(self, change: Change) -> None:
        row = change.row
        self._logbook.breaker_changed(
            row.provider, row.channel, "closed" if row.state == "open" else "open", row.state, 0
        )
        if row.state == "open":
            why = f"it has confirmed nothing for {change.silent_ms // 1000} s, and accepts"
        elif change.silent_ms:
            why = "it is silent still, but leaving it alone would not help now"
        else:
            why = "it has confirmed again"
        self._logbook.note(
            "warning", "Silent provider", provider=row.provider, channel=row.channel, reason="silent", state=row.state,
            error=why,
        )  # fmt: skip
