"""The ledger: its running counters, and the same figures counted from the rows themselves.

The counters are moved by whoever writes; the recount never looks at them. It counts notifications, decisions, plans,
events and intents, and each state follows from those. Where the two differ, something was lost or doubled.
"""

from typing import Final

from bellhouse.adapters.store.codec import decode_notification
from bellhouse.adapters.store.counting import (
    Counters,
    Counts,
    count_deliveries,
    count_notifications,
    ledger_of,
    state_checks,
    take_off,
    total,
)
from bellhouse.adapters.store.sqlite.database import Reads, blobs
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.standing import fold_all, unpack
from bellhouse.domain.ids import TenantNo
from bellhouse.ports.log import GROUP_OF, NOTIFICATION_TOPICS
from bellhouse.ports.store.insights import Ledger, LedgerCheck

_COUNTED: Final = "SELECT level, state, sum(count) FROM ledger WHERE coalesce(?, tenant) = tenant GROUP BY 1, 2"
_AT_ONCE: Final = 1_000
_DECIDED: Final = "SELECT id FROM carray(?) AS asked CROSS JOIN decisions ON id = asked.value"
_DUE_NOTIFICATIONS: Final = "FROM due WHERE topic >= 'notifications.' AND topic < 'notifications/'"
"""Word for word the condition of the index `due_notifications`, which then answers alone."""


def read_ledger(reader: Reads, tenant: TenantNo | None, now: int, recount: bool) -> Ledger:
    """Both levels with their equations; with `recount` also counted from the rows (all tenants together)."""
    counted = {(level, state): count for level, state, count in reader.run(_COUNTED, (tenant,))}
    notifications: Counts | None = None
    deliveries: Counts | None = None
    checks = []
    if tenant is None:
        accepted = total(counted, "notification")
        stored = reader.run("SELECT value FROM meta WHERE name = 'accepted'").fetchall()[0][0]
        checks.append(LedgerCheck("accepted by the counters = answers promised at the door", accepted, stored))
        if recount:
            notifications, deliveries = _recount_notifications(reader), _recount_deliveries(reader)
            checks += _recount_checks(reader, counted, notifications, deliveries)
    return ledger_of(now, counted, checks, notifications, deliveries)


def _recount_notifications(reader: Reads) -> Counts:
    decided = dict(reader.run("SELECT state, count(*) FROM decisions GROUP BY state").fetchall())
    return count_notifications(reader.run("SELECT count(*) FROM notifications").fetchall()[0][0], decided)


def _recount_deliveries(reader: Reads) -> Counts:
    """What their rows say, and what an open intent names is in flight."""
    planned = reader.run("SELECT coalesce(sum(count), 0) FROM decisions").fetchall()[0][0]
    events = reader.run("SELECT previous, state, count(*) FROM delivery_events GROUP BY 1, 2")
    counts = count_deliveries(planned, events, _taken_up_unknowns(reader))
    named = [pair for (packed,) in reader.run("SELECT deliveries FROM intents").fetchall() for pair in unpack(packed)]
    states = fold_all(
        [identifier for identifier, _ in named],
        reader.many("SELECT id, kind, n, state, detail FROM delivery_events WHERE id = ?", [(i,) for i, _ in named]),
    )
    take_off(counts, [states[identifier] for identifier, step in named if states[identifier].steps <= step])
    return counts


def _taken_up_unknowns(reader: Reads) -> int:
    """How many attempts began from `unknown`: a step after one that ended there, made in flight."""
    return int(
        reader.run(
            "SELECT count(*) FROM delivery_events AS was JOIN delivery_events AS next ON next.id = was.id"
            " AND next.kind = 0 AND next.n = was.n + 1 WHERE was.kind = 0 AND was.state = 'unknown'"
            " AND next.previous = 'in_flight'"
        ).fetchall()[0][0]
    )


def _recount_checks(reader: Reads, counted: Counters, notifications: Counts, deliveries: Counts) -> list[LedgerCheck]:
    accepted, planned = total(counted, "notification"), total(counted, "delivery")
    rows = reader.run("SELECT count(*) FROM notifications").fetchall()[0][0]
    listed = reader.run("SELECT count(*) FROM recipient_notifications").fetchall()[0][0]
    plans = reader.run("SELECT coalesce(sum(count), 0) FROM decisions").fetchall()[0][0]
    return [
        LedgerCheck("accepted = stored notifications", accepted, rows),
        LedgerCheck("accepted = entries in recipients' lists", accepted, listed),
        LedgerCheck("planned = deliveries of stored decisions", planned, plans),
        LedgerCheck(
            "waiting to be routed = not yet read in the log + due and undecided",
            counted.get(("notification", "waiting"), 0),
            _unrouted(reader, counted.get(("notification", "waiting"), 0)),
        ),
        *state_checks(counted, notifications, deliveries),
    ]


def _unrouted(reader: Reads, counted: int) -> int:
    """Records behind the routers' positions and due notifications, less those that an operator or a caller has decided:
    cancelled ones, and those that had expired in the backlog."""
    waiting = 0
    for topic in NOTIFICATION_TOPICS:
        position = reader.run(
            "SELECT offset FROM positions WHERE topic = ? AND consumer_group = ?", (topic, GROUP_OF[topic])
        ).fetchall()[0][0]
        waiting += reader.run(f"SELECT count(*) FROM {log_table(topic)} WHERE offset > ?", (position,)).fetchall()[0][0]
    waiting += reader.run(f"SELECT count(*) {_DUE_NOTIFICATIONS}").fetchall()[0][0]
    cancelled = {row[0] for row in reader.run("SELECT id FROM decisions WHERE state = 'cancelled'")}
    if waiting == counted and not cancelled:
        # What else was decided so would make them differ, and is looked for only then.
        return int(waiting)
    due = sum(1 for (identifier,) in reader.run(f"SELECT id {_DUE_NOTIFICATIONS}") if identifier in cancelled)
    return int(waiting - due - _decided_in_log(reader))


def _decided_in_log(reader: Reads) -> int:
    """How many of the records that wait in the log are of notifications that have a decision."""
    found = 0
    for topic in NOTIFICATION_TOPICS:
        records = reader.run(
            f"SELECT record FROM {log_table(topic)} WHERE offset > (SELECT offset FROM positions"
            " WHERE topic = ? AND consumer_group = ?)",
            (topic, GROUP_OF[topic]),
        ).fetchall()
        for first in range(0, len(records), _AT_ONCE):
            asked = [decode_notification(record).id for (record,) in records[first : first + _AT_ONCE]]
            found += len(reader.run(_DECIDED, (blobs(asked),)).fetchall())
    return found
