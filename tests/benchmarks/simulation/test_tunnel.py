"""The benchmark of the tunnel runs the same nodes with and without one."""

import re

import pytest

from heartbench.benchmarks.simulation import tunnel


def test_it_prints_what_a_heartbeat_costs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tunnel, "NODES", 2)
    monkeypatch.setattr(tunnel, "PAIRS", 2)
    tunnel.main()
    assert re.match(r"2 nodes for a day, 2 pairs of runs: [0-9.]+ instead of [0-9.]+ µs", capsys.readouterr().out)
