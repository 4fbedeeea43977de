"""Prometheus scrapes, evaluates and calls; Alertmanager tells; both say in words what they cannot do."""

import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bellhouse.engines.alertmanager import Alertmanager, amtool, webhook_configuration
from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed
from bellhouse.engines.process import run_program
from bellhouse.engines.prometheus import Job, Prometheus, promtool
from tests.monitors import Pager, wait_until

INTERVAL_S = 0.1
RULES = '{"groups": [{"name": "g", "rules": [{"alert": "BellsMissing", "expr": "bells < 3"}]}]}'


@pytest.fixture
def exposed() -> Iterator[str]:
    """`host:port` of a process whose only metric says 2."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"bells 2\n")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rule file with one alert."""
    path = tmp_path / "bells.rules.yml"
    path.write_text(RULES)
    return path


def test_an_alert_goes_from_a_scraped_process_to_whoever_is_called(exposed: str, rules: Path, pager: Pager) -> None:
    with Alertmanager(webhook_configuration(f"{pager.url}/all")) as manager:
        jobs = [Job("tower", (exposed,), {"town": "Bern"})]
        with Prometheus(jobs=jobs, rules=[rules], alertmanager=manager.url, interval_s=INTERVAL_S) as prometheus:
            told = pager.wait_for("BellsMissing")
            assert told["path"] == "/all"
            assert told["labels"]["town"] == "Bern"
            assert [sample.value for sample in prometheus.query("bells")] == [2.0]
            assert [sample.value for sample in prometheus.query("scalar(bells) * 2")] == [4.0]
            assert [(alert.name, alert.state) for alert in prometheus.alerts()] == [("BellsMissing", "firing")]
            assert [target.health for target in prometheus.targets()] == ["up"]
            assert prometheus.faulty_rules() == {}
            assert [held.receivers for held in manager.alerts()] == [("webhook",)]


def test_rules_and_jobs_change_while_it_runs_and_bad_ones_are_refused_in_words(exposed: str, rules: Path) -> None:
    with Prometheus(interval_s=INTERVAL_S) as prometheus:
        assert prometheus.targets() == []
        prometheus.reload(jobs=[Job("tower", (exposed,))], rules=[rules])
        wait_until(prometheus.alerts)
        rules.write_text("groups: 7")
        with pytest.raises(ProgramFailed, match=r"reload answered 500.*failed to reload config"):
            prometheus.reload()
        assert prometheus.alerts()


def test_a_query_that_is_none_is_refused_in_words() -> None:
    with Prometheus() as prometheus, pytest.raises(ProgramFailed, match=r"answered 400.*parse error"):
        prometheus.query("rate(")


def test_what_was_scraped_is_there_after_a_restart(exposed: str) -> None:
    with Prometheus(jobs=[Job("tower", (exposed,))], interval_s=INTERVAL_S) as prometheus:
        wait_until(lambda: prometheus.query("bells"))
        prometheus.reload(jobs=[])
        prometheus.restart()
        assert prometheus.query("max_over_time(bells[5m])")
        assert prometheus.targets() == []


def test_a_configuration_that_is_none_keeps_alertmanager_from_starting() -> None:
    with pytest.raises(EngineDidNotStart, match="ended with code 1"), Alertmanager("route: 7"):
        pass


def test_alerts_may_be_given_by_hand_and_the_configuration_changed(pager: Pager) -> None:
    with Alertmanager(webhook_configuration(f"{pager.url}/first")) as manager:
        manager.reload(webhook_configuration(f"{pager.url}/second"))
        manager.give([{"alertname": "ByHand"}])
        assert pager.wait_for("ByHand")["path"] == "/second"


def test_the_tools_that_check_come_with_them(rules: Path) -> None:
    assert "1 rules found" in run_program([promtool(), "check", "rules", rules])
    assert "amtool" in run_program([amtool(), "--version"])


def test_an_engine_that_ends_before_one_looks_again_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled(process: "subprocess.Popen[bytes]", number: int) -> None:
        signal_it(process, number)
        process.wait()

    signal_it = subprocess.Popen.send_signal
    with Alertmanager(webhook_configuration("http://127.0.0.1:1")) as manager:
        monkeypatch.setattr(subprocess.Popen, "send_signal", signalled)
        manager.stop()
        assert not manager.running
