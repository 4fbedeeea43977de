"""Readiness is as bad as its worst check and says why; liveness asks nothing."""

import msgspec
import pytest

from bellhouse.observability.health import Finding, Health


def test_without_checks_the_process_is_ready() -> None:
    ready = Health().ready()
    assert (ready.status, ready.checks, ready.http_status) == ("ready", (), 200)


def test_the_worst_check_decides_and_every_check_is_listed_in_order() -> None:
    health = Health()
    health.register("store", lambda: Finding("ready"))
    health.register("backlog", lambda: Finding("degraded", "low is refused: 2,000,000 wait"))
    assert (health.ready().status, health.ready().http_status) == ("degraded", 200)
    health.register("disk", lambda: Finding("not_ready", "the disk is full"))
    assert msgspec.json.decode(msgspec.json.encode(health.ready())) == {
        "status": "not_ready",
        "checks": [
            {"name": "store", "status": "ready", "reason": ""},
            {"name": "backlog", "status": "degraded", "reason": "low is refused: 2,000,000 wait"},
            {"name": "disk", "status": "not_ready", "reason": "the disk is full"},
        ],
    }
    assert health.ready().http_status == 503


def test_a_check_that_raises_is_not_ready_and_hides_the_errors_text() -> None:
    health = Health()

    def broken() -> Finding:
        raise ConnectionError("bob@example.com")

    health.register("store", broken)
    (result,) = health.ready().checks
    assert (result.status, result.reason) == ("not_ready", "the check failed: ConnectionError")


def test_a_check_is_asked_anew_each_time() -> None:
    health = Health()
    findings = [Finding("not_ready", "starting"), Finding("ready")]
    health.register("start", lambda: findings.pop(0))
    assert [health.ready().status, health.ready().status] == ["not_ready", "ready"]


def test_a_name_is_registered_once() -> None:
    health = Health()
    health.register("store", lambda: Finding("ready"))
    with pytest.raises(ValueError, match="store"):
        health.register("store", lambda: Finding("ready"))


def test_the_process_is_alive_whatever_its_checks_say() -> None:
    health = Health()
    health.register("disk", lambda: Finding("not_ready", "full"))
    assert msgspec.json.encode(health.live()) == b'{"status":"alive"}'
