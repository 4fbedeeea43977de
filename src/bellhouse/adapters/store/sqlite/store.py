"""The embedded store and log as one: everything that stands in the file."""

from pathlib import Path

from bellhouse.adapters.store.sqlite.catalogue import SqliteCatalogue
from bellhouse.adapters.store.sqlite.confirm import SqliteConfirm
from bellhouse.adapters.store.sqlite.database import Database
from bellhouse.adapters.store.sqlite.deadletters import SqliteDeadLetters
from bellhouse.adapters.store.sqlite.deliver import SqliteDeliver
from bellhouse.adapters.store.sqlite.due import SqliteDue
from bellhouse.adapters.store.sqlite.expiry import SqliteExpiry
from bellhouse.adapters.store.sqlite.ingest import SqliteIngest
from bellhouse.adapters.store.sqlite.insights import SqliteInsights
from bellhouse.adapters.store.sqlite.levers import SqliteLevers
from bellhouse.adapters.store.sqlite.log import SqliteLog
from bellhouse.adapters.store.sqlite.migrate import migrate
from bellhouse.adapters.store.sqlite.recipients import SqliteRecipients
from bellhouse.adapters.store.sqlite.route import SqliteRoute
from bellhouse.adapters.store.sqlite.signs import SqliteSigns
from bellhouse.ports.doorbell import Doorbell


class SqliteStore:
    """One process's view of the file, a part for each port. The schema is brought up to date when it is opened.

    `doorbell` wakes whoever waits for a topic, here and in the other processes, after each commit that appended.
    """

    def __init__(self, path: Path, doorbell: Doorbell, checkpoint_pages: int = 4_000) -> None:
        self.database = Database(path, doorbell.ring, checkpoint_pages)
        self.migrated = migrate(self.database)
        self.log = SqliteLog(self.database, doorbell.wait)
        self.ingest = SqliteIngest(self.database)
        self.route = SqliteRoute(self.database)
        self.deliver = SqliteDeliver(self.database)
        self.due = SqliteDue(self.database)
        self.confirm = SqliteConfirm(self.database)
        self.recipients = SqliteRecipients(self.database)
        self.catalogue = SqliteCatalogue(self.database)
        self.dead_letters = SqliteDeadLetters(self.database)
        self.expiry = SqliteExpiry(self.database)
        self.levers = SqliteLevers(self.database)
        self.insights = SqliteInsights(self.database)
        self.signs = SqliteSigns(self.database)

    def close(self) -> None:
        self.insights.close()
        self.database.close()
