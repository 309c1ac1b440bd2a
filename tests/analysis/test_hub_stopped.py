"""A hub that is stopped for longer than its threshold: no live node is stale, and all figures of the run agree."""

from pathlib import Path

import numpy as np
import pytest

from heartbench.analysis.evidence import read_gaps
from heartbench.analysis.qos import judge
from heartbench.analysis.tally import Judged
from heartbench.cli.measure import EngineName, Options, measure
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.trace import read_truth

STOPPED = """
duration = "700s"
[hub]
stale_after_s = 90
flap_window_s = 180
[[group]]
name = "edge"
nodes = 100
profile = "{profile}"
heartbeat_interval = "10s"
reconnect = {{ max = "120s" }}
[[hub_fault]]
kind = "{kind}"
at = "30s"
for = "{away}"
"""

# The same at a twentieth of the time. The hub's start takes as long as ever, and a grace has to cover it.
QUICKER = """
duration = "26s"
[hub]
stale_after_s = 4.5
restart_grace_s = 12
[[group]]
name = "edge"
nodes = 20
profile = "lan"
heartbeat_interval = "1s"
reconnect = { max = "6s" }
[[hub_fault]]
kind = "stop"
at = "3s"
for = "7s"
"""


def scenario_in(folder: Path, text: str) -> Scenario:
    (folder / "stopped.toml").write_text(text, encoding="utf-8")
    return load_scenario(str(folder / "stopped.toml"))


def assert_nobody_was_stale(judged: Judged) -> None:
    assert (judged.false_stale_per_node_day, judged.flaps_per_node_hour, judged.flashes_per_hour) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("kind", "away"), [("stop", "150s"), ("stop", "300s"), ("kill", "150s"), ("pause", "150s")])
def test_a_hub_that_is_away_for_minutes_is_no_nodes_silence(kind: str, away: str, tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path, STOPPED.format(profile="lan", kind=kind, away=away))
    run = RunDirectory.create(tmp_path / "run", "stopped", "virtual")
    measured = measure(scenario, Options(EngineName.VIRTUAL), run, lambda: False)
    assert_nobody_was_stale(measured.figures.whole.judged)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_a_mobile_network_only_an_outage_of_its_link_makes_a_node_stale(seed: int, tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path, STOPPED.format(profile="wireguard-5g", kind="stop", away="150s"))
    scenario = scenario.model_copy(update={"seed": seed})
    run = RunDirectory.create(tmp_path / "run", "stopped", "virtual")
    measured = measure(scenario, Options(EngineName.VIRTUAL), run, lambda: False)
    gaps = read_gaps(run, scenario.duration_s)
    truth = read_truth(run.truth)
    long_outages = truth[(truth.event == "outage") & (truth.end_s - truth.start_s >= 20.0)]
    ours = np.setdiff1d(gaps.node, long_outages.node)
    assert len(ours) > 50
    assert judge(gaps.of(ours), [measured.summary.hub.policy], scenario.duration_s).mistakes.sum() == 0


@pytest.mark.slow
def test_the_hub_and_what_is_computed_from_its_trace_agree_that_nobody_was_stale(tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path, QUICKER)
    run = RunDirectory.create(tmp_path / "run", "stopped", "live")
    measured = measure(scenario, Options(EngineName.LIVE, workers=1), run, lambda: False)
    assert_nobody_was_stale(measured.figures.whole.judged)
    hub, agreement = measured.figures.hub, measured.agreement
    assert hub is not None
    assert agreement is not None
    assert (hub.stale, hub.false_stale, hub.flaps, hub.flashes) == (0, 0, 0, 0)
    assert (agreement.not_following, agreement.missing) == (0, 0)
