"""`bellhouse simulator`: turning dials from the command line."""

from typing import Any

import pytest

from bellhouse.cli.simulator import _put


@pytest.mark.parametrize(
    ("settings", "patch"),
    [
        (["outage=503"], {"outage": "503"}),
        (["latency.kind=uniform", "latency.min_ms=50"], {"latency": {"kind": "uniform", "min_ms": 50}}),
        (["errors.unavailable=0.25", "callbacks=false"], {"errors": {"unavailable": 0.25}, "callbacks": False}),
        (["throttle=null"], {"throttle": None}),
        (['dead_tokens=["a", "b"]'], {"dead_tokens": ["a", "b"]}),
    ],
)
def test_a_dial_is_a_name_and_a_value(settings: list[str], patch: dict[str, Any]):
    found: dict[str, Any] = {}
    for setting in settings:
        _put(found, setting)
    assert found == patch


def test_where_no_simulator_answers_the_remedy_is_named(run):
    status, _, complaint = run("simulator", "dials", "--url", "http://127.0.0.1:9")
    assert status == 1
    assert "bellhouse simulator" in complaint
