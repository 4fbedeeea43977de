"""Request heads of one HTTP/2 connection: HPACK blocks decoded once and remembered."""

from collections.abc import Iterable

from hpack import Decoder, HPACKError

from bellhouse.simulator.http1 import HEAD_LIMIT, Resolve
from bellhouse.simulator.wire import RequestHead

_KEPT_BLOCKS = 1024


class HeadError(Exception):
    """The fields do not make a request (RFC 9113, 8.3.1)."""


class BlockReader:
    """Turns header blocks into heads.

    While the dynamic table stays as it is, the same block means the same fields, so a client that has settled
    costs one dictionary lookup per call. Every block must still pass here in order: it may change the table.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._decoder = Decoder(max_header_list_size=HEAD_LIMIT)
        self._known: dict[bytes, RequestHead] = {}

    def read(self, block: bytes) -> RequestHead:
        """The head in `block`; raises HeadError (this stream is bad) or HPACKError (the connection is)."""
        head = self._known.get(block)
        if head is not None:
            return head
        before = self._table()
        fields = self._fields(block)
        changed = self._table() != before
        if changed or len(self._known) >= _KEPT_BLOCKS:
            self._known.clear()
        head = _head(fields, self._resolve)
        if not changed:
            self._known[block] = head
        return head

    def skip(self, block: bytes) -> None:
        """Take note of a block whose fields nobody wants (trailers)."""
        self._known.clear()
        self._fields(block)

    def _fields(self, block: bytes) -> Iterable[tuple[str, str]]:
        try:
            return [(str(field[0]), str(field[1])) for field in self._decoder.decode(block)]
        except UnicodeDecodeError as error:
            raise HPACKError("field is not UTF-8") from error

    def _table(self) -> tuple[int, int, int]:
        """What changes when an entry comes or goes: every new entry is a new object at the front."""
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return (id(entries[0]) if entries else 0, len(entries), table.maxsize)


def _head(fields: Iterable[tuple[str, str]], resolve: Resolve) -> RequestHead:
    found: dict[str, str] = {}
    for name, value in fields:
        if name != name.lower() or (name[:1] == ":" and name in found):
            raise HeadError(f"bad field {name!r}")
        found[name] = value
    method, target = found.get(":method"), found.get(":path")
    if not method or not target or ":scheme" not in found:
        raise HeadError("method, scheme or path is missing")
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, found, True, 0, False, resolve(method, path))
