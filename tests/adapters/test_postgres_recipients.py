"""Recipients on PostgreSQL lose no change, whoever changes them side by side, and are known where they exist."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from tests.postgres_room import WatchedDatabase, until_waiting, watched

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.postgres.known import KnownRecipients
from bellhouse.adapters.store.postgres.recipients import PostgresRecipients, retire, suppress
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.recipient import Preferences, Profile
from bellhouse.ports.store.deliver import InboxItem, Retirement, Suppression
from bellhouse.testing.records import HOUR, NOON, profile

TENANT = TenantNo(1)
OTHER = TenantNo(2)
NO_PUSH = Preferences(channels={"push": False})


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[WatchedDatabase]:
    async with watched(database_url) as database:
        yield database


@pytest.fixture
def recipients(database: WatchedDatabase) -> PostgresRecipients:
    return PostgresRecipients(database)


async def found(recipients: PostgresRecipients, user_id: str = "u0") -> tuple[RecipientNo, Profile]:
    there = await recipients.get_recipient(TENANT, user_id)
    assert there is not None
    return there


def in_french(profiles: Sequence[Profile]) -> list[Profile]:
    return [msgspec.structs.replace(profile, locale="fr") for profile in profiles]


async def test_500_are_put_in_as_many_statements_as_two(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    counts = []
    for size in (4, 2, 500):  # at the first, the driver asks for the types of what it is given
        profiles = [profile(f"{size}-{i}") for i in range(size)]
        assert await recipients.put_recipients(TENANT, profiles[: size // 2], NOON) == size // 2
        database.statements.clear()
        assert await recipients.put_recipients(TENANT, profiles, NOON) == size - size // 2
        counts.append(len(database.statements))
    assert counts[1] == counts[2] <= 5


async def test_a_put_replaces_everything_but_preferences(recipients: PostgresRecipients) -> None:
    people = [profile("u0"), profile("u1")]
    await recipients.put_recipients(TENANT, people, NOON)
    number, _ = await found(recipients)
    assert await recipients.update_preferences(TENANT, "u0", encode(NO_PUSH), NOON)
    assert not await recipients.update_preferences(TENANT, "nobody", encode(NO_PUSH), NOON)
    assert await recipients.put_recipients(TENANT, [*in_french(people), profile("u2")], NOON + 1) == 1
    assert await found(recipients) == (number, msgspec.structs.replace(people[0], locale="fr", preferences=NO_PUSH))


async def test_one_that_is_named_twice_is_put_twice(recipients: PostgresRecipients) -> None:
    first = msgspec.structs.replace(profile("u0"), preferences=NO_PUSH)
    (second,) = in_french([profile("u0")])
    assert await recipients.put_recipients(TENANT, [first, second], NOON) == 1
    assert (await found(recipients))[1] == msgspec.structs.replace(second, preferences=NO_PUSH)


async def test_a_put_beside_a_change_of_preferences_loses_neither(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    people = [profile(f"u{i}") for i in range(3)]
    await recipients.put_recipients(TENANT, people, NOON)
    async with database.transaction() as connection:
        # Somebody has just changed her preferences, and has not committed yet.
        changed = encode(msgspec.structs.replace(people[1], preferences=NO_PUSH))
        await connection.execute("UPDATE recipients SET profile = $1 WHERE user_id = 'u1'", changed)
        putting = asyncio.create_task(recipients.put_recipients(TENANT, in_french(people), NOON))
        await until_waiting(database)
    assert await putting == 0
    _, there = await found(recipients, "u1")
    assert (there.locale, there.preferences) == ("fr", NO_PUSH)


async def test_a_change_of_preferences_beside_a_put_loses_neither(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    await recipients.put_recipient(TENANT, profile("u0"), NOON)
    async with database.transaction() as connection:
        (french,) = in_french([profile("u0")])
        await connection.execute("UPDATE recipients SET profile = $1", encode(french))
        changing = asyncio.create_task(recipients.update_preferences(TENANT, "u0", encode(NO_PUSH), NOON))
        await until_waiting(database)
    assert await changing
    _, there = await found(recipients)
    assert (there.locale, there.preferences) == ("fr", NO_PUSH)


async def test_one_that_is_deleted_while_she_is_put_is_there_afterwards(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    await recipients.put_recipient(TENANT, profile("u0"), NOON)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM recipients FOR UPDATE")
        putting = asyncio.create_task(recipients.put_recipients(TENANT, [profile("u0"), profile("u1")], NOON))
        await until_waiting(database)
        await connection.execute("DELETE FROM recipients WHERE user_id = 'u0'")
    assert await putting == 2
    assert (await found(recipients))[1] == profile("u0")


async def test_the_same_people_put_in_another_order_by_many_wait_for_one_another_in_turn(
    recipients: PostgresRecipients,
) -> None:
    people = [profile(f"u{i}") for i in range(40)]
    backwards = people[::-1]
    await recipients.put_recipients(TENANT, people[10:20], NOON)
    for _ in range(5):
        orders = (people, backwards, people[::2], backwards[::3])
        created = await asyncio.gather(*(recipients.put_recipients(TENANT, order, NOON) for order in orders))
        assert sum(created) in (30, 0)


async def test_a_deleted_recipient_is_gone_with_what_was_hers(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    await recipients.put_recipients(TENANT, [profile("u0"), profile("u1")], NOON)
    numbers = [(await found(recipients, user_id))[0] for user_id in ("u0", "u1")]
    await database.run("INSERT INTO collapse_keys SELECT r, 'k', '\\x00' FROM unnest($1::bigint[]) AS r", numbers)
    await database.run("INSERT INTO inbox SELECT r, '\\x00', 0, 0, '\\x00' FROM unnest($1::bigint[]) AS r", numbers)
    assert not await recipients.delete_recipient(OTHER, "u0")
    assert await recipients.delete_recipient(TENANT, "u0")
    assert not await recipients.delete_recipient(TENANT, "u0")
    assert await recipients.get_recipient(TENANT, "u0") is None
    for table in ("collapse_keys", "inbox"):
        assert [row[0] for row in await database.rows(f"SELECT recipient FROM {table}")] == numbers[1:]


# --- contact points and suppression ---


async def test_dead_contact_points_are_taken_out_beside_a_change_of_preferences(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    await recipients.put_recipients(TENANT, [profile("u0"), profile("u1")], NOON)
    first, second = [(await found(recipients, user_id))[0] for user_id in ("u0", "u1")]
    dead = [Retirement(second, "push:1", "gone"), Retirement(first, "push:1", "gone"), Retirement(first, "x", "gone")]
    async with database.transaction() as connection:
        await retire(connection, [*dead, Retirement(RecipientNo(2**40), "push:1", "gone")])
        changing = asyncio.create_task(recipients.update_preferences(TENANT, "u0", encode(NO_PUSH), NOON))
        await until_waiting(database)
    assert await changing
    _, there = await found(recipients)
    assert ([contact.id for contact in there.contacts], there.preferences) == (["email:1"], NO_PUSH)
    assert [contact.id for contact in (await found(recipients, "u1"))[1].contacts] == ["email:1"]


async def test_the_first_reason_of_a_suppression_stays(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    first = Suppression(TENANT, "a@example.com", "bounce", NOON, "550")
    await recipients.put_suppression(first)
    async with database.transaction() as connection:
        again = [
            Suppression(TENANT, address, reason, NOON + 1) for address in ("b", "a@example.com") for reason in "xy"
        ]
        await suppress(connection, again)
    assert await recipients.get_suppression(TENANT, "a@example.com") == first
    assert await recipients.get_suppression(TENANT, "b") == again[0]
    assert await recipients.get_suppression(OTHER, "b") is None
    assert await recipients.delete_suppression(TENANT, "b")
    assert not await recipients.delete_suppression(TENANT, "b")


async def test_an_address_with_an_impossible_character_is_suppressed_all_the_same(
    recipients: PostgresRecipients,
) -> None:
    await recipients.put_suppression(Suppression(TENANT, "a\x00b", "bounce", NOON, "5\x0050"))
    found = await recipients.get_suppression(TENANT, "a\x00b")
    assert found is not None
    assert found.detail == "5\ufffd50"
    assert await recipients.delete_suppression(TENANT, "a\x00b")


# --- inbox ---


async def test_an_inbox_is_read_backwards_and_counts_what_is_unread_and_has_not_expired(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    await recipients.put_recipient(TENANT, profile("u0"), NOON)
    number, _ = await found(recipients)
    ids = [DeliveryId(bytes([i]) * 16) for i in range(4)]
    items = [InboxItem(number, i, "greeting", "Hello", "-", NOON, expires_at=NOON + HOUR * (i == ids[0])) for i in ids]
    given = [[number] * 4, ids, [0] * 4, [item.expires_at if item.delivery == ids[0] else 0 for item in items]]
    await database.run(
        "INSERT INTO inbox SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[])",
        *given,
        [encode(item) for item in items],
    )
    assert await recipients.mark_read(TENANT, "u0", [ids[2], ids[2], ids[3]], True, NOON + 1) == 2
    assert await recipients.mark_read(TENANT, "u0", [ids[2], ids[1]], True, NOON + 2) == 1
    assert await recipients.mark_read(TENANT, "u0", [ids[2], ids[0]], False, NOON + 2) == 1
    shown = await recipients.inbox(TENANT, "u0", ids[3], 2, False, NOON)
    assert shown is not None
    assert ([(item.delivery, item.read_at) for item in shown[0]], shown[1]) == ([(ids[2], 0), (ids[1], NOON + 2)], 2)
    later = await recipients.inbox(TENANT, "u0", None, 10, True, NOON + 2 * HOUR)
    assert later is not None
    assert ([item.delivery for item in later[0]], later[1]) == ([ids[2]], 1)
    assert await recipients.inbox(OTHER, "u0", None, 10, False, NOON) is None
    assert await recipients.mark_read(OTHER, "u0", ids, True, NOON) is None


# --- who is known at the door ---


async def test_who_was_asked_for_is_known_at_the_price_of_one_small_read(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    known = KnownRecipients(database)
    await recipients.put_recipients(TENANT, [profile("u0"), profile("u1")], NOON)
    numbers = {user_id: (await found(recipients, user_id))[0] for user_id in ("u0", "u1")}
    assert await known.numbers(TENANT, ["u0", "nobody", "u1", "u0"]) == numbers
    assert await known.numbers(OTHER, ["u0"]) == {}
    database.statements.clear()
    assert await known.numbers(TENANT, ["u1", "u0"]) == numbers
    assert len(database.statements) == 1
    await recipients.put_recipient(TENANT, profile("nobody"), NOON)
    assert set(await known.numbers(TENANT, ["u0", "nobody"])) == {"u0", "nobody"}


async def test_a_deleted_recipient_is_unknown_at_once(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    known = KnownRecipients(database)
    await recipients.put_recipient(TENANT, profile("u0"), NOON)
    assert await known.numbers(TENANT, ["u0"])
    await recipients.delete_recipient(TENANT, "u0")
    assert await known.numbers(TENANT, ["u0"]) == {}


async def test_what_was_read_before_a_deletion_is_not_remembered_after_it(
    database: WatchedDatabase, recipients: PostgresRecipients
) -> None:
    known = KnownRecipients(database)
    await recipients.put_recipient(TENANT, profile("u0"), NOON)
    go_on = database.hold()
    asking = asyncio.create_task(known.numbers(TENANT, ["u0"]))
    await database.has_read.wait()
    await recipients.delete_recipient(TENANT, "u0")
    assert await known.numbers(TENANT, ["u1"]) == {}
    go_on.set()
    await asking
    assert await known.numbers(TENANT, ["u0"]) == {}
