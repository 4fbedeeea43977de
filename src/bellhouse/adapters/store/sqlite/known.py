"""Which recipients exist: asked for every notification at the door, so answered from memory where it is known."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.sqlite.database import Database, texts
from bellhouse.domain.ids import RecipientNo, TenantNo

_KNOWN: Final = """
SELECT user_id, recipient FROM carray(?) AS asked CROSS JOIN recipients ON tenant = ? AND user_id = asked.value
"""
_MOST: Final = 100_000
"""Recipients kept: some 15 MB."""


class KnownRecipients:
    """The numbers of recipients that were asked for before.

    A recipient's number never changes while she exists, so only a deletion can make an answer wrong: it leaves a row
    in `changes`, which is looked at before each answer, and all is forgotten. Who is not known is asked for anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[tuple[TenantNo, str], RecipientNo] = {}
        self._seen = -1

    def numbers(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        """The numbers of those that exist."""
        with self._database.snapshot():
            last = self._database.rows("SELECT coalesce(max(seq), 0) FROM changes")[0][0]
            if last != self._seen or len(self._numbers) > _MOST:
                self._numbers.clear()
                self._seen = last
            known = self._numbers
            missing = [user_id for user_id in user_ids if (tenant, user_id) not in known]
            if missing:
                rows = self._database.rows(_KNOWN, (texts(missing), tenant))
                known.update({(tenant, user_id): number for user_id, number in rows})
        return {user_id: known[tenant, user_id] for user_id in user_ids if (tenant, user_id) in known}
