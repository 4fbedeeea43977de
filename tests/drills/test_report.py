"""What is told of drills."""

import io
import json
from pathlib import Path

from rich.console import Console

from bellhouse.drills.report import HEADINGS, Report, as_json, keep, markdown, show
from bellhouse.drills.run import Result

GOOD = Result(
    name="provider-outage", family="providers", mode="embedded", breaks="It is down.", alert="ProviderCircuitOpen",
    severity="warning", promised_s=20.0, fired_s=10.6, cause="ProviderOutage", found="ProviderOutage",
    evidence=("Of 10 calls, 0 % were accepted.",), diagnosed_s=3.1, lever="mend it", recovered_s=5.2, balanced=True,
    also=("DLQGrowing",),
)  # fmt: skip
BAD = Result(
    name="database-down", family="platform", mode="cluster", breaks="It is gone.", alert="DependencyDown",
    severity="critical", promised_s=16.0, cause="DatabaseDown", found="KafkaDown", lever="start it",
    error="DependencyDown did not fire within 47 s",
)  # fmt: skip
BOTH = Report(1 / 60, 90.0, (GOOD, BAD))


def drawn(report: Report) -> str:
    text = io.StringIO()
    show(Console(file=text, width=200), report)
    return text.getvalue()


def test_a_run_passes_when_each_drill_does_and_there_was_one() -> None:
    assert Report(1, 1, (GOOD,)).passed
    assert not BOTH.passed
    assert not Report(1, 1, ()).passed


def test_the_table_has_a_row_for_each_drill_with_its_times() -> None:
    text = drawn(BOTH)
    for word in ("provider-outage", "10.6 s", "passed", "KafkaDown, not DatabaseDown", "never", "failed"):
        assert word in text
    assert "database-down: DependencyDown did not fire within 47 s" in text
    assert "2 drills in 1.5 minutes: the right alert in time 1, the cause named first 1" in text


def test_the_object_has_every_figure_and_what_follows_from_it() -> None:
    answer = json.loads(as_json(BOTH))
    assert (answer["passed"], len(answer["results"])) == (False, 2)
    good, bad = answer["results"]
    assert (good["passed"], good["in_time"], good["named_right"], good["fired_s"]) == (True, True, True, 10.6)
    assert (bad["passed"], bad["fired_s"], bad["error"]) == (False, None, BAD.error)


def test_the_page_has_the_table_and_a_part_for_each_drill(tmp_path: Path) -> None:
    keep(BOTH, tmp_path / "drills.md")
    text = (tmp_path / "drills.md").read_text()
    assert text == markdown(BOTH)
    assert f"| {' | '.join(HEADINGS)} |" in text
    assert "## provider-outage\n\nIt is down. Mended by: mend it." in text
    assert "* Of 10 calls, 0 % were accepted." in text
    assert "* Fired as well: DLQGrowing." in text


def test_a_page_that_nobody_should_have_got_is_told() -> None:
    woken = Result(**{**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__}, "woken": True})
    assert "provider-outage: somebody was woken: DLQGrowing" in drawn(Report(1, 1, (woken,)))
