"""The hub's own network is cut: it suspects that, and not its nodes. In small, with `hub-cut` for the full form."""

from pathlib import Path

import numpy as np
import pytest
from tests.simulator.recorded import record

from heartbench.simulator.engines.live.engine import LiveEngine
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import read_trace, read_transitions, read_truth

# First a third of each group is cut off, then everybody; connections of one group outlive it, those of the other close.
CUTS = """
duration = "18s"
[hub]
stale_after_s = 3.0
flap_window_s = 60.0
[[group]]
name = "patient"
nodes = 20
profile = "lan"
heartbeat_interval = "0.5s"
[[group]]
name = "hasty"
nodes = 20
profile = "lan"
heartbeat_interval = "0.5s"
user_timeout = "2s"
reconnect = { initial = "0.3s", max = "1s" }
"""
CUT = '[[fault]]\nkind = "partition"\ngroup = "{}"\nat = "{}s"\nfor = "{}s"\nfraction = {}\n'
SOME, ALL = (1.5, 4.0, 0.3), (9.5, 6.0, 1.0)  # from, for, share


@pytest.mark.slow
def test_a_hub_that_is_cut_off_calls_nobody_stale_and_a_third_of_the_nodes_as_ever(tmp_path: Path) -> None:
    faults = [CUT.format(group, *cut) for group in ("patient", "hasty") for cut in (SOME, ALL)]
    (tmp_path / "cuts.toml").write_text(CUTS + "".join(faults), encoding="utf-8")
    directory = RunDirectory.create(tmp_path / "run", "cuts", "live")
    record(LiveEngine(directory, workers=1), load_scenario(str(tmp_path / "cuts.toml")), directory)
    said, truth = read_transitions(directory.transitions), read_truth(directory.truth)
    arrived = read_trace(directory.path)[["node", "arrived_s"]].dropna()

    cut_off = set(truth.query(f"event == 'partition' and start_s == {SOME[0]}").node)
    stale = said[said.reason == "silence"].set_index("node").at_s
    last_heard = arrived[arrived.arrived_s < stale.min()].groupby("node").arrived_s.max()
    assert len(cut_off) == 12
    assert set(stale.index) == cut_off
    assert stale.index.is_unique
    assert np.allclose(stale, last_heard[stale.index] + 3.0, atol=0.001)
    assert stale.max() < ALL[0]

    in_the_cut = said[said.at_s > ALL[0]]
    closed = set(truth.query(f"event == 'close' and start_s > {ALL[0]}").node)
    assert closed == set(range(20, 40))
    assert set(in_the_cut.status) == {"online"}
    assert closed <= set(in_the_cut.query("connected").node)
    assert not in_the_cut.flapping.any()
    assert set(arrived[arrived.arrived_s > sum(ALL[:2])].node) == set(range(40))

    log = (directory.path / "hub.log").read_text()
    assert log.count("event=MassSilenceBegan") == 1
    assert log.count("event=MassSilenceEnded") == 1
    assert "gave_up=false" in log
