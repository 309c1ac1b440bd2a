"""The hub as a process: what it prints, and its exit status."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from heartbench.hub.store.url import open_store
from heartbench.mesh.channel import open_channel
from heartbench.mesh.encoding import hello
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

HUB = [sys.executable, "-m", "heartbench.hub", "--json"]


def environment(store_url: str, **settings: str) -> dict[str, str]:
    return {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": store_url, **settings}


def test_a_damaged_store_is_one_line_and_status_2(tmp_path: Path) -> None:
    open_store(url := f"sqlite:///{tmp_path}/hub.db").close()
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as somebody:
        somebody.execute("INSERT INTO node VALUES ('edge', '{}')")
    ended = subprocess.run(HUB, check=False, env=environment(url), capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"heartbench: HUB_STORE_URL: {tmp_path}/hub.db is damaged: node 'edge': its record: ")


def node_that_connects(address: str) -> None:
    with open_channel(address) as channel:
        calls = NodeMeshStub(channel).Connect(iter([hello("edge")]))
        assert next(iter(calls)).HasField("welcome")


def start(output: int, **settings: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        HUB, env=environment("memory:", **settings), stdout=subprocess.PIPE, stderr=output, text=True
    )


def address_of(hub: "subprocess.Popen[str]") -> str:
    assert hub.stdout is not None
    return str(json.loads(hub.stdout.readline())["address"])


def ends(hub: "subprocess.Popen[str]") -> int:
    hub.send_signal(signal.SIGTERM)
    try:
        return hub.wait(5)
    finally:
        hub.kill()
        hub.communicate()


def lost_lines(address: str) -> int:
    with open_channel(address) as channel:
        return int(HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=5).log_lines_lost)


def test_a_log_on_a_full_disk_does_not_end_the_hub() -> None:
    with Path("/dev/full").open("w") as full:
        hub = start(full.fileno())
        address = address_of(hub)
        node_that_connects(address)
        assert lost_lines(address) > 0
        assert ends(hub) == 0


def test_a_log_whose_reader_went_away_does_not_end_the_hub() -> None:
    hub = start(subprocess.PIPE)
    address = address_of(hub)
    assert hub.stderr is not None
    hub.stderr.close()
    hub.stderr = None
    node_that_connects(address)
    assert ends(hub) == 0


def test_a_log_whose_reader_stalls_keeps_no_signal_waiting() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    hub = start(writer)
    node_that_connects(address_of(hub))
    assert ends(hub) == 0
    os.close(reader)
    os.close(writer)


def test_an_observer_file_on_a_full_disk_stops_recording_and_not_the_hub() -> None:
    hub = start(subprocess.PIPE, HUB_OBSERVE_FILE="/dev/full")
    address = address_of(hub)
    node_that_connects(address)
    with open_channel(address) as channel:
        assert HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=5).observer_records_lost > 0
    hub.send_signal(signal.SIGTERM)
    _, said = hub.communicate(timeout=5)
    assert hub.returncode == 0
    assert said.count("recording has stopped") == 1
    assert "Traceback" not in said
