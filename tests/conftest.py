"""What holds for every test: real engines for those who ask, and none may be skipped, so that green means all ran."""

import pytest
from hypothesis import settings

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

pytest_plugins = ["tests.engines", "tests.monitors", "tests.valkey", "tests.acceptance.kills"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that left out a test it had chosen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker: the run that it is part of counts
    left_out = [report for kind in ("skipped", "xfailed") for report in reporter.stats.get(kind, [])]
    for report in left_out:
        reporter.write_line(f"left out, which fails the run: {report.nodeid}")
    if left_out and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
