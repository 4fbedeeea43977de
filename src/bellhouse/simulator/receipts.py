"""The simulator's memory of what it answered: a million rows, packed, with a sequence number each."""

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Literal

import msgspec

from bellhouse.simulator.clock import rfc3339
from bellhouse.simulator.ids import Entry, notification_of, text_id

Provider = Literal["fcm", "sendgrid", "twilio", "vonage", "smtp"]
Verdict = Literal["accepted", "retry", "throttled", "permanent", "token_invalid", "unknown", "accepted_answer_lost"]
PROVIDERS: tuple[Provider, ...] = ("fcm", "sendgrid", "twilio", "vonage", "smtp")
VERDICTS: tuple[Verdict, ...] = (
    "accepted",
    "retry",
    "throttled",
    "permanent",
    "token_invalid",
    "unknown",
    "accepted_answer_lost",
)
_PROVIDER_CODE = {name: code for code, name in enumerate(PROVIDERS)}
_VERDICT_CODE = {name: code for code, name in enumerate(VERDICTS)}

# at, provider, verdict, attempt, flags, bytes of `to`; then the ids the flags announce, then `to`.
_ROW = Struct("<qBBHBB")
_TAKEN = (_VERDICT_CODE["accepted"], _VERDICT_CODE["accepted_answer_lost"])
_HAS_DELIVERY, _OWN_NOTIFICATION = 1, 2
_TO_LIMIT = 64
_BLOCK_ROWS = 1024
_FINGERPRINT = (1 << 64) - 1


class SeenIds:
    """Counts distinct 16-byte ids in 8 bytes each: an open hash table of 64-bit fingerprints.

    Two ids of a million share a fingerprint with a chance of 3 in 10^8. Beyond `limit` ids the table
    starts over and `exact` turns False.
    """

    def __init__(self, limit: int = 8_000_000) -> None:
        self._limit = limit
        self.distinct = 0
        self.repeats = 0
        self.exact = True
        self._held = 0
        self._table = array("Q", bytes(8 * 1024))

    def add(self, raw: bytes) -> None:
        """Count one sighting of `raw`."""
        if self._held * 2 >= len(self._table):
            self._grow()
        if self._insert((hash(raw) & _FINGERPRINT) or 1):  # SipHash: ids may be as regular as they like
            self.distinct += 1
            self._held += 1
        else:
            self.repeats += 1

    def _insert(self, print_: int) -> bool:
        table = self._table
        mask = len(table) - 1
        at = print_ & mask
        while held := table[at]:
            if held == print_:
                return False
            at = (at + 1) & mask
        table[at] = print_
        return True

    def _grow(self) -> None:
        old = self._table
        if self._held >= self._limit:
            self.exact = False
            self._held = 0
            self._table = array("Q", bytes(8 * 1024))
            return
        self._table = array("Q", bytes(8 * len(old) * 2))
        for print_ in old:
            if print_:
                self._insert(print_)


class _Block:
    """Consecutive rows in one piece of memory."""

    __slots__ = ("data", "first", "rows")

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows = 0
        self.data: bytearray | bytes = bytearray()


