"""Nodes that share a queue: run in turns they are what they are alone, and wait for each other by hand calculation."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.simulator.test_scenario import load

from heartbench.analysis.simulated import GapsSink
from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines import virtual
from heartbench.simulator.engines.live.engine import LiveEngine
from heartbench.simulator.engines.locust.fleet import Fleet
from heartbench.simulator.engines.virtual import blocks, run_nodes
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages

ALONE = """
duration = "6m"
[[group]]
name = "edge"
nodes = 7
profile = "wireguard-5g"
heartbeat_interval = "2s"
keepalive_time = "10s"
keepalive_timeout = "5s"
# Losses are drawn by the microsecond at which a packet leaves.
link = { up = { loss = { good = 0, bad = 0 } }, down = { loss = { good = 0, bad = 0 } } }
file_bytes = 100000
file_every = "70s"
[[fault]]
kind = "crash"
group = "edge"
at = "1m"
for = "20s"
fraction = 0.4
[[fault]]
kind = "partition"
group = "edge"
at = "2m"
for = "30s"
fraction = 0.5
"""
ENDLESS = "{ bit_rate = 1e12, buffer_bytes = 1000000000 }"

WAVE = """
duration = "2m"
[[group]]
name = "edge"
nodes = 12
profile = "lan"
heartbeat_interval = "1s"
file_bytes = 20000
file_every = "1h"
file_spread = "0s"
start_spread = "1s"
site = { nodes = 12, uplink = { bit_rate = 80000, buffer_bytes = 20000 } }
"""


def ran(scenario: Scenario) -> tuple[Messages, NDArray[np.float64]]:
    """Return the messages and closes of all blocks."""
    parts = [run_nodes(plan) for plan in blocks(scenario)]
    columns = (np.concatenate([getattr(part[0], field.name) for part in parts]) for field in fields(Messages))
    return Messages(*columns), np.concatenate([part[1] for part in parts])


def late_s(messages: Messages, kind: Kind) -> NDArray[np.float64]:
    late: NDArray[np.float64] = (messages.arrived_s - messages.sent_s)[messages.kind == kind]
    return late


def test_nodes_that_never_wait_for_each_other_are_what_they_are_alone(tmp_path: Path) -> None:
    one, one_closes = ran(load(tmp_path, ALONE))
    crew, crew_closes = ran(load(tmp_path, ALONE, f"group.edge.site={{nodes=3, uplink={ENDLESS}}}"))
    for name in ("node", "boot", "connection", "seq", "kind"):
        assert np.array_equal(getattr(one, name), getattr(crew, name))
    assert np.allclose(one.sent_s, crew.sent_s, atol=1e-6)
    assert np.allclose(one.arrived_s, crew.arrived_s, atol=1e-6, equal_nan=True)
    order = np.lexsort((crew_closes[:, 1], crew_closes[:, 0]))
    assert np.allclose(one_closes, crew_closes[order], atol=1e-6, equal_nan=True)
    assert len(one_closes) > 3


def test_sites_are_the_same_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sited = load(tmp_path, WAVE, "group.edge.site.nodes=3", "duration=20s")
    whole, _ = ran(sited)
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 1)
    cut, _ = ran(sited)
    assert len(list(blocks(sited))) == 4
    assert all(np.array_equal(getattr(whole, f.name), getattr(cut, f.name), equal_nan=True) for f in fields(Messages))


def test_heartbeats_are_late_by_what_the_queue_holds_and_behind_a_file_by_the_wave(tmp_path: Path) -> None:
    full_s = 20_000 * 8 / 80_000  # what the queue holds
    wave_s = 12 * (20_080 + 15 * 52) * 8 / 80_000  # all files
    own, _ = ran(load(tmp_path, WAVE, "group.edge.separate_uploads=true"))
    shared, _ = ran(load(tmp_path, WAVE))
    files_end_s = own.arrived_s[own.kind == Kind.CHUNK].max()
    assert wave_s < files_end_s < 1.7 * wave_s
    during = (own.kind == Kind.HEARTBEAT) & (own.sent_s > 2.0) & (own.sent_s < wave_s / 2)
    assert np.quantile((own.arrived_s - own.sent_s)[during], [0.5, 0.8]) == pytest.approx([full_s, full_s], rel=0.15)
    assert late_s(shared, Kind.HEARTBEAT).max() > wave_s / 2


def test_a_heartbeat_waits_for_the_packets_of_the_other_connection(tmp_path: Path) -> None:
    overrides = [
        "group.edge.nodes=1",
        "group.edge.start_spread=0s",
        "group.edge.heartbeat_jitter=0",
        "group.edge.heartbeat_interval=100ms",
        "group.edge.separate_uploads=true",
        "group.edge.link.uplink={bit_rate=80000, buffer_bytes=100000}",
        "group.edge.link.up={base_delay='10ms'}",
        "group.edge.link.down={base_delay='10ms'}",
        "group.edge.link.mss_bytes=1368",
        "duration=3s",
    ]
    messages, _ = ran(load(tmp_path, WAVE.replace("site =", "# site ="), *overrides))
    file_s = messages.sent_s[messages.kind == Kind.CHUNK][0]
    burst = 2 * (52 + 260 + 52) + 9 * (1368 + 52)  # of each connection ACK of SETTINGS and Hello; the first window
    heartbeat = int(np.flatnonzero((messages.kind == Kind.HEARTBEAT) & (messages.sent_s > file_s))[0])
    assert messages.sent_s[heartbeat] - file_s < 0.1  # no packet of the file is acknowledged yet
    hello_s = messages.sent_s[messages.kind == Kind.HELLO][0]
    expected = hello_s + (burst + 34 + 52) / 10_000 + 0.01
    assert messages.arrived_s[heartbeat] == pytest.approx(expected, abs=3e-4)


@pytest.mark.parametrize("key", ["separate_uploads=true", f"site={{nodes=3, uplink={ENDLESS}}}"])
def test_only_the_virtual_engine_runs_nodes_in_turns(key: str, tmp_path: Path) -> None:
    scenario = load(tmp_path, ALONE, f"group.edge.{key}")
    refusal = f"group edge: {key.partition('=')[0]}.*only the virtual engine"
    with pytest.raises(SimulatorError, match=refusal):
        LiveEngine(RunDirectory.create(tmp_path / "run", "test", "live")).run(scenario, GapsSink())
    with pytest.raises(SimulatorError, match=refusal):
        Fleet(scenario)


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ([f"group.edge.link.uplink={ENDLESS}"], "site.uplink and link.uplink exclude each other"),
        (["group.edge.site.nodes=5001"], "nodes: 5001: must be at most 5000 with an uplink"),
    ],
)
def test_a_shared_queue_that_cannot_be_is_refused(overrides: list[str], refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=refusal):
        load(tmp_path, WAVE, *overrides)
