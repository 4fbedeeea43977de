"""The store: time and truth. What each stage asks of it, a module for each who asks, batch-first.

Promised by every adapter:

* A call that returns has committed all of its rows in one transaction, durably; a call that raises has written
  none. `StoreUnavailable` means: nothing was written, try again later (a full disk, a read-only file).
* Records become visible in the log no earlier than the rows of the same call, and certainly. Where the log is part of
  the store they are appended in the same transaction. Elsewhere they wait in the outbox for the relay, but for those of
  `decide`, `release_due` and `release_parked`: these the store appends itself, through the log's `Publisher`, and what
  could not be appended (LogUnavailable) is appended by a later call of the same kind.
* Positions named in `done` are committed in the same transaction where the log is part of the store, and ignored
  elsewhere: there the reader commits them after the call.
* The ledger's counters move in the same transaction as the rows they count.
* Every call may be repeated after a crash: keys, decisions and events are inserted once, and repeats are answered
  from what is stored.
* What can be revoked (contact points, preferences, suppression, cancellation) is read from the store for each batch.
"""
