"""What became of a commit whose answer was lost."""

from typing import Final

from bellhouse.adapters.store.postgres.queries import queries

MAY_COME_YET: Final = queries("commits")["may_come_yet"]
"""Asks whether a transaction, by its id as text, may be committed yet; what it has written is looked for afterwards, by
another statement, which sees all that this one knew."""
