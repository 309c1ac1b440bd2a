"""Options of a test run, beside those of pytest.

`HEARTBENCH_NO_SKIPS=1` fails a run in which a test was skipped: CI installs everything that a test may miss. It is a
variable and not an option, so that CI runs the same command as everyone else.

`--hypothesis-profile=explore` tries other examples in each run.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.hub.security.pki import Pki

NO_SKIPS = "HEARTBENCH_NO_SKIPS"

# Every run tries the same examples, so that a failure is the change's; how long one takes is the machine's affair.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how often the kill -9 tests kill, for each store")
    parser.addoption("--fuzz", type=int, default=40, help="how many examples of garbage the hub gets, for each test")
    parser.addoption("--herd", type=int, default=120, help="how many nodes come back in one moment")
    parser.addoption("--long-pauses", action="store_true", help="hold the hub up for 45 s, with 300 nodes: 7 minutes")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `--numprocesses auto`: twice the cores, because live tests mostly wait."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_sessionstart() -> None:
    """Hide the worker from processes that tests start: pytest-benchmark does not measure in a worker."""
    os.environ.pop("PYTEST_XDIST_WORKER", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with slow tests first, so that none of them is the last to end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--fuzz"))


@pytest.fixture
def herd(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--herd"))


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


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> "Pki":
    """A folder that `heartbench certs` filled, and another CA."""
    from tests.hub.security.pki import Pki

    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 nodes for 10 minutes on a network with many outages."""
    from tests.simulator.recorded import virtual_run

    from heartbench.simulator.scenario import load_scenario

    scenario = load_scenario("wireguard-5g-fast").with_nodes(40).model_copy(update={"duration_s": 600.0})
    run = virtual_run(scenario, tmp_path_factory.mktemp("runs") / "fast")
    settings = {"scenario": scenario.to_data(), "hub": scenario.hub_settings().model_dump(mode="json")}
    run.write_record(
        {"command": "heartbench run fast", "seed": 1, "settings": settings, "duration_s": 600.0, "nodes": 40}
    )
    return run.path


@pytest.fixture
def run_path(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run as the newest under the current directory; a test may write into it."""
    from heartbench.analysis import networks

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 1.0)  # a test needs no exact interval
    return Path(shutil.copytree(finished_run, Path("results/runs/fast-virtual-1")))
