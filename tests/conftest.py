"""Options of a test run, beside those of pytest.

`HEARTBENCH_NO_SKIPS=1` fails a run in which a test was skipped: CI installs everything that a test may miss. It is a
variable and not an option, so that CI runs the same command as everyone else.
"""

import os

import pytest
from hypothesis import settings

NO_SKIPS = "HEARTBENCH_NO_SKIPS"

settings.register_profile("no deadline", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=6, help="how often the kill -9 tests kill, for each store")
    parser.addoption("--long-pauses", action="store_true", help="hold the hub up for 45 s, with 300 nodes: 7 minutes")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get(NO_SKIPS) == "1" and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{NO_SKIPS}=1: {len(skipped)} skipped, listed below")
