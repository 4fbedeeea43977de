"""The store on PostgreSQL as one: a part for each port."""

from bellhouse.adapters.store.postgres.catalogue import PostgresCatalogue
from bellhouse.adapters.store.postgres.confirm import PostgresConfirm
from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.deadletters import PostgresDeadLetters
from bellhouse.adapters.store.postgres.deliver import PostgresDeliver
from bellhouse.adapters.store.postgres.doorbell import PostgresDoorbell
from bellhouse.adapters.store.postgres.due import PostgresDue
from bellhouse.adapters.store.postgres.expiry import PostgresExpiry
from bellhouse.adapters.store.postgres.ingest import PostgresIngest
from bellhouse.adapters.store.postgres.insights import PostgresInsights
from bellhouse.adapters.store.postgres.levers import PostgresLevers
from bellhouse.adapters.store.postgres.members import PostgresMembers
from bellhouse.adapters.store.postgres.recipients import PostgresRecipients
from bellhouse.adapters.store.postgres.route import PostgresRoute
from bellhouse.adapters.store.postgres.signs import PostgresSigns
from bellhouse.adapters.store.postgres.upkeep import PostgresUpkeep
from bellhouse.ports.clock import Clock
from bellhouse.ports.doorbell import Doorbell
from bellhouse.ports.log import Publisher
from bellhouse.ports.store.errors import StoreUnavailable


class PostgresStore:
    """One process's view of the database. It is opened once, on the event loop that uses it; the schema must be there
    (`migrate`)."""

    def __init__(
        self,
        config: PostgresConfig,
        publisher: Publisher,
        here: Doorbell,
        clock: Clock,
        process: str,
        days_ahead: int = 7,
        fresh_s: float = 0.05,
    ) -> None:
        """`here` wakes waiters in this process; `process` is its id among the members, never used again."""
        self.database = Database(config, process=process)
        self.doorbell = PostgresDoorbell(here, self.database, clock)
        self.database.ring = self.doorbell.ring
        self.ingest = PostgresIngest(self.database)
        self.route = PostgresRoute(self.database, publisher)
        self.deliver = PostgresDeliver(self.database, process)
        self.due = PostgresDue(self.database, publisher)
        self.outbox = self.due
        self.confirm = PostgresConfirm(self.database)
        self.recipients = PostgresRecipients(self.database)
        self.catalogue = PostgresCatalogue(self.database, clock, fresh_s)
        self.dead_letters = PostgresDeadLetters(self.database)
        self.expiry = PostgresExpiry(self.database)
        self.levers = PostgresLevers(self.database, publisher)
        self.insights = PostgresInsights(self.database)
        self.signs = PostgresSigns(self.database)
        self.members = PostgresMembers(self.database, process)
        self.upkeep = PostgresUpkeep(self.database, days_ahead)

    async def open(self) -> None:
        """Make connections possible. Raises StoreUnavailable."""
        await self.database.open()

    async def close(self) -> None:
        """Close all connections. Calling it twice is lawful."""
        await self.database.close()

    async def probe(self) -> None:
        """Raise StoreUnavailable unless the database can be written: it answers, and is no standby."""
        await self.clock()

    async def clock(self) -> int:
        """The database's own time (ms since the epoch); raises like `probe`."""
        ((standby, now),) = await self.database.rows(
            "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        )
        if standby:
            raise StoreUnavailable("read_only", "store.url must lead to the primary: name all hosts in it")
        return int(now)
