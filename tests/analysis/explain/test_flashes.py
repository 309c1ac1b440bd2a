"""A run of the fleet of wireguard-5g: its false stales add up, and three of them are computed by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis.evidence import Evidence, evidence_of
from heartbench.analysis.explain.flashes import explain
from heartbench.analysis.explain.knobs import try_knobs, with_mends
from heartbench.analysis.explain.summary import sum_up
from heartbench.cli.app import invoke
from heartbench.simulator.trace import read_trace, read_truth

# Three nodes of wireguard-5g, all cut off from 300 to 325 s.
CUT_FROM_S, CUT_TO_S, ALLOWED_S = 300.0, 325.0, 30.0
FLEET = """
duration = "1200s"
[hub]
stale_after_s = 30
[[group]]
name = "edge"
nodes = 3
profile = "wireguard-5g"
heartbeat_interval = "10s"
[[fault]]
kind = "partition"
group = "edge"
at = "300s"
for = "25s"
nodes = 3
"""


@pytest.fixture(scope="module")
def run_of_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    (folder / "three.toml").write_text(FLEET, encoding="utf-8")
    assert invoke(["run", str(folder / "three.toml"), "--out", str(folder / "run"), "--workers", "1"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def evidence(run_of_three: Path) -> Evidence:
    return evidence_of(run_of_three)


def gap_around(trace: pd.DataFrame, node: int, at_s: float) -> tuple[float, float]:
    """Return the last arrival before a time and the first one after it."""
    arrived_s = np.sort(trace.arrived_s[trace.node == node].dropna())
    after = int(np.searchsorted(arrived_s, at_s))
    return float(arrived_s[after - 1]), float(arrived_s[after])


def test_three_false_stales_are_as_computed_by_hand(run_of_three: Path, evidence: Evidence) -> None:
    trace, truth = read_trace(run_of_three), read_truth(run_of_three / "truth.parquet")
    cut = truth[truth.event == "partition"]
    assert (cut.start_s.tolist(), cut.end_s.tolist()) == ([CUT_FROM_S] * 3, [CUT_TO_S] * 3)
    found = explain(evidence)
    assert [flash.mark.node for flash in found.each] == [0, 1, 2]
    for flash in found.each:
        last_s, next_s = gap_around(trace, flash.mark.node, CUT_FROM_S + 10.0)
        deadline_s = last_s + ALLOWED_S
        outages = truth[(truth.node == flash.mark.node) & truth.event.isin(["outage", "outage_up"])]
        assert not ((outages.start_s <= deadline_s) & (deadline_s < outages.end_s)).any()
        assert (flash.mark.from_s, flash.mark.until_s) == (last_s, next_s)
        assert flash.mark.at_s == pytest.approx(deadline_s)
        assert flash.mark.gap_s > ALLOWED_S
        assert (flash.kind == "unreachable") == (CUT_FROM_S <= deadline_s < CUT_TO_S)
        assert flash.link_back_s == CUT_TO_S
        assert flash.hidden_s == pytest.approx(next_s - CUT_TO_S)
    # By eye: deadlines at 321.7, 322.6 and 327.2 s; the third link was back 2.2 s before.
    assert [(str(flash.kind), str(flash.cause)) for flash in found.each] == [
        ("unreachable", "partition"),
        ("unreachable", "partition"),
        ("hidden", "rto backoff"),
    ]
    assert [flash.mark.at_s for flash in found.each] == pytest.approx([321.730, 322.626, 327.217], abs=0.001)


def test_classes_and_causes_add_up_to_the_figures_of_the_run(run_of_three: Path, evidence: Evidence) -> None:
    recorded = json.loads((run_of_three / "run.json").read_text(encoding="utf-8"))
    found = explain(evidence)
    total = sum_up(found)
    assert (total.false_stale, total.flashes) == (recorded["false_stale"], recorded["flashes"])
    assert sum(share.count for share in total.by_cause) == recorded["false_stale"]
    assert total.count("unreachable") + total.count("hidden") == recorded["false_stale"]
    assert sum(share.shown for share in total.by_cause) == recorded["flashes"]
    assert not any(flash.inferred for flash in found.each)


def test_a_knob_mends_what_its_simulation_no_longer_has(evidence: Evidence) -> None:
    found = explain(evidence)
    tried = try_knobs(evidence, evidence.gaps, found)
    gaps_s = sorted(flash.mark.gap_s for flash in found.each)
    for knob in tried.knobs:
        if knob.name == "stale_after":
            assert knob.false_stale == sum(gap_s > knob.value_s for gap_s in gaps_s)
            assert len(knob.mended) == len(gaps_s) - knob.false_stale
    assert {knob.name for knob in tried.knobs} == {"stale_after", "heartbeat_interval", "user_timeout", "reconnect.max"}
    assert [knob.false_stale for knob in tried.knobs] == sorted(knob.false_stale for knob in tried.knobs)
    best = tried.helps_most(len(found.each))
    assert best is not None
    assert best.false_stale == min(knob.false_stale for knob in tried.knobs if knob.how == "simulation")
    assert tried.helps_most(best.false_stale) is None
    mended = with_mends(found, tried)
    for place, flash in enumerate(mended.each):
        assert flash.mended_by[0].knob == "stale_after"
        assert flash.mended_by[0].value_s == flash.mark.gap_s
        simulated = {mend.knob for mend in flash.mended_by if mend.how == "simulation"}
        assert simulated == {k.name for k in tried.knobs if k.how == "simulation" and place in k.mended}


@pytest.mark.slow
def test_every_false_stale_of_a_day_of_the_shipped_scenario_is_classified(tmp_path: Path) -> None:
    assert invoke(["run", "wireguard-5g", "--nodes", "8", "--out", str(tmp_path / "day"), "--workers", "1"]) == 0
    recorded = json.loads((tmp_path / "day" / "run.json").read_text(encoding="utf-8"))
    found = explain(evidence_of(tmp_path / "day"))
    total = sum_up(found)
    assert recorded["false_stale"] > 20
    assert (total.false_stale, total.flashes) == (recorded["false_stale"], recorded["flashes"])
    assert total.count("unreachable") + total.count("hidden") == recorded["false_stale"]
    assert min(total.count("unreachable"), total.count("hidden")) > 0
    assert found.not_repeated == ()
    truth = read_truth(tmp_path / "day" / "truth.parquet")
    up = truth[truth.event.isin(["outage", "outage_up", "hold", "hold_up"])]
    for flash in found.each:
        cuts = up[(up.node == flash.mark.node) & (up.start_s <= flash.mark.at_s) & (flash.mark.at_s < up.end_s)]
        assert (flash.kind == "unreachable") == (len(cuts) > 0)
