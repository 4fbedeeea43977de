"""One member of a consumer group: a librdkafka consumer and the thread that is the only one to speak to it."""

from collections.abc import Callable, Collection, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.adapters.log.kafka.commits import Commits
from bellhouse.adapters.log.kafka.config import KafkaConfig, consuming, topic_name
from bellhouse.adapters.log.kafka.marks import Marks
from bellhouse.adapters.log.kafka.notes import Notes, is_fatal
from bellhouse.adapters.log.kafka.reach import Reach
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable

_AT_ONCE: Final = 500
_BUFFER: Final = 2_000
"""How many records a reader may have ready before its thread stops fetching."""
_POLL_S: Final = 0.2
"""How long the thread waits for a record before it looks what else there is to do: shorter costs an idle house more."""
_STALL_S: Final = 1.0
"""How long the thread waits for room before it pauses the partitions. While it waits it hears of no rebalance; once
it has paused, what was fetched ahead is forgotten and fetched again."""
_HANDS_S: Final = 3.0
"""How long a partition that is to go waits for its records that are in the caller's hands; the group waits as well."""
_LOOK_S: Final = 1.0
"""How often the thread of a consumer that is no member looks whether it still reaches its cluster."""
_LEAVING_S: Final = 5.0
"""How much longer than its session a member may take to leave. Where the brokers are dead, librdkafka (2.16) can wait
for a last commit for ever; the group has given such a member up by then."""


