"""HPACK for responses, with a fast path for blocks that leave the table as it is (RFC 7541)."""

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from bellhouse.adapters.transport.h2 import frames
from bellhouse.adapters.transport.h2.frames import Fault

Field = tuple[bytes, bytes]

STATIC: Final[tuple[Field, ...]] = tuple((bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE)
STATIC_COUNT: Final = len(STATIC)
LIST_LIMIT: Final = 65_536
"""The largest header list taken, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts."""
CACHED_BLOCKS: Final = 128
CACHED_BYTES: Final = 256
LONGEST_INTEGER: Final = 5


class Head(msgspec.Struct, frozen=True, gc=False):
    """The header section of a response, or its trailers."""

    status: int
    """0 where there is none, as in trailers."""
    headers: Mapping[str, str]
    """Lower-case names; the values of a repeated name are joined by a comma. Read-only, since responses share it."""
    length: int = -1
    """What `content-length` says; -1 where it is absent."""
    flaw: str | None = None
    """Why the section is malformed (RFC 9113, section 8.1.1)."""


class Decoder:
    """The decoding side of one connection."""

    def __init__(self) -> None:
        self._table: deque[Field] = deque()
        self._size = 0
        self._limit = frames.DEFAULT_TABLE_SIZE
        self._moved = False
        self._cache: dict[bytes, Head] = {}

    def decode(self, block: bytes) -> Head:
        """Read a whole header block. Raises Fault where it cannot be read, for then the tables differ.

        What was read once is remembered until the table moves: within one state of the table the same bytes mean the
        same fields, provided that the block itself moves nothing.
        """
        head = self._cache.get(block)
        if head is not None:
            return head
        self._moved = False
        head = read_head(self._fields(block))
        if self._moved:
            self._cache.clear()
        elif len(block) <= CACHED_BYTES and len(self._cache) < CACHED_BLOCKS:
            self._cache[block] = head
        return head

    def _fields(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        total = 0
        at = 0
        try:
            while at < len(block):
                at, field = self._field(block, at, bool(fields))
                if field is not None:
                    fields.append(field)
                    total += len(field[0]) + len(field[1]) + 32
                    if total > LIST_LIMIT:
                        raise Fault(frames.ENHANCE_YOUR_CALM, "header list too large")
        except (IndexError, HPACKDecodingError) as error:
            raise Fault(frames.COMPRESSION_ERROR, f"unreadable header block: {error}") from None
        return fields

    def _field(self, block: bytes, at: int, begun: bool) -> tuple[int, Field | None]:
        """One representation, and where the next begins; None for a change of the table's size."""
        first = block[at]
        if first & 0x80:
            index, at = _integer(block, at, 0x7F)
            return at, self._entry(index)
        if first & 0x40:
            at, field = self._literal(block, at, 0x3F)
            self._insert(field)
            return at, field
        if first & 0x20:
            size, at = _integer(block, at, 0x1F)
            if begun or size > frames.DEFAULT_TABLE_SIZE:
                raise Fault(frames.COMPRESSION_ERROR, "unlawful change of the header table's size")
            self._resize(size)
            return at, None
        return self._literal(block, at, 0x0F)

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[int, Field]:
        index, at = _integer(block, at, mask)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _text(block, at)
        value, at = _text(block, at)
        return at, (name, value)

    def _entry(self, index: int) -> Field:
        if index <= STATIC_COUNT:
            if not index:
                raise Fault(frames.COMPRESSION_ERROR, "header index 0")
            return STATIC[index - 1]
        return self._table[index - STATIC_COUNT - 1]

    def _insert(self, field: Field) -> None:
        self._moved = True
        self._table.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + 32
        self._shrink()

    def _resize(self, limit: int) -> None:
        self._moved = True
        self._limit = limit
        self._shrink()

    def _shrink(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + 32


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * LONGEST_INTEGER, 7):
        byte = block[at]
        at += 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Fault(frames.COMPRESSION_ERROR, "header integer too long")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] & 0x80
    size, at = _integer(block, at, 0x7F)
    end = at + size
    if end > len(block):
        raise Fault(frames.COMPRESSION_ERROR, "header string beyond its block")
    value = block[at:end]
    return (decode_huffman(value) if coded else value), end


def read_head(fields: list[Field]) -> Head:
    """Fields as a header section; one that breaks the rules for responses carries its flaw."""
    headers: dict[str, str] = {}
    status = 0
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name[:1] == ":":
            if name != ":status" or status or headers or not (len(value) == 3 and value.isascii() and value.isdigit()):
                return _flawed(f"unlawful field {name[:32]}")
            status = int(value)
        elif not name or name != name.lower():
            return _flawed("a field name is not in lower case")
        elif name in headers:
            headers[name] += ", " + value
        else:
            headers[name] = value
    length = headers.get("content-length", "-1")
    if length != "-1" and not (length.isascii() and length.isdigit() and len(length) < 16):
        return _flawed("unreadable content-length")
    return Head(status, MappingProxyType(headers), int(length))


def _flawed(flaw: str) -> Head:
    return Head(0, MappingProxyType({}), flaw=flaw)
