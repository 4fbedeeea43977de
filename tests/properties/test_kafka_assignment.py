"""What a Kafka reader holds of its partitions: whatever comes and goes, nothing is out of order, lost or gone back."""

from collections import defaultdict

from confluent_kafka import Message
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.ports.log import Position

PARTITIONS = st.integers(0, 2)


class AssignmentMachine(RuleBasedStateMachine):
    """Plays the group, the loop and the broker, and remembers what each partition's assignment may hand out."""

    def __init__(self) -> None:
        super().__init__()
        self.assignment = Assignment()
        self.next: dict[int, int] = {}  # of assigned partitions, the offset that the broker gives next
        self.mark: dict[int, int] = {}
        self.waiting: dict[int, list[int]] = defaultdict(list)
        self.comings = 0
        self.number: dict[int, int] = {}  # of a partition's last coming
        self.taken: dict[int, list[int]] = {}  # since the partition came
        self.paused: set[int] = set()
        self.done: dict[int, int] = {}  # and how far of it is done, and known to the broker
        self.told: dict[int, int] = {}

    @rule(partition=PARTITIONS, start=st.integers(0, 5), ahead=st.integers(0, 5))
    def comes(self, partition: int, start: int, ahead: int) -> None:
        if partition not in self.next:
            self.assignment.came([partition])
            self.comings += 1
            self.number[partition] = self.comings
            self.assignment.mark({partition: start + ahead})
            self.next[partition], self.mark[partition] = start, start + ahead
            self.waiting[partition], self.taken[partition] = [], []

    @rule(partition=PARTITIONS)
    def goes(self, partition: int) -> None:
        self.assignment.left([partition])
        for known in (self.next, self.mark, self.waiting, self.taken, self.done, self.told):
            known.pop(partition, None)

    @rule(partitions=st.lists(PARTITIONS, max_size=6))
    def arrive(self, partitions: list[int]) -> None:
        messages = []
        for partition in partitions:
            offset = self.next.get(partition, 7)  # 7: of a partition that is not assigned, and must be dropped
            messages.append(Message(topic="t", partition=partition, offset=offset, value=b"v"))
            if partition in self.next:
                self.waiting[partition].append(offset)
                self.next[partition] += 1
        self.assignment.add(messages)

    @rule(limit=st.integers(0, 5))
    def takes(self, limit: int) -> None:
        polled = self.assignment.take(limit)
        assert len(polled) <= limit
        for record in polled:
            assert record.partition not in self.paused
            assert record.offset == self.waiting[record.partition].pop(0)
            assert record.again == (record.offset < self.mark[record.partition])
            assert record.assignment == self.number[record.partition]
            self.taken[record.partition].append(record.offset)

    @rule(partitions=st.sets(PARTITIONS))
    def pauses(self, partitions: set[int]) -> None:
        self.assignment.pause(partitions)
        self.paused |= partitions

    @rule(partitions=st.sets(PARTITIONS))
    def resumes(self, partitions: set[int]) -> None:
        self.assignment.resume(partitions)
        self.paused -= partitions

    @rule(partition=PARTITIONS, offset=st.integers(0, 20), ago=st.sampled_from((0, 0, 0, 1)))
    def is_done(self, partition: int, offset: int, ago: int) -> None:
        number = self.number.get(partition, 0) - ago
        self.assignment.done([Position("g", "t", offset, partition, number)])
        taken = self.taken.get(partition) or [21]
        if not ago and taken[0] <= offset <= taken[-1]:
            self.done[partition] = max(offset, self.done.get(partition, 0))

    @rule(works=st.booleans())
    def commits(self, works: bool) -> None:
        due = self.assignment.due()
        assert due == {p: offset for p, offset in self.done.items() if offset > self.told.get(p, -1)}
        for partition, offset in due.items():
            if works:
                self.told[partition] = offset
            else:
                self.assignment.unsent({partition: offset})

    @invariant()
    def everything_that_may_be_taken_is_ready(self) -> None:
        assert set(self.assignment.partitions) == set(self.next)
        assert len(self.assignment) == sum(len(v) for p, v in self.waiting.items() if p not in self.paused)


TestAssignment = AssignmentMachine.TestCase
TestAssignment.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