class Member:
    """Fills `assignment` and commits what is done of it; calls, in its own thread, `wake` when something is ready and
    `left` at its end."""

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        assignment: Assignment,
        wake: Callable[[], None],
        left: Callable[[], None],
        clock: Clock,
        notes: Notes,
        reach: Reach,
    ) -> None:
        self.failure: LogUnavailable | None = None
        self._config = config
        self._topic = topic_name(config, topic)
        self._settings = consuming(config, topic)
        self._assignment = assignment
        self._wake = wake
        self._left = left
        self._clock = clock
        self._notes = notes
        self._reach = reach
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._room = Event()
        self._stopping = False
        self._again_at = 0.0
        """When another consumer may take the place of one that has failed."""
        self._away = True
        """Whether the group has given this consumer nothing yet, not even none, since it joined or lost everything."""
        self._looked_at = 0.0
        self._full_since: float | None = None
        self._stalled = False
        self._consumer: Consumer
        self._commits: Commits
        self._marks: Marks
        self._thread = Thread(target=self._run, name=f"kafka-{topic}", daemon=True)

    # --- from other threads ---

    def open(self) -> None:
        """Reach the cluster and find the topic, then join. Blocks. Raises LogUnavailable."""
        self._join()
        self._thread.start()

    def _join(self) -> None:
        try:
            consumer: Consumer = Consumer(
                self._settings,
                error_cb=lambda error: self._failed(consumer, error),
                on_commit=self._answered,
                logger=self._notes,
            )
        except KafkaException as error:
            raise self._notes.unavailable(error) from error
        self._consumer = consumer
        self._away = True
        self._commits = Commits(self._config, self._consumer, self._topic, self._assignment, self._clock, self._notes)
        self._marks = Marks(self._consumer, self._topic, self._assignment, self._clock, self._notes)
        try:
            topics = consumer.list_topics(self._topic, timeout=self._config.request_timeout_s).topics
            if self._topic not in topics:  # a broker that comes or goes may know of nothing
                raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
            if topics[self._topic].error is not None:
                raise KafkaException(topics[self._topic].error)
            consumer.subscribe([self._topic], on_assign=self._came, on_revoke=self._revoked, on_lost=self._lost)
        except KafkaException as error:
            consumer.poll(0)  # has it tell what it knows about the reasons
            consumer.close()
            raise self._notes.unavailable(error) from error

    def ask(self, act: Callable[[], None]) -> bool:
        """Have the thread do this soon; whether there is one to do it."""
        self._asked.put(act)
        self._room.set()
        return self._thread.is_alive() and not self._stopping

    def made_room(self) -> None:
        """Records were taken."""
        self._room.set()

    def leave(self) -> bool:
        """Have the thread commit what is done, leave, and call `left`; whether there is one to do it."""
        self._stopping = True
        self._room.set()
        return self._thread.is_alive()

    @property
    def leaving_s(self) -> float:
        """How long leaving may take, in seconds."""
        return self._config.session_timeout_s + _LEAVING_S

    def leave_behind(self) -> None:
        """Say that nobody waits any more until the thread has left."""
        self._notes.warn(f"Kafka: a reader of {self._topic} is left behind", "its group does not answer")

    # --- the thread ---

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._left()

    def _work(self) -> None:
        while not self._stopping:
            try:
                self._do_what_was_asked()
                self._commits.send_what_is_due()
                self._marks.set()
                self._read()
            except Exception as error:  # without this thread the reader would stand still, and nobody would know
                self._notes.warn(f"Kafka: reading {self._topic} failed", error)
                self._room.wait(_POLL_S)
        self._leave()

    def _do_what_was_asked(self) -> None:
        try:
            while True:
                self._asked.get_nowait()()
        except Empty:
            return

    def _read(self) -> None:
        if self.failure is not None:
            self._join_again_in_time()
        elif self._is_cut_off():
            self._join_anew()
        elif len(self._assignment) < (_BUFFER // 2 if self._stalled else _BUFFER):
            self._flow()
            self._fetch()
        elif self._stalled:
            self._consumer.poll(_POLL_S)  # nothing comes of paused partitions, but rebalances are heard
        else:
            self._wait_for_room()

    def _join_again_in_time(self) -> None:
        """Nothing comes of this consumer any more, but its error, at once and for ever: another takes its place when
        the group has forgotten it. Two processes of one name would else put one another out all the time. Where the
        cluster was not reached, there is nothing to be forgotten."""
        if self._clock.monotonic() < self._again_at:
            self._room.wait(_POLL_S)
            return
        self._join_as_another()

    def _is_cut_off(self) -> bool:
        """Whether the consumer is no member and will not be one again: it does not find its cluster any more."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_S or not (self._away or not self._consumer.memberid()):
            return False
        cut_off = self._reach.look(self._consumer, self._topic) == "lost"
        self._looked_at = self._clock.monotonic()
        return cut_off

    def _join_anew(self) -> None:
        """Put another consumer in the place of one that is cut off."""
        self._notes.warn(f"Kafka: a reader of {self._topic} joins its group anew", "its client had lost the cluster")
        self._join_as_another()

    def _join_as_another(self) -> None:
        """Join with a new consumer, to which nothing of the old one's belongs; `failure` says whether it worked. The
        old one is closed beside: closing waits for its last commit, of which it may never hear."""
        old = self._consumer
        self._assignment.left(self._assignment.partitions)
        self._stalled = False
        try:
            self._join()
        except LogUnavailable as down:
            self.failure = down
            self._again_at = self._clock.monotonic() + _LOOK_S
        else:
            self.failure = None
        if self._consumer is not old:
            Thread(target=old.close, name="kafka-replaced", daemon=True).start()

    def _fetch(self) -> None:
        # `consume` alone would wait until it has all or its time is over; `poll` returns with the first.
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return
        messages = []
        for message in [first, *self._consumer.consume(_AT_ONCE - 1, 0)]:
            error = message.error()
            if error is None:
                messages.append(message)
            else:
                self._failed(self._consumer, error)
        strange = self._assignment.add(messages)
        if strange:
            self._take_again(strange)
        self._wake()

    def _take_again(self, strange: Collection[int]) -> None:
        """Go back to the group's positions where partitions are still this consumer's though it was told otherwise: a
        group that is about to rebalance may refuse a member, and let it keep what it had without another word."""
        ours = [place.partition for place in self._consumer.assignment() if place.partition in strange]
        if ours:
            self._notes.warn(f"Kafka: a reader of {self._topic} takes partitions again", "it had kept them")
            self._take_anew(ours)

    def _wait_for_room(self) -> None:
        now = self._clock.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since < _STALL_S:
            self._room.clear()
            if len(self._assignment) >= _BUFFER:
                self._room.wait(_POLL_S)
            return
        self._stalled = True
        self._consumer.pause(self._these(self._assignment.partitions))

    def _flow(self) -> None:
        self._full_since = None
        if self._stalled:
            self._stalled = False
            self._consumer.resume(self._these(self._assignment.flowing))

    # --- partitions that come and go ---

    def _answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits.answered(error, partitions)

    def begin_anew(self) -> None:
        """Forget what is not committed and read from the group's positions, if it is still ours to read.

        Raises LogUnavailable where the group cannot be asked.
        """
        partitions = self._assignment.partitions
        if not partitions:
            return
        self._commits.send_now(partitions)
        try:
            ours = self._commits.accepted()
        except KafkaException as error:
            raise self._notes.unavailable(error) from error
        # Else the consumer has learnt the same from the same answer, and joins again by itself.
        self._assignment.left(partitions)
        if ours:
            self._take_anew(partitions)
        if self.failure is not None:
            raise self.failure

    def _take_anew(self, partitions: Sequence[int]) -> None:
        """Read partitions from the group's positions. A consumer that does not let go of them or take them would keep
        them and read nothing: another takes its place at once."""
        try:
            self._consumer.incremental_unassign(self._these(partitions))
            self._take_over(partitions)
        except KafkaException as error:
            self._again_at = self._clock.monotonic()
            self.failure = self._notes.unavailable(error)

    def _came(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:  # one that another has replaced, and that is being closed
            return
        self._away = False
        self._take_over([p.partition for p in partitions])

    def _take_over(self, partitions: Sequence[int]) -> None:
        self._consumer.incremental_assign(self._these(partitions))
        self._assignment.came(partitions)
        flowing = [] if self._stalled else self._assignment.flowing
        self._consumer.pause(self._these([p for p in partitions if p not in flowing]))
        self._marks.set_at_once()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:  # one that another has replaced
            consumer.incremental_unassign(partitions)
            return
        gone = [p.partition for p in partitions]
        self._assignment.await_hands(gone, _HANDS_S)
        self._commits.send_now(gone)
        self._assignment.left(gone)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is self._consumer:
            self._away = True
            self._assignment.left([p.partition for p in partitions])
        consumer.incremental_unassign(partitions)

    def hold(self, partitions: Sequence[int]) -> None:
        self._consumer.pause(self._these(self._ours(partitions)))

    def release(self, partitions: Sequence[int]) -> None:
        if not self._stalled:
            self._consumer.resume(self._these(self._ours(partitions)))

    # --- the end ---

    def _leave(self) -> None:
        try:
            self._do_what_was_asked()
            self._commits.send_now(self._assignment.partitions)
            if not self._config.instance:
                self._give_up_membership()
        except (KafkaException, RuntimeError) as error:
            self._notes.warn(f"Kafka: leaving the group of {self._topic} failed", error)
        finally:
            self._consumer.close()

    def _give_up_membership(self) -> None:
        self._consumer.unsubscribe()
        # Commits that are on their way hold the leaving up, for a session's time at most.
        until = self._clock.monotonic() + self._config.session_timeout_s
        while (self._consumer.memberid() or self._consumer.assignment()) and self._clock.monotonic() < until:
            self._consumer.poll(_POLL_S)

    # --- words ---

    def _failed(self, consumer: Consumer, error: KafkaError) -> None:
        self._notes.error(error)
        if is_fatal(error) and self.failure is None and consumer is self._consumer:
            self._again_at = self._clock.monotonic() + self._config.session_timeout_s
            self.failure = self._notes.unavailable(error)
            self._wake()

    def _these(self, partitions: Sequence[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    def _ours(self, partitions: Sequence[int]) -> list[int]:
        ours = self._assignment.partitions
        return [partition for partition in partitions if partition in ours]
