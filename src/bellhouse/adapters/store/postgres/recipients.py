"""Recipients, their preferences, suppressed addresses and inboxes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.codec import decode_inbox, decode_preferences, decode_profile, encode
from bellhouse.adapters.store.postgres.database import Connection, Database, touched
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.texts import storable
from bellhouse.adapters.store.unseen import unseen_of
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.recipient import Profile
from bellhouse.domain.words import Channel
from bellhouse.ports.store.deliver import InboxItem, Retirement, Suppression
from bellhouse.ports.store.recipients import Unseen

_SQL: Final = queries("recipients")


class PostgresRecipients:
    """The RecipientStore port.

    A profile is one value, read and written whole, so whoever changes one locks its row before reading it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_recipient(self, tenant: TenantNo, profile: Profile, now: int) -> bool:
        return await self.put_recipients(tenant, [profile], now) == 1

    async def put_recipients(self, tenant: TenantNo, profiles: Sequence[Profile], now: int) -> int:
        wanted = _folded(profiles)
        created = 0
        async with self._database.transaction() as connection:
            while wanted:
                new = await _put_new(connection, tenant, wanted, now)
                created += len(new)
                there = {user_id: profile for user_id, profile in wanted.items() if user_id not in new}
                replaced = await _replace(connection, tenant, there, now)
                # Whoever was there, and was deleted before her row was locked, is put again.
                wanted = {user_id: profile for user_id, profile in there.items() if user_id not in replaced}
        return created

    async def get_recipient(self, tenant: TenantNo, user_id: str) -> tuple[RecipientNo, Profile] | None:
        row = await self._database.row(_SQL["find"], tenant, user_id)
        return (RecipientNo(row[0]), decode_profile(row[1])) if row else None

    async def delete_recipient(self, tenant: TenantNo, user_id: str) -> bool:
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forget_numbers"])
            return bool(await connection.fetch(_SQL["delete"], tenant, user_id))

    async def update_preferences(self, tenant: TenantNo, user_id: str, preferences: bytes, now: int) -> bool:
        chosen = decode_preferences(preferences)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_SQL["lock"], tenant, [user_id])
            for recipient, _, record in rows:
                profile = msgspec.structs.replace(decode_profile(record), preferences=chosen)
                await connection.execute(_SQL["replace"], [recipient], [encode(profile)], now)
        return bool(rows)

    async def retire_unseen(
        self, channel: Channel, before: int, tenant: TenantNo | None, after: RecipientNo, limit: int, dry_run: bool
    ) -> Unseen:
        values = (after, before, limit, tenant)
        if dry_run:
            return unseen_of(await self._database.rows(_SQL["unseen"], *values), channel, after)[0]
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_SQL["unseen_locked"], *values)
            found, changed = unseen_of(rows, channel, after)
            if changed:
                await connection.execute(_SQL["replace_profiles"], list(changed), list(changed.values()))
        return found

    async def put_suppression(self, suppression: Suppression) -> None:
        async with self._database.transaction() as connection:
            await suppress(connection, [suppression])

    async def get_suppression(self, tenant: TenantNo, address: str) -> Suppression | None:
        row = await self._database.row(_SQL["suppression"], tenant, storable(address))
        return Suppression(*row) if row else None

    async def delete_suppression(self, tenant: TenantNo, address: str) -> bool:
        return await self._database.run(_SQL["lift"], tenant, storable(address)) > 0

    async def inbox(
        self, tenant: TenantNo, user_id: str, before: DeliveryId | None, limit: int, unread_only: bool, now: int
    ) -> tuple[Sequence[InboxItem], int] | None:
        async with self._database.connection() as connection:
            found = await connection.fetchrow(_SQL["find"], tenant, user_id)
            if found is None:
                return None
            last = before or b"\xff" * 16
            rows = await connection.fetch(_SQL["inbox"], found[0], last, now, unread_only, limit)
            unread = await connection.fetchval(_SQL["unread"], found[0], now)
        items = [msgspec.structs.replace(decode_inbox(record), read_at=read_at) for record, read_at in rows]
        return items, int(unread)

    async def mark_read(
        self, tenant: TenantNo, user_id: str, deliveries: Sequence[DeliveryId], read: bool, now: int
    ) -> int | None:
        async with self._database.transaction() as connection:
            found = await connection.fetchrow(_SQL["find"], tenant, user_id)
            if found is None:
                return None
            read_at = now if read else 0
            return touched(await connection.execute(_SQL["mark"], read_at, found[0], list(deliveries), read))


async def suppress(connection: Connection, suppressions: Sequence[Suppression]) -> None:
    """Add addresses to the suppression list; the first reason stays."""
    if suppressions:
        await connection.execute(
            _SQL["suppress"],
            [suppression.tenant for suppression in suppressions],
            [storable(suppression.address) for suppression in suppressions],
            [suppression.reason for suppression in suppressions],
            [suppression.at for suppression in suppressions],
            [storable(suppression.detail) for suppression in suppressions],
        )


async def retire(connection: Connection, retirements: Sequence[Retirement]) -> None:
    """Take dead contact points out of their recipients' profiles."""
    if not retirements:
        return
    dead: dict[int, set[str]] = defaultdict(set)
    for retirement in retirements:
        dead[retirement.recipient].add(retirement.contact)
    changed = {}
    for recipient, record in await connection.fetch(_SQL["lock_numbers"], list(dead)):
        profile = decode_profile(record)
        kept = tuple(contact for contact in profile.contacts if contact.id not in dead[recipient])
        if len(kept) < len(profile.contacts):
            changed[recipient] = encode(msgspec.structs.replace(profile, contacts=kept))
    if changed:
        await connection.execute(_SQL["replace_profiles"], list(changed), list(changed.values()))


def _folded(profiles: Sequence[Profile]) -> dict[str, Profile]:
    """The last profile of each user, with the preferences of the first: as if they had been put one after another."""
    folded: dict[str, Profile] = {}
    for profile in profiles:
        earlier = folded.get(profile.user_id)
        folded[profile.user_id] = profile if earlier is None else _keeping_preferences(earlier, profile)
    return folded


def _keeping_preferences(there: Profile, given: Profile) -> Profile:
    return msgspec.structs.replace(given, preferences=there.preferences)


async def _put_new(connection: Connection, tenant: TenantNo, wanted: Mapping[str, Profile], now: int) -> set[str]:
    """Insert those that are not there; answers who that was."""
    records = [encode(profile) for profile in wanted.values()]
    return {row[0] for row in await connection.fetch(_SQL["put_new"], tenant, list(wanted), records, now)}


async def _replace(connection: Connection, tenant: TenantNo, there: Mapping[str, Profile], now: int) -> set[str]:
    """Replace those that are there, but for their preferences; answers who that was."""
    if not there:
        return set()
    rows = await connection.fetch(_SQL["lock"], tenant, list(there))
    records = [encode(_keeping_preferences(decode_profile(record), there[user_id])) for _, user_id, record in rows]
    await connection.execute(_SQL["replace"], [row[0] for row in rows], records, now)
    return {row[1] for row in rows}