class Receipts:
    """Rows in order of answering; the oldest are dropped beyond `keep`, and every row goes to `path` if given."""

    def __init__(
        self, keep: int, path: str | None = None, soon: Callable[[Callable[[], None]], object] | None = None
    ) -> None:
        """`soon` is asked to run a flush when the first row of a batch waits to be written."""
        self._keep = keep
        self._soon = soon
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._unwritten: list[bytes] = []
        self.reset()

    def reset(self) -> None:
        """Forget all rows and counts; numbering starts again at 1. The file keeps what it has."""
        self.flush()
        self._block = _Block(1)
        self._blocks = deque([self._block])
        self._held = 0
        self.last = 0
        self._counts = [[0] * len(VERDICTS) for _ in PROVIDERS]
        self._accepted = SeenIds()

    def append(self, at: int, provider: Provider, verdict: Verdict, entry: Entry) -> None:
        """Keep one row: `at` in ms since the epoch."""
        self.last += 1
        code = _VERDICT_CODE[verdict]
        self._counts[_PROVIDER_CODE[provider]][code] += 1
        if code in _TAKEN and entry.delivery:
            self._accepted.add(entry.delivery)
        row = _packed(at, _PROVIDER_CODE[provider], code, entry)
        block = self._block
        if block.rows >= _BLOCK_ROWS:
            block = self._open_block()
        block.data += row
        block.rows += 1
        self._held += 1
        if self._file is not None:
            if not self._unwritten and self._soon is not None:
                self._soon(self.flush)
            self._unwritten.append(_line(self.last, row, 0)[0])

    def _open_block(self) -> _Block:
        self._block.data = bytes(self._block.data)  # gives back what the growing buffer had reserved
        if self._held >= self._keep:
            self._held -= self._blocks.popleft().rows
        self._block = _Block(self.last)
        self._blocks.append(self._block)
        return self._block

    def flush(self) -> None:
        """Hand the rows written since the last flush to the operating system."""
        if self._file is not None and self._unwritten:
            data = memoryview(b"".join(self._unwritten))
            self._unwritten.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def lines(self, since: int = 0) -> Iterator[bytes]:
        """NDJSON of the rows numbered above `since`, a block at a time."""
        for block in list(self._blocks):
            if block.first + block.rows > since + 1:
                yield _block_lines(block, since)

    def summary(self) -> dict[str, object]:
        """Counts since the last reset, by provider and verdict, and of distinct accepted delivery ids."""
        by_provider = {
            provider: {verdict: count for verdict, count in zip(VERDICTS, counts, strict=True) if count}
            for provider, counts in zip(PROVIDERS, self._counts, strict=True)
            if any(counts)
        }
        return {
            "total": self.last,
            "kept": self._held,
            "last": self.last,
            "providers": by_provider,
            "distinct_accepted": self._accepted.distinct,
            "repeats": self._accepted.repeats,
            "exact": self._accepted.exact,
        }


def _packed(at: int, provider: int, verdict: int, entry: Entry) -> bytes:
    delivery, notification, attempt, to = entry
    raw_to = to.encode("utf-8", "replace")[:_TO_LIMIT]
    flags = _HAS_DELIVERY if delivery else 0
    if notification and (notification[:15] != delivery[:15] or notification[15]):
        flags |= _OWN_NOTIFICATION
    else:
        notification = b""
    head = _ROW.pack(at, provider, verdict, attempt, flags, len(raw_to))
    return head + delivery + notification + raw_to


def _line(seq: int, data: bytes | bytearray, offset: int) -> tuple[bytes, int]:
    """The NDJSON line of the row at `offset`, and where the next row begins."""
    at, provider, verdict, attempt, flags, to_size = _ROW.unpack_from(data, offset)
    offset += _ROW.size
    delivery = notification = b""
    if flags & _HAS_DELIVERY:
        delivery = bytes(data[offset : offset + 16])
        notification = notification_of(delivery)
        offset += 16
    if flags & _OWN_NOTIFICATION:
        notification = bytes(data[offset : offset + 16])
        offset += 16
    to = bytes(data[offset : offset + to_size]).decode("utf-8", "ignore")
    line = (
        f'{{"seq":{seq},"at":"{rfc3339(at)}","provider":"{PROVIDERS[provider]}",'
        f'"verdict":"{VERDICTS[verdict]}","notification_id":{_quoted(notification)},'
        f'"delivery_id":{_quoted(delivery)},"attempt":{attempt or "null"},"to":{_json_text(to)}}}\n'
    )
    return line.encode(), offset + to_size


def _quoted(raw: bytes) -> str:
    return f'"{text_id(raw)}"' if raw else "null"


def _json_text(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return msgspec.json.encode(text).decode()


def _block_lines(block: _Block, since: int) -> bytes:
    lines, offset = [], 0
    for seq in range(block.first, block.first + block.rows):
        line, offset = _line(seq, block.data, offset)
        if seq > since:
            lines.append(line)
    return b"".join(lines)
