"""What ingest asks of the store: accept a batch, cancel one."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_decision, decode_notification, encode
from bellhouse.adapters.store.postgres.commits import MAY_COME_YET
from bellhouse.adapters.store.postgres.database import Connection, Database, Row
from bellhouse.adapters.store.postgres.due import pack
from bellhouse.adapters.store.postgres.events import InFlight, Step, insert_steps, lock_steps, states_of
from bellhouse.adapters.store.postgres.known import KnownRecipients
from bellhouse.adapters.store.postgres.ledger import columns, count
from bellhouse.adapters.store.postgres.partitions import MissingPartition, missing_partitions
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo, delivery_id
from bellhouse.domain.notification import Decision, Reason
from bellhouse.domain.words import Priority
from bellhouse.ports.doorbell import DUE, outbox_bell
from bellhouse.ports.log import notifications_topic
from bellhouse.ports.store.errors import OutcomeUnknown, StoreUnavailable
from bellhouse.ports.store.ingest import Acceptance, Accepted, AcceptResult, CancelResult, KeyReused, Repeated

KEY_LIFE_MS: Final = 86_400_000
KEY_BYTES: Final = 16
_AGAIN_S: Final = 0.05
"""How soon PostgreSQL is asked again what became of a commit."""

_SQL: Final = queries("ingest")


class PostgresIngest:
    """The store's side of the front door."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = KnownRecipients(database)

    async def known_recipients(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        return await self._known.numbers(tenant, user_ids) if user_ids else {}

    async def accept(self, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
        with contextlib.suppress(MissingPartition):
            return await self._accept(items, now)
        return await self._accept(items, now)

    async def _accept(self, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
        identifiers = [item.notification.id for item in items]
        fresh: list[Acceptance] = []
        transaction = ""
        try:
            async with missing_partitions(self._database, identifiers), self._database.transaction() as connection:
                results = await _answers(connection, items, now)
                fresh = [item for item, result in zip(items, results, strict=True) if isinstance(result, Accepted)]
                if fresh:
                    transaction = await _insert(connection, fresh, now)
        except OutcomeUnknown as cut:
            # Callers without a key would send it again and have it twice.
            if fresh and not await self._stands(fresh[0].notification.id, transaction):
                raise StoreUnavailable(cut.reason, cut.remedy) from cut
        if fresh:
            self._database.ring(
                frozenset(
                    DUE if item.notification.ready_at > now else outbox_bell(item.notification.priority)
                    for item in fresh
                )
            )
        return results

    async def _stands(self, identifier: NotificationId, transaction: str) -> bool:
        """Whether a transaction that stored this one was committed; waits for PostgreSQL for as long as for a commit.

        Raises OutcomeUnknown where it does not come back in time.
        """
        try:
            async with asyncio.timeout(self._database.config.commit_timeout_s):
                while True:
                    with contextlib.suppress(StoreUnavailable):
                        # In two statements: each sees what was committed before it, and the second what the first knew.
                        if not await self._database.value(MAY_COME_YET, transaction):
                            return bool(await self._database.value(_SQL["stands"], identifier))
                    await asyncio.sleep(_AGAIN_S)  # noqa: TID251  # the server's time, like the timeout around it
        except TimeoutError:
            remedy = "PostgreSQL went away and has not come back; service resumes by itself"
            raise OutcomeUnknown("timeout", remedy) from None

    async def forget_keys(self, now: int, limit: int) -> int:
        old = now - KEY_LIFE_MS
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["impatience"])
            rows = await connection.fetch(_SQL["old_acceptances"], old, limit)
            packed = b"".join(row[1] for row in rows)[: limit * KEY_BYTES]
            keys = [packed[i : i + KEY_BYTES] for i in range(0, len(packed), KEY_BYTES)]
            await connection.execute(_SQL["by_index"])
            await connection.execute(_SQL["forget"], keys, _first_id_after(old))
            await _close(connection, rows, len(packed))
        return len(keys)

    async def cancel(self, tenant: TenantNo, notification: NotificationId, now: int, by: str) -> CancelResult:
        async with self._database.transaction() as connection:
            record = await connection.fetchval(_SQL["notification"], notification)
            if record is None or decode_notification(record).tenant != tenant:
                return "unknown"
            decision = Decision(state="cancelled", at=now, reasons=(Reason("cancelled:by_caller", detail=by),))
            if await connection.fetchval(_SQL["decide_cancelled"], notification, encode(decision)):
                tally = Tally()
                tally.notification(tenant, notification, "waiting", "cancelled")
                await count(connection, tally)
                return "cancelled"
            return await _cancel_deliveries(connection, tenant, notification, now, by)


def _first_id_after(moment: int) -> bytes:
    """Every id that was made at `moment` (ms since the epoch) or before is less than this."""
    return (moment + 1).to_bytes(6) + bytes(10)


async def _close(connection: Connection, rows: Sequence[Row], forgotten: int) -> None:
    """Close acceptances whose keys are all forgotten; of the first `forgotten` bytes of them all, the last one may have
    some left."""
    closed = []
    for batch, keys in rows:
        if len(keys) > forgotten:
            await connection.execute(_SQL["shorten"], batch, keys[forgotten:])
            break
        forgotten -= len(keys)
        closed.append(batch)
    await connection.execute(_SQL["close_acceptances"], closed)


async def _answers(connection: Connection, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
    """Take the keys, and tell the new ones from repeats. Keys are taken in their order, so that two batches with the
    same ones wait for one another; who comes second sees what the first has committed."""
    keyed: dict[bytes, int] = {}
    results: list[AcceptResult] = [Accepted(item.notification.id) for item in items]
    for index, item in enumerate(items):
        if item.key is not None:
            keyed.setdefault(item.key, index)
    if not keyed:
        return results
    keys = sorted(keyed)
    given = [items[keyed[key]] for key in keys]
    rows = await connection.fetch(
        _SQL["hold_keys"],
        keys,
        [item.notification.id for item in given],
        [item.fingerprint for item in given],
        _first_id_after(now - KEY_LIFE_MS),
    )
    if len(rows) == len(keys) == sum(item.key is not None for item in items):
        return results
    taken = {key: (item.notification.id, item.fingerprint) for key, item in zip(keys, given, strict=True)}
    lost = sorted(set(keys) - {row[0] for row in rows})
    held = dict(taken)
    await connection.execute(_SQL["by_index"])
    held.update({key: (first, print_) for key, first, print_ in await connection.fetch(_SQL["held"], lost)})
    for index, item in enumerate(items):
        if item.key is not None and held[item.key][0] != item.notification.id:
            first, fingerprint = held[item.key]
            same = fingerprint == item.fingerprint
            results[index] = Repeated(NotificationId(first)) if same else KeyReused()
    return results


async def _insert(connection: Connection, fresh: Sequence[Acceptance], now: int) -> str:
    """Answers which transaction it was."""
    tally = Tally()
    ids, recipients, records = [], [], []
    outbox: dict[Priority, list[tuple[int, bytes]]] = defaultdict(list)
    due = []
    for item in fresh:
        notification = item.notification
        record = encode(notification)
        ids.append(notification.id)
        recipients.append(notification.recipient)
        records.append(record)
        if notification.ready_at > now:
            topic = notifications_topic(notification.priority)
            due.append((notification.ready_at, notification.id, topic, notification.recipient, record))
        else:
            outbox[notification.priority].append((notification.recipient, record))
        tally.notification(notification.tenant, notification.id, None, "waiting")
    transaction: str = await connection.fetchval(
        _SQL["accept"],
        ids,
        recipients,
        records,
        *columns(tally),
        now,
        len(fresh),
        b"".join(item.key for item in fresh if item.key is not None),
        list(outbox),
        [notifications_topic(priority) for priority in outbox],
        [len(waiting) for waiting in outbox.values()],
        [pack(waiting) for waiting in outbox.values()],
    )
    if due:
        await connection.execute(_SQL["wait"], *(list(column) for column in zip(*due, strict=True)))
    await _collapse(connection, fresh)
    return transaction


async def _collapse(connection: Connection, fresh: Sequence[Acceptance]) -> None:
    """Note the newest notification of each collapse key."""
    newest: dict[tuple[int, str], bytes] = {}
    for item in fresh:
        notification = item.notification
        if notification.collapse_key is not None:
            key = (notification.recipient, notification.collapse_key)
            newest[key] = max(notification.id, newest.get(key, b""))
    if newest:
        ordered = sorted(newest)
        await connection.execute(
            _SQL["collapse"],
            [recipient for recipient, _ in ordered],
            [key for _, key in ordered],
            [newest[each] for each in ordered],
        )


async def _cancel_deliveries(
    connection: Connection, tenant: TenantNo, notification: NotificationId, now: int, by: str
) -> CancelResult:
    """Cancel the deliveries of a decided notification that nobody is sending."""
    decision = decode_decision(await connection.fetchval(_SQL["decision"], notification))
    if decision.state == "cancelled":
        return "already_cancelled"
    planned = [delivery_id(notification, delivery.ordinal) for delivery in decision.deliveries]
    # From here on nobody notes an intent to send that does not see these cancellations (`deliver.begin`).
    await connection.execute(_SQL["lock_acts"])
    await lock_steps(connection, planned)
    sending = await InFlight.of(connection)
    states = await states_of(connection, planned)
    detail = encode(Detail(reason="cancelled:by_caller", by=by))
    tally = Tally()
    steps: list[Step] = []
    for identifier in planned:
        standing = states[identifier]
        if sending.has(identifier, standing) or standing.state not in ("waiting", "unknown"):
            continue
        steps.append((identifier, standing.steps, "cancelled", standing.state, now, "operator", detail))
        tally.delivery(tenant, identifier, standing.state, "cancelled")
    if len(await insert_steps(connection, steps)) < len(steps):
        # A worker has written what it concluded between our two looks.
        raise StoreUnavailable("busy", "try again")
    await connection.execute(_SQL["act"], [step[0] for step in steps])
    await count(connection, tally)
    if steps:
        return "cancelled"
    return "already_cancelled" if any(s.state == "cancelled" for s in states.values()) else "too_late"
