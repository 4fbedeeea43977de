"""When a breaker opens, what it lets through, and how it comes back."""

from bellhouse.deliver.breaker import Breaker, BreakerSettings, Transition

T = 1_700_000_000_000
OPEN_MS, PROBE_MS, RAMP_MS = 30_000, 15_000, 10_000


def breaker(owner: str = "a") -> Breaker:
    return Breaker("fcm", "push", owner=owner)


def opened(owner: str = "a") -> Breaker:
    made = breaker(owner)
    assert made.failed(T, 5) == Transition("closed", "open", 5)
    return made


def half_open(owner: str = "a") -> Breaker:
    made = opened(owner)
    assert made.allow(T + OPEN_MS) == "probe"
    return made


def test_it_opens_after_five_failures_in_a_row() -> None:
    made = breaker()
    assert made.failed(T, 4) is None
    assert made.allow(T) == "yes"
    assert made.failed(T) == Transition("closed", "open", 5)
    assert made.allow(T) == "no"


def test_a_success_breaks_the_run() -> None:
    made = breaker()
    assert made.record([False, False, False, False, True, False, False, False, False], T) is None
    assert made.state == "closed"


def test_at_volume_a_run_of_five_among_many_successes_does_not_open_it() -> None:
    made = breaker()
    made.succeeded(T, 1_000)
    assert made.failed(T, 5) is None
    assert made.failed(T, 244) is None
    assert made.failed(T, 1) == Transition("closed", "open", 250)


def test_old_calls_are_not_recent() -> None:
    made = breaker()
    made.succeeded(T, 1_000)
    assert made.failed(T + 11_000, 5) == Transition("closed", "open", 5)


def test_after_its_wait_exactly_one_probe_goes_out() -> None:
    made = opened()
    assert made.allow(T + OPEN_MS - 1) == "no"
    assert not made.wants_probe(T + OPEN_MS - 1)
    assert made.wants_probe(T + OPEN_MS)
    assert made.allow(T + OPEN_MS) == "probe"
    assert not made.wants_probe(T + OPEN_MS)
    assert [made.allow(T + OPEN_MS + i) for i in range(3)] == ["no", "no", "no"]
    assert made.row().probe_owner == "a"


def test_the_probes_success_closes_it_and_its_failure_opens_it_again() -> None:
    assert half_open().succeeded(T + OPEN_MS + 5) == Transition("half_open", "closed", 5)
    again = half_open()
    assert again.failed(T + OPEN_MS + 5) == Transition("half_open", "open", 5)
    assert again.allow(T + OPEN_MS + 5 + OPEN_MS - 1) == "no"


def test_a_lost_probe_gives_way_to_another() -> None:
    made = half_open()
    assert made.allow(T + OPEN_MS + PROBE_MS - 1) == "no"
    assert made.allow(T + OPEN_MS + PROBE_MS) == "probe"


def test_a_call_that_was_in_flight_when_it_opened_changes_nothing() -> None:
    made = opened()
    assert made.succeeded(T + 100, 3) is None
    assert made.failed(T + 100, 30) is None
    assert (made.state, made.changed_at) == ("open", T)


def test_only_the_process_that_probes_judges_the_probe() -> None:
    ours, theirs = half_open("a"), breaker("b")
    assert theirs.restore(ours.row()) == Transition("closed", "half_open", 5)
    assert theirs.allow(T + OPEN_MS) == "no"
    assert theirs.failed(T + OPEN_MS, 5) is None
    assert theirs.succeeded(T + OPEN_MS) is None
    assert theirs.state == "half_open"


def test_an_operators_word_stands_until_it_is_taken_back() -> None:
    made = breaker()
    assert made.force("open", T) == Transition("closed", "open", 0)
    assert made.allow(T + 10 * OPEN_MS) == "no"
    made.force("closed", T)
    assert made.failed(T, 1_000) is None
    assert made.allow(T) == "yes"
    made.force("none", T)
    assert made.failed(T, 4) is None
    assert made.failed(T, 1) == Transition("closed", "open", 5)


def test_after_closing_what_waited_is_released_in_a_ramp() -> None:
    made = half_open()
    assert made.share(T + OPEN_MS) == 0
    made.succeeded(T + OPEN_MS)
    shares = [made.share(T + OPEN_MS + at) for at in range(0, RAMP_MS + 1, 1000)]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= 0.1
    assert shares[5] == 0.5
    assert shares[-1] == 1


def test_one_that_was_never_open_releases_everything() -> None:
    assert breaker().share(T) == 1


def test_a_deleted_row_closes_it_at_once() -> None:
    made = opened()
    made.published(made.row())
    assert made.restore(None) == Transition("open", "closed", 0)
    assert made.allow(T) == "yes"


def test_a_row_that_is_known_does_not_undo_what_is_still_to_be_shared() -> None:
    made = opened()
    assert made.unpublished
    assert made.restore(None) is None
    assert made.state == "open"


def test_what_changed_while_its_row_was_written_is_still_to_be_shared() -> None:
    made = half_open()
    row = made.row()
    made.succeeded(T + OPEN_MS + 1)
    made.published(row)
    assert (made.version, made.unpublished, made.state) == (row.version, True, "closed")
    made.published(made.row())
    assert not made.unpublished


def test_a_clock_set_back_does_not_keep_it_open() -> None:
    made = opened()
    assert made.allow(T - 3_600_000) == "no"
    assert made.allow(T - 3_600_000 + OPEN_MS) == "probe"


def test_its_numbers_can_be_set() -> None:
    made = Breaker("fcm", "push", BreakerSettings(failures=1, open_ms=10))
    made.failed(T)
    assert made.allow(T + 10) == "probe"
