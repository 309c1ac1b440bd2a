"""Locust as a user starts it, in processes of its own, at a real hub; on loopback alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heartbench.hub import HubSettings
from heartbench.hub.extras import how_to_install
from heartbench.mesh.channel import open_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub
from heartbench.simulator.engines.live.hub import HubProcess
from heartbench.simulator.run_directory import RunDirectory

MAIN = "from heartbench.cli.app import main; main()"
WITHIN_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Any]:
    process = HubProcess(HubSettings.of(), RunDirectory.create(tmp_path / "hub", "lan", "load"))
    process.wait_until_ready()
    yield process.address
    process.stop()


@pytest.fixture
def locust() -> Iterator[Any]:
    """Start `heartbench load` with some options; whatever comes of it is gone at the end."""
    started = []

    def start(*options: Any) -> Any:
        command = [sys.executable, "-P", "-c", MAIN, "load", *options]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, start_new_session=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_of(process: Any) -> Any:
    """Its exit status, the figures by (type, name), and what it logged; no process of its session is left."""
    out, log = process.communicate(timeout=WITHIN_S)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    if not out:
        return process.returncode, {}, log
    result = json.loads(out)
    assert out.count("\n") == 1
    assert (result["schema"], result["status"]) == ("heartbench.load/1", process.returncode)
    return process.returncode, {(row["type"], row["name"]): row for row in result["rows"]} | result, log


def nodes_at(address: str) -> Any:
    with open_channel(address) as channel:
        return HubAdminStub(channel).ListNodes(pb.ListNodesRequest()).nodes


def test_thirty_nodes_load_a_hub_and_say_goodbye(hub: Any, locust: Any) -> None:
    status, table, log = end_of(locust("--headless", "--json", "-u", "30", "-r", "30", "-t", "8s", "--host", hub))
    assert status == 0, log
    connect, heartbeat = table["hub", "connect"], table["hub", "heartbeat"]
    assert (connect["requests"], connect["failures"]) == (30, 0)
    assert heartbeat["requests"] > 90
    assert heartbeat["failures"] == 0
    assert heartbeat["latency_s"]["min"] < 0.05  # nobody waits for a thread
    assert heartbeat["latency_s"]["p50"] <= heartbeat["latency_s"]["p99"] < 8.0
    assert (table["scenario"], table["hub"], table["failures"]) == ("lan", hub, [])
    assert "heartbeat" in log  # Locust's own table is for people
    assert {(node.status, node.reason) for node in nodes_at(hub)} == {(pb.STATUS_OFFLINE, pb.REASON_GOODBYE)}
    assert len(nodes_at(hub)) == 30


def test_users_of_two_workers_are_different_nodes(hub: Any, locust: Any) -> None:
    port = str(free_port())
    workers = [locust("--worker", "--master-port", port) for _ in range(2)]
    master = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2")
    run = ("--headless", "--json", "-u", "20", "-r", "20", "-t", "4s", "--host", hub)
    status, table, log = end_of(locust(*master, *run))
    assert status == 0, log
    assert table["hub", "connect"]["requests"] == len(nodes_at(hub)) == 20
    assert [end_of(worker)[0] for worker in workers] == [0, 0]


def test_a_hub_that_is_not_there_is_a_failure_of_every_attempt(locust: Any) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    status, table, log = end_of(locust("--headless", "--json", "-u", "3", "-r", "3", "-t", "4s", "--host", nowhere))
    assert status == 1
    connect = table["hub", "connect"]
    assert connect["failures"] == connect["requests"] >= 3
    assert sum(each["count"] for each in table["failures"]) == connect["failures"]
    assert "UNAVAILABLE" in table["failures"][0]["reason"]
    assert ("hub", "heartbeat") not in table
    assert "Traceback" not in log


def test_the_web_page_starts_nodes_and_the_process_ends_when_told(hub: Any, locust: Any) -> None:
    port = free_port()
    process = locust("--web-host", "127.0.0.1", "--web-port", str(port), "--host", hub)
    page = page_of(f"http://127.0.0.1:{port}/", process)
    assert '"scenario"' in page
    asked = urllib.parse.urlencode({"user_count": 3, "spawn_rate": 3, "host": hub, "scenario": "lan"}).encode()
    assert json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/swarm", asked, timeout=5.0))["success"]
    end = time.monotonic() + WITHIN_S
    while len(nodes_at(hub)) < 3 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(nodes_at(hub)) == 3
    process.send_signal(signal.SIGTERM)
    assert end_of(process)[0] == 0


def page_of(url: Any, process: Any) -> Any:
    end = time.monotonic() + WITHIN_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5.0) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError("no page")


@pytest.mark.parametrize(("options", "seed"), [(("--seed", "5"), 5), ((), 1)])
def test_as_json_it_names_the_hub_and_the_seed_that_it_takes_by_default(locust: Any, options: Any, seed: int) -> None:
    _, figures, _ = end_of(locust("--headless", "--json", "-u", "1", "-t", "1s", *options))
    assert (figures["hub"], figures["seed"]) == ("127.0.0.1:50551", seed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-u", "1", "--scenario", "moon"), "scenario: 'moon' is not known"),
        (("-u", "0"), "--users: 0: must be 1 or more"),
        (("-u", "1", "--host", "127.0.0.1:99999"), "--host: 127.0.0.1:99999: must be HOST:PORT"),
        (("--moon",), "heartbench: load: unrecognized arguments: --moon"),
    ],
)
def test_wrong_options_are_told_with_status_2(locust: Any, options: Any, said: str) -> None:
    status, printed, log = end_of(locust("--headless", "-t", "1s", *options))
    assert (status, printed) == (2, {})
    assert said in log
    assert log.startswith("heartbench: ")
    assert log.count("\n") == 1
    assert "Traceback" not in log


def test_benchmarks_are_imported_without_locust_or_gevent() -> None:
    lines = "import sys, heartbench.benchmarks, heartbench.cli.load\n"
    loaded = "print([name for name in ('locust', 'gevent') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", lines + loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_locust_one_line_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['locust'] = None; sys.argv = ['heartbench', 'load']; " + MAIN
    done = subprocess.run([sys.executable, "-P", "-c", hidden], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"heartbench: load: Locust is not installed: {how_to_install('load')}\n"
