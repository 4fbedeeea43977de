"""What a reader holds of the partitions that are its own: the records it may hand out, and how far they are done."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Condition, Lock
from typing import Final

from confluent_kafka import Message

from bellhouse.ports.log import Polled, Position

UNKNOWN_MARK: Final = 2**63
"""For a partition whose end at the assignment is not known: everything in it may have been polled before."""


class _Share:
    """One partition while it is assigned."""

    __slots__ = ("done", "first", "held", "last", "mark", "number", "sent")

    def __init__(self, mark: int, number: int) -> None:
        self.mark = mark
        self.number = number  # of its coming
        self.first = -1  # the first and the last that were handed out
        self.last = -1
        self.done = -1  # the last of them that is done, and the last that a commit was sent for
        self.sent = -1
        self.held: list[Polled] = []


class Assignment:
    """Shared by the event loop, which takes, and the consumer's thread, which fills; every method is short.

    A position is taken from the loop only for records that were handed out since their partition came: what is told of
    an earlier assignment could go back behind what another reader has done meanwhile, or be of records that have come
    again and are in hand.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._shares: dict[int, _Share] = {}
        self._ready: deque[Polled] = deque()
        self._paused: set[int] = set()
        self._hands = Condition(self._lock)
        self._comings = 0
        self._in_hand: set[int] = set()
        """The partitions of what was taken and is not noted in the store yet."""

    # --- the consumer's thread ---

    @property
    def partitions(self) -> list[int]:
        """Those assigned now."""
        return list(self._shares)

    @property
    def flowing(self) -> list[int]:
        """Those assigned now that are not paused."""
        return [partition for partition in self._shares if partition not in self._paused]

    @property
    def unmarked(self) -> list[int]:
        return [partition for partition, share in self._shares.items() if share.mark == UNKNOWN_MARK]

    def __len__(self) -> int:
        """How many records may be handed out now."""
        return len(self._ready)

    def came(self, partitions: Iterable[int]) -> None:
        """These are assigned from now on, with nothing polled of them yet."""
        with self._lock:
            self._comings += 1
            self._shares |= {partition: _Share(UNKNOWN_MARK, self._comings) for partition in partitions}

    def mark(self, ends: Mapping[int, int]) -> None:
        """What is before its partition's end may have been polled before."""
        with self._lock:
            for partition, end in ends.items():
                if partition in self._shares:
                    self._shares[partition].mark = end

    def await_hands(self, partitions: Sequence[int], patience_s: float) -> None:
        """Wait until nothing of these is in the caller's hands, or its patience is over."""
        with self._hands:
            self._hands.wait_for(lambda: self._in_hand.isdisjoint(partitions), patience_s)

    def left(self, partitions: Iterable[int]) -> None:
        """Forget these and their records."""
        with self._lock:
            gone = {partition for partition in partitions if self._shares.pop(partition, None) is not None}
            if gone:
                self._ready = deque(record for record in self._ready if record.partition not in gone)

    def add(self, messages: Sequence[Message]) -> set[int]:
        """What was read, in order for each partition. Answers the partitions that are not assigned: what was read of
        them is passed over."""
        shares, polled = self._shares, []
        strange: set[int] = set()
        for message in messages:
            partition, offset = message.partition(), message.offset()
            share = shares.get(partition)  # type: ignore[arg-type]  # a message that was read has one
            if share is None:
                strange.add(partition)  # type: ignore[arg-type]  # the same
                continue
            again = offset < share.mark  # type: ignore[operator]  # the same
            polled.append(Polled(offset, message.value() or b"", partition, again, share.number))  # type: ignore[arg-type]  # the same
        with self._lock:
            if self._paused:
                polled = self._hold(polled)
            self._ready.extend(polled)
        return strange

    def due(self, partitions: Iterable[int] | None = None) -> dict[int, int]:
        """The positions that are done and not yet sent to the broker, as offsets of the last record done."""
        with self._lock:
            wanted = self._shares if partitions is None else [p for p in partitions if p in self._shares]
            due = {p: self._shares[p].done for p in wanted if self._shares[p].done > self._shares[p].sent}
            for partition, offset in due.items():
                self._shares[partition].sent = offset
            return due

    def unsent(self, offsets: Mapping[int, int]) -> None:
        """These commits did not work: they are due again, unless a later one was sent."""
        with self._lock:
            for partition, offset in offsets.items():
                share = self._shares.get(partition)
                if share is not None and share.sent == offset:
                    share.sent = -1

    # --- the event loop ---

    def taken(self) -> None:
        """Nothing is in the caller's hands any more."""
        with self._hands:
            self._in_hand = set()
            self._hands.notify_all()

    def take(self, limit: int) -> list[Polled]:
        with self._lock:
            ready = self._ready
            polled = [ready.popleft() for _ in range(min(limit, len(ready)))]
            for partition, offset in {record.partition: record.offset for record in polled}.items():
                self._shares[partition].last = offset
            for partition, offset in {record.partition: record.offset for record in reversed(polled)}.items():
                if self._shares[partition].first < 0:
                    self._shares[partition].first = offset
            self._in_hand = {record.partition for record in polled}
            self._hands.notify_all()
            return polled

    def done(self, positions: Iterable[Position]) -> None:
        with self._lock:
            for position in positions:
                share = self._shares.get(position.partition)
                if share is None or share.number != position.assignment:
                    continue
                if 0 <= share.first <= position.offset <= share.last:
                    share.done = max(share.done, position.offset)

    def pause(self, partitions: Iterable[int]) -> None:
        with self._lock:
            self._paused |= set(partitions)
            self._ready = deque(self._hold(self._ready))

    def resume(self, partitions: Iterable[int]) -> None:
        with self._lock:
            for partition in self._paused.intersection(partitions):
                self._paused.discard(partition)
                share = self._shares.get(partition)
                if share is not None:
                    self._ready.extend(share.held)
                    share.held = []

    def _hold(self, polled: Iterable[Polled]) -> list[Polled]:
        """Put aside what is of paused partitions; the rest."""
        flowing = []
        for record in polled:
            if record.partition in self._paused:
                self._shares[record.partition].held.append(record)
            else:
                flowing.append(record)
        return flowing
