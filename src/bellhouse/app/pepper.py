"""The pepper of the distributed mode: one for all hosts, and known to be the same."""

import hashlib
from typing import Final

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.app.folder import CannotServe
from bellhouse.app.secrets import pepper, pepper_of_secret
from bellhouse.app.settings import Settings

_MARK: Final = "pepper_mark"


async def shared_pepper(settings: Settings, database: Database) -> bytes:
    """The pepper that `secret` gives, or the data folder's own; the store remembers a mark of the first one that came,
    so that a host with another one is refused instead of knowing nobody's API keys.

    Raises CannotServe, StoreUnavailable.
    """
    found = _given(settings)
    mark = mark_of(found)
    await database.run("INSERT INTO meta VALUES ($1, $2) ON CONFLICT DO NOTHING", _MARK, mark)
    if await database.value("SELECT value FROM meta WHERE name = $1", _MARK) != mark:
        raise CannotServe(
            "This host's secret is not the one with which the API keys in the store were made: set BELLHOUSE_SECRET to "
            "the same on every host, or copy the file `pepper` of the first host's data folder"
        )
    return found


def mark_of(pepper: bytes) -> int:
    """What the store remembers of a pepper: enough to know it again, too little to find it."""
    return int.from_bytes(hashlib.blake2b(pepper, digest_size=8, person=b"bellhouse.mark").digest()) >> 1


def _given(settings: Settings) -> bytes:
    if settings.secret is not None:
        return pepper_of_secret(settings.secret.get_secret_value())
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return pepper(settings.data)
    except OSError as error:
        raise CannotServe(f"{settings.data} cannot be used: {error}. Set BELLHOUSE_SECRET, or --data DIR") from None
