"""Recipients, their preferences, suppressed addresses and inboxes."""

from collections.abc import Sequence

import msgspec

from bellhouse.adapters.store.codec import decode_inbox, decode_preferences, decode_profile, encode
from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.deliver import suppress
from bellhouse.adapters.store.unseen import unseen_of
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.recipient import Profile
from bellhouse.domain.words import Channel
from bellhouse.ports.store.deliver import InboxItem, Suppression
from bellhouse.ports.store.recipients import Unseen

_FIND = "SELECT recipient, profile FROM recipients WHERE tenant = ? AND user_id = ?"


class SqliteRecipients:
    """The RecipientStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_recipient(self, tenant: TenantNo, profile: Profile, now: int) -> bool:
        return await self.put_recipients(tenant, [profile], now) == 1

    async def put_recipients(self, tenant: TenantNo, profiles: Sequence[Profile], now: int) -> int:
        with self._database.write() as transaction:
            return sum(_put(transaction, tenant, profile, now) for profile in profiles)

    async def get_recipient(self, tenant: TenantNo, user_id: str) -> tuple[RecipientNo, Profile] | None:
        rows = self._database.rows(_FIND, (tenant, user_id))
        return (rows[0][0], decode_profile(rows[0][1])) if rows else None

    async def delete_recipient(self, tenant: TenantNo, user_id: str) -> bool:
        with self._database.write() as transaction:
            rows = transaction.run(
                "DELETE FROM recipients WHERE tenant = ? AND user_id = ? RETURNING recipient", (tenant, user_id)
            ).fetchall()
            transaction.many("DELETE FROM inbox WHERE recipient = ?", rows)
            transaction.many("DELETE FROM collapse_keys WHERE recipient = ?", rows)
            # Whoever keeps recipients' numbers in memory forgets them.
            transaction.run("INSERT INTO changes (kind, tenant, name) VALUES ('recipient', ?, ?)", (tenant, user_id))
        return bool(rows)

    async def update_preferences(self, tenant: TenantNo, user_id: str, preferences: bytes, now: int) -> bool:
        chosen = decode_preferences(preferences)
        with self._database.write() as transaction:
            rows = transaction.run(_FIND, (tenant, user_id)).fetchall()
            if rows:
                profile = msgspec.structs.replace(decode_profile(rows[0][1]), preferences=chosen)
                _update(transaction, rows[0][0], profile, now)
        return bool(rows)

    async def retire_unseen(
        self, channel: Channel, before: int, tenant: TenantNo | None, after: RecipientNo, limit: int, dry_run: bool
    ) -> Unseen:
        mine, bindings = (
            ("", (after, before, limit)) if tenant is None else (" AND tenant = ?", (after, before, tenant, limit))
        )
        sql = (
            "SELECT recipient, profile FROM recipients WHERE recipient > ? AND updated_at < ?"
            f"{mine} ORDER BY recipient LIMIT ?"
        )
        if dry_run:
            return unseen_of(self._database.rows(sql, bindings), channel, after)[0]
        with self._database.write() as transaction:
            found, changed = unseen_of(transaction.run(sql, bindings).fetchall(), channel, after)
            transaction.many(
                "UPDATE recipients SET profile = ? WHERE recipient = ?",
                [(record, recipient) for recipient, record in changed.items()],
            )
        return found

    async def put_suppression(self, suppression: Suppression) -> None:
        with self._database.write() as transaction:
            suppress(transaction, [suppression])

    async def get_suppression(self, tenant: TenantNo, address: str) -> Suppression | None:
        rows = self._database.rows(
            "SELECT tenant, address, reason, at, detail FROM suppressions WHERE tenant = ? AND address = ?",
            (tenant, address),
        )
        return Suppression(*rows[0]) if rows else None

    async def delete_suppression(self, tenant: TenantNo, address: str) -> bool:
        with self._database.write() as transaction:
            transaction.run("DELETE FROM suppressions WHERE tenant = ? AND address = ?", (tenant, address))
            return transaction.changes() > 0

    async def inbox(
        self, tenant: TenantNo, user_id: str, before: DeliveryId | None, limit: int, unread_only: bool, now: int
    ) -> tuple[Sequence[InboxItem], int] | None:
        found = self._database.rows(_FIND, (tenant, user_id))
        if not found:
            return None
        recipient = found[0][0]
        rows = self._database.rows(
            "SELECT record, read_at FROM inbox WHERE recipient = ? AND id < ? AND (expires_at = 0 OR expires_at > ?)"
            " AND (read_at = 0 OR NOT ?) ORDER BY id DESC LIMIT ?",
            (recipient, before or b"\xff" * 16, now, unread_only, limit),
        )
        unread = self._database.rows(
            "SELECT count(*) FROM inbox WHERE recipient = ? AND read_at = 0 AND (expires_at = 0 OR expires_at > ?)",
            (recipient, now),
        )[0][0]
        return [msgspec.structs.replace(decode_inbox(record), read_at=read_at) for record, read_at in rows], unread

    async def mark_read(
        self, tenant: TenantNo, user_id: str, deliveries: Sequence[DeliveryId], read: bool, now: int
    ) -> int | None:
        with self._database.write() as transaction:
            found = transaction.run(_FIND, (tenant, user_id)).fetchall()
            if not found:
                return None
            rows = transaction.many(
                "UPDATE inbox SET read_at = ? WHERE recipient = ? AND id = ? AND (read_at = 0) = ? RETURNING 1",
                [(now if read else 0, found[0][0], identifier, read) for identifier in deliveries],
            ).fetchall()
        return len(rows)


def _put(transaction: Transaction, tenant: TenantNo, profile: Profile, now: int) -> bool:
    rows = transaction.run(_FIND, (tenant, profile.user_id)).fetchall()
    if rows:
        kept = msgspec.structs.replace(profile, preferences=decode_profile(rows[0][1]).preferences)
        _update(transaction, rows[0][0], kept, now)
        return False
    transaction.run(
        "INSERT INTO recipients (tenant, user_id, profile, updated_at) VALUES (?, ?, ?, ?)",
        (tenant, profile.user_id, encode(profile), now),
    )
    return True


def _update(transaction: Transaction, recipient: RecipientNo, profile: Profile, now: int) -> None:
    transaction.run(
        "UPDATE recipients SET profile = ?, updated_at = ? WHERE recipient = ?", (encode(profile), now, recipient)
    )
