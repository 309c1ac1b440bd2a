"""The benchmark of the recorder runs, and its figures are of the kind that they say."""

import json

import pytest

from heartbench.benchmarks.hub.recorder import main


@pytest.mark.slow
def test_it_measures_cost_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--turns", "4", "--nodes", "2", "--heartbeats", "10", "--rows", "5000"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["conversion_us"] > 0
    assert 1 < found["parquet_bytes"] < 20 < found["journal_bytes"]
