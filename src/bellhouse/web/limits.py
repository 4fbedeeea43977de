"""Every limit of the HTTP face, in one value that the settings fill."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of what a caller may send; each one reached is an error that names it."""

    body_bytes: int = 1_048_576
    """The largest body of a single request."""
    batch_body_bytes: int = 33_554_432
    """The largest body of a batch request."""
    batch_items: int = 1_000
    """The most items in a batch."""
    data_bytes: int = 16_384
    """The largest `data` of a notification, as compact JSON."""
    data_depth: int = 8
    """How deep `data` may be nested; `{"a": 1}` is 1 deep."""
    horizon_days: int = 400
    """How far ahead `send_at` and `expires_at` may lie."""
    tenant_rate_per_s: float = 100_000
    """Notifications a second that a tenant may send in the long run."""
    tenant_burst: int = 200_000
    """Notifications that a tenant may send at once."""
    backlog: int = 20_000_000
    """Records of accepted and unfinished work above which nothing more is accepted."""
    outbox: int = 10_000_000
    """Records that may wait for the log in the outbox."""
    commit_wait_s: float = 5.0
    """How long a caller may have to wait for its commit."""
    disk_reserve_bytes: int = 536_870_912
    """What is kept free on the volume of the data folder; 0 keeps nothing."""
    queue: int = 20_000
    """Notifications that may wait for their commit in this process."""
    request_timeout_s: float = 15.0
    """How long a request's head and body may take to arrive."""
    keep_alive_s: float = 75.0
    """How long an idle connection is kept."""
    connections: int = 8_192
    """Connections that are held at once."""
    header_bytes: int = 16_384
    """The longest request head."""
