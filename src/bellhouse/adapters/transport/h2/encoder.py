"""HPACK for requests: fields seen twice on a connection become table entries, afterwards one byte each (RFC 7541)."""

import struct
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from hpack.table import HeaderTable

from bellhouse.adapters.transport.h2 import frames

Field = tuple[bytes, bytes]

STATIC_FIELDS: Final = {field: index for index, field in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}
STATIC_NAMES: Final = {field[0]: index for index, field in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}
STATIC_COUNT: Final = len(HeaderTable.STATIC_TABLE)
ENTRY_OVERHEAD: Final = 32
REMEMBERED: Final = 1024
"""How many fields an encoder keeps in mind; beyond it forgets all, so that unlike paths cannot fill the memory."""

Pack = Callable[..., bytes]


class Form(msgspec.Struct, frozen=True, gc=False):
    """What the requests of one kind have in common: everything but path and body."""

    fields: tuple[Field, ...]
    """Pseudo-fields first, without `:path`."""
    head_only: bool = False
    """A HEAD request: its answer has no body whatever its `content-length`."""
    refused: str | None = None
    """Why such a request can never be written."""


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A header block, and the packer of a small request that uses it."""

    block: bytes
    pack: Pack
    prefix: bytes
    """Length, type and flags of its HEADERS frame when a body follows."""


def integer(value: int, bits: int, mark: int) -> bytes:
    """An integer in a prefix of `bits`, `mark` being the bits before it (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((mark | value,))
    out = bytearray((mark | limit,))
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: bytes) -> bytes:
    """A string without Huffman coding: what repeats is indexed, and what does not costs more to code than to send."""
    return integer(len(value), 7, 0) + value


class Encoder:
    """The encoding side of one connection.

    A block must be written in the order in which it was asked for: it may insert into the peer's table.
    """

    def __init__(self) -> None:
        self._limit = frames.DEFAULT_TABLE_SIZE
        self._size = 0
        self._inserted = 0
        self._order: deque[Field] = deque()
        self._numbers: dict[Field, int] = {}
        self._seen: set[Field] = set()
        self._settled: dict[Field, bytes] = {}
        self._announce: list[int] = []
        self._last: Packed | None = None
        self._last_path = b""
        self._last_form: Form | None = None

    def packed(self, path: bytes, form: Form) -> Packed:
        """The header block of a request."""
        last = self._last
        if last is not None and form is self._last_form and path == self._last_path:
            return last
        block, stable = self._block(path, form)
        packed = _packed(block)
        if stable:
            self._last, self._last_path, self._last_form = packed, path, form
        return packed

    def resize(self, limit: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE; a table larger than the default is of no use to us."""
        limit = min(limit, frames.DEFAULT_TABLE_SIZE)
        self._limit = limit
        self._announce = [min([limit, *self._announce]), limit]
        self._forget()
        while self._size > limit:
            self._evict()

    def _block(self, path: bytes, form: Form) -> tuple[bytes, bool]:
        """The block, and whether writing it again would be lawful and mean the same."""
        inserted = self._inserted
        parts = [integer(size, 5, 0x20) for size in dict.fromkeys(self._announce)]
        announced = bool(parts)
        self._announce = []
        literal = False
        for field in ((b":path", path), *form.fields):
            known = self._settled.get(field)
            if known is None:
                known = self._field(field)
                literal = literal or field not in self._settled
            parts.append(known)
        return b"".join(parts), not (announced or literal or inserted != self._inserted)

    def _field(self, field: Field) -> bytes:
        """One field: indexed, inserted on its second sight, or literal."""
        index = STATIC_FIELDS.get(field)
        if index is None and (number := self._numbers.get(field)) is not None:
            index = STATIC_COUNT + 1 + self._inserted - number
        if index is not None:
            coded = self._settled[field] = integer(index, 7, 0x80)
            return coded
        if field not in self._seen:
            self._remember(field)
            return self._literal(field, 4, 0)
        if _entry_size(field) > self._limit:
            coded = self._settled[field] = self._literal(field, 4, 0)
            return coded
        coded = self._literal(field, 6, 0x40)
        self._insert(field)
        return coded

    def _literal(self, field: Field, bits: int, mark: int) -> bytes:
        name, value = field
        index = STATIC_NAMES.get(name)
        head = integer(index, bits, mark) if index else bytes((mark,)) + text(name)
        return head + text(value)

    def _remember(self, field: Field) -> None:
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
            self._forget()
        self._seen.add(field)

    def _insert(self, field: Field) -> None:
        size = _entry_size(field)
        while self._size + size > self._limit:
            self._evict()
        self._order.append(field)
        self._size += size
        self._inserted += 1
        self._numbers[field] = self._inserted
        self._forget()

    def _evict(self) -> None:
        field = self._order.popleft()
        self._size -= _entry_size(field)
        del self._numbers[field]

    def _forget(self) -> None:
        """An insertion moves every index: nothing coded before may be used again."""
        self._settled.clear()
        self._last = None


def _entry_size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + ENTRY_OVERHEAD


def _packed(block: bytes) -> Packed:
    size = len(block)
    pack = struct.Struct(f">5sI{size}sBHBBI").pack
    head = frames.HEAD.pack(size >> 16 & 0xFF, size & 0xFFFF, frames.HEADERS, frames.END_HEADERS, 0)
    return Packed(block, pack, head[:5])
