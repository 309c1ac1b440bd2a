"""A small fleet with and without TLS, and beside an attack: the figures, not their size."""

import json

import pytest

from heartbench.benchmarks.hub.credentials import main

pytestmark = pytest.mark.slow


def test_a_pair_is_measured_and_an_attack_beside_honest_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--nodes", "2", "--heartbeats", "500", "--pairs", "1", "--attack-s", "1", "--per-s", "1"]
    assert main(arguments) in {0, 1}  # 1: the machine is too busy
    found = json.loads(capsys.readouterr().out)
    (pair,) = found["pairs"]
    assert pair["plain"].keys() == pair["tls"].keys()
    assert found["heartbeat_cpu_ratio"] > 0
    assert found["p50_p99_s"].keys() == {"alone", "beside"}
