"""Reading the platform's own metrics, and the pictures that are drawn from them."""

import io

from rich.console import Console

from bellhouse.demo.faults import Fault
from bellhouse.demo.show import Lines, hour, ledger_line, picture
from bellhouse.demo.watch import Breaker, Ledger, Line, Metrics, Reading

TEXT = b"""# HELP notifications_sent_total Attempts.
# TYPE notifications_sent_total counter
notifications_sent_total{channel="push",provider="fcm",status="success"} 40
notifications_sent_total{channel="push",provider="fcm",status="failed"} 2
notifications_sent_total{channel="email",provider="smtp",status="success"} 1.5e1
ledger_imbalance 0
odd{text="a\\"b,c"} 1
"""
LEDGER = Ledger(100, 90, 0, [Line("delivery", "sent", 60), Line("delivery", "waiting", 30)], [])
FAULT = Fault("outage", "it is out", 0.0, 1.0, "sendgrid")


def _reading(ledger: Ledger = LEDGER) -> Reading:
    breakers = [Breaker("sendgrid", "email", "open")]
    return Reading(1.0, 100, {"push": 40.0}, {"push": 7.0}, {"fcm": 7.0}, 12, 3, 1, breakers, ledger)


def test_samples_are_summed_over_what_is_not_asked_for() -> None:
    metrics = Metrics(TEXT)
    assert metrics.total("notifications_sent_total", status="success") == 55
    assert metrics.by("notifications_sent_total", "channel", status="success") == {"push": 40, "email": 15}
    assert metrics.total("ledger_imbalance") == 0
    assert metrics.total("absent") == 0
    assert metrics.by("odd", "text") == {'a\\"b,c': 1}


def test_the_ledger_in_a_line_says_whether_it_balances() -> None:
    assert ledger_line(LEDGER) == "100 accepted, 90 planned = sent 60 + waiting 30: balances"
    assert "IMBALANCE 4" in ledger_line(Ledger(1, 1, 4, [], []))


def test_the_hour_is_the_share_of_a_day() -> None:
    assert [hour(share) for share in (0.0, 0.5, 0.999, 1.0)] == ["00:00", "12:00", "23:59", "24:00"]


def test_the_picture_shows_rates_breakers_the_ledger_and_what_goes_wrong() -> None:
    console = Console(file=io.StringIO(), width=110)
    console.print(picture(0.5, 1_000, _reading(), [FAULT]))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    for words in ("12:00", "1,000 events", "push", "sendgrid open", "balances", "outage: it is out"):
        assert words in drawn


def test_without_a_terminal_a_fault_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    console = Console(file=io.StringIO(), width=200)
    lines = Lines(console)
    for faults in ([FAULT], [FAULT], [], []):
        lines.look(0.5, 1, _reading(), faults)
    told = console.file.getvalue()  # type: ignore[attr-defined]  # as above
    assert told.count("outage: it is out") == 1
    assert told.count("outage is over") == 1
