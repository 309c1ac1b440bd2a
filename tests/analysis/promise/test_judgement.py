"""What is taken for a change of the network, what for one of the fleet, and when a goal is broken."""

from dataclasses import replace

import numpy as np
import pytest

from heartbench.analysis.promise.counts import Counts
from heartbench.analysis.promise.judgement import Verdict, judged
from heartbench.analysis.promise.shifts import Cause, Kind
from heartbench.analysis.tune import FLEET, Per

NODES, EARLIER, RECENT = 20, 96, 24
GOAL = 5.0


def fleet(rates: np.ndarray | float = 12.0, seed: int = 1) -> Counts:
    """Return counts of NODES nodes with these long gaps per node-day, of which a quarter are false stales."""
    rng = np.random.default_rng(seed)
    per_block = np.broadcast_to(np.asarray(rates, float) / 24, (NODES, EARLIER + RECENT))
    long = rng.poisson(per_block).astype(np.int32)
    stale = rng.binomial(long, 0.25).astype(np.int32)
    return Counts(
        names=tuple(f"n{number}" for number in range(NODES)),
        group=("car",) * 10 + ("van",) * 10,
        block_s=3600.0,
        split=EARLIER,
        up_days=np.full(long.shape, 1 / 24),
        long=long,
        restarts=np.zeros_like(long),
        stale=np.repeat(stale[..., None], 2, axis=-1),
        interval_s=np.full((NODES, 2), 10.0),
        is_up=np.ones(NODES, bool),
    )


def rates(nodes: slice = slice(None), factor: float = 1.0) -> np.ndarray:
    found = np.full((NODES, EARLIER + RECENT), 12.0)
    found[nodes, EARLIER:] *= factor
    return found


def test_nothing_changed() -> None:
    found = judged(fleet(), GOAL)
    assert (found.promise, found.network, found.fleet_changed) == ("kept", "unchanged", "unchanged")
    assert found.is_good
    assert found.notice_s < 24 * 3600


@pytest.mark.parametrize("factor", [2.0, 0.3])
def test_a_change_of_all_nodes_is_one_of_the_network(factor: float) -> None:
    found = judged(fleet(rates(factor=factor)), GOAL)
    assert found.network is Verdict.CHANGED
    assert not found.is_good
    shift = next(each for each in found.shifts if each.kind is Kind.LONG)
    assert (shift.ratio > 1) == (factor > 1)
    assert shift.cause is None


def test_one_node_or_one_group_alone_is_named() -> None:
    one = judged(fleet(rates(slice(7, 8), 40.0)), 1e9).shifts[0]
    assert (one.cause, one.names) == (Cause.NODE, ("n7",))
    group = judged(fleet(rates(slice(10, 20), 2.5)), 1e9).shifts[0]
    assert (group.cause, group.names) == (Cause.GROUP, ("van",))


def test_nodes_that_joined_explain_a_change_and_are_the_fleet() -> None:
    counts = fleet(rates(slice(16, 20), 10.0))
    days = counts.up_days.copy()
    days[16:, :EARLIER] = 0
    found = judged(replace(counts, up_days=days, long=counts.long * (days > 0)), 1e9)
    assert (found.network, found.fleet_changed) == (Verdict.UNCHANGED, Verdict.CHANGED)
    assert found.fleet.joined == ("n16", "n17", "n18", "n19")


def test_nodes_that_come_and_go_are_listed_but_no_change() -> None:
    counts = fleet()
    days = counts.up_days.copy()
    days[0, EARLIER + 5 :] = 0
    days[1, :EARLIER] = 0
    days[2, -1] = 0  # one gap, which began before
    is_up = np.arange(NODES) != 0
    found = judged(replace(counts, up_days=days, long=counts.long * (days > 0), is_up=is_up), 1e9)
    assert (found.fleet.joined, found.fleet.left) == (("n1",), ("n0",))
    assert found.is_good


def test_another_heartbeat_interval_is_a_change_of_the_fleet() -> None:
    counts = fleet()
    counts.interval_s[3, 1] = 60.0
    found = judged(counts, 1e9)
    assert found.fleet.intervals == {"n3": (10.0, 60.0)}
    assert (found.network, found.fleet_changed) == (Verdict.UNCHANGED, Verdict.CHANGED)
    counts.interval_s[:, 1] = 60.0
    assert judged(counts, 1e9).network is Verdict.UNSURE


def test_restarts_that_become_frequent_are_a_change_of_the_fleet() -> None:
    counts = fleet()
    counts.restarts[:, EARLIER + 2 :: 4] = 1
    found = judged(counts, 1e9)
    assert found.fleet.restarts is not None
    assert (found.network, found.fleet_changed) == (Verdict.UNCHANGED, Verdict.CHANGED)


def test_the_goal_is_judged_by_group_or_for_the_fleet() -> None:
    counts = fleet()
    counts.stale[:10] *= 4
    by_group = {each.group: each.verdict for each in judged(counts, GOAL).promises}
    assert by_group == {"car": Verdict.BROKEN, "van": Verdict.KEPT}
    (whole,) = judged(counts, GOAL, Per.FLEET).promises
    assert (whole.group, whole.verdict) == (FLEET, Verdict.UNSURE)  # the groups differ, which widens the interval
    assert judged(counts, GOAL).promise is Verdict.BROKEN
    assert judged(fleet(), 3.0).promise is Verdict.UNSURE


def test_a_log_without_an_earlier_part_says_nothing_about_a_change() -> None:
    found = judged(replace(fleet(), split=4), GOAL)
    assert (found.before, found.network) == (None, Verdict.UNSURE)
    assert found.is_good


def test_a_stated_rate_takes_the_place_of_the_earlier_part() -> None:
    stated = {Kind.LONG: (10.0, 12.0, 14.0)}
    assert judged(replace(fleet(), split=4), GOAL, stated=stated).network is Verdict.UNCHANGED
    assert judged(replace(fleet(24.0), split=4), 1e9, stated=stated).network is Verdict.CHANGED
