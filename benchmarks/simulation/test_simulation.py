"""The time of simulating a fleet and of evaluating its gaps.

The kernels are compiled, or loaded from disk, by a first call that is not timed.
"""

from functools import cache

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps
from heartbench.analysis.ladder import Ladder
from heartbench.analysis.qos import judge
from heartbench.hub.config import HubSettings
from heartbench.simulator.engines.virtual import BlockPlan, blocks, run_nodes
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import Messages

DURATION_S = 3600.0
NODES = 20
THRESHOLDS_S = range(10, 121, 5)


@cache
def a_fleet() -> BlockPlan:
    return next(blocks(load_scenario("wireguard-5g").with_nodes(NODES).model_copy(update={"duration_s": DURATION_S})))


@cache
def an_hour() -> Messages:
    return run_nodes(a_fleet())[0]


@cache
def its_gaps() -> Gaps:
    return find_gaps(an_hour(), NO_LOSSES, DURATION_S)


@pytest.mark.benchmark(group=f"virtual engine: {NODES} nodes, one hour")
def test_a_simulated_hour(benchmark: BenchmarkFixture) -> None:
    """Node, stream, TCP and link of a small fleet for an hour."""
    plan = a_fleet()
    run_nodes(plan)
    messages = benchmark(lambda: run_nodes(plan))[0]
    assert len(messages) > 0.9 * NODES * DURATION_S / 10.0


@pytest.mark.benchmark(group="stream: an outage of 20 s")
def test_a_rung_of_the_ladder(benchmark: BenchmarkFixture) -> None:
    """One connection through one outage, from the SYN on: what `heartbench ladder` does for each cell."""
    ladder = Ladder(rtt_s=0.085, interval_s=1.0)
    ladder.gap_s(20.0, 0.5)
    assert benchmark(lambda: ladder.gap_s(20.0, 0.5)) > 20.0


@pytest.mark.benchmark(group=f"judgement: {NODES} nodes, one hour")
def test_finding_gaps(benchmark: BenchmarkFixture) -> None:
    """From messages to gaps."""
    messages = an_hour()
    find_gaps(messages, NO_LOSSES, DURATION_S)
    assert len(benchmark(lambda: find_gaps(messages, NO_LOSSES, DURATION_S))) > 0


@pytest.mark.benchmark(group=f"judgement: {NODES} nodes, one hour")
def test_judging_a_grid_of_thresholds(benchmark: BenchmarkFixture) -> None:
    """Evaluate gaps under each threshold: most of the work of `tune`."""
    gaps, policies = its_gaps(), [HubSettings.for_stale_after(float(each)).policy for each in THRESHOLDS_S]
    judge(gaps, policies, DURATION_S)
    qos = benchmark(lambda: judge(gaps, policies, DURATION_S))
    assert np.all(np.diff(qos.mistakes.sum((0, 1))) <= 0)


@pytest.mark.benchmark(group="scenario: read a shipped one")
def test_reading_a_scenario(benchmark: BenchmarkFixture) -> None:
    """TOML, every key checked, and its link's tables: before each run, and for each line of `scenarios list`."""
    assert benchmark(lambda: load_scenario("wireguard-5g")).nodes > 0
