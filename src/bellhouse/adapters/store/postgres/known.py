"""Which recipients exist: asked for every notification at the door, so answered from memory where it is known."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.ids import RecipientNo, TenantNo

_SQL: Final = queries("known")
_MOST: Final = 100_000
"""Recipients kept: some 15 MB."""


class KnownRecipients:
    """The numbers of recipients that were asked for before.

    A recipient's number never changes while she exists, so only a deletion can make an answer wrong: it raises the
    version of the kind `recipient`, which is looked at before each answer, and all is forgotten. Who is not known is
    asked for anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[tuple[TenantNo, str], RecipientNo] = {}
        self._seen = -1

    async def numbers(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        """The numbers of those that exist."""
        version = int(await self._database.value(_SQL["version"]))
        if version != self._seen or len(self._numbers) > _MOST:
            self._numbers.clear()
            self._seen = version
        known = self._numbers
        found = {user_id: known[tenant, user_id] for user_id in user_ids if (tenant, user_id) in known}
        missing = list({user_id for user_id in user_ids if user_id not in found})
        if not missing:
            return found
        rows = await self._database.rows(_SQL["numbers"], tenant, missing)
        found.update({user_id: RecipientNo(number) for user_id, number in rows})
        if self._seen == version:
            # Else another call has seen a deletion since, and these rows may be older than that.
            known.update({(tenant, user_id): RecipientNo(number) for user_id, number in rows})
        return found
