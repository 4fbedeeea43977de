"""A process that stands still is told from one that is not there."""

import socket

import pytest

from bellhouse.app import examine
from bellhouse.engines.ports import free_port
from bellhouse.ops.doctor.diagnose import diagnose


def test_what_takes_a_connection_and_says_nothing_is_stuck_and_what_does_not_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examine, "_METRICS_S", 0.2)
    nobody = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as still:
        stuck = f"127.0.0.1:{still.getsockname()[1]}"
        facts = examine.examine(examine.Request(metrics=(stuck, nobody), window_s=0.2))
    assert (facts.hung_targets, facts.dead_targets) == ((stuck,), (nobody,))
    causes = {cause.name: cause for cause in diagnose(facts, "queue-backlog").causes}
    assert stuck in causes["StuckWorker"].evidence[0]
    assert nobody in causes["ProcessMissing"].summary
    assert next(iter(causes)) == "StuckWorker"
