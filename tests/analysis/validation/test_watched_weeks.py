"""The validation of `watch`, on counts that are not simulated."""

import numpy as np
import pytest

from heartbench.analysis.promise.counts import Counts
from heartbench.analysis.validation import watch
from heartbench.analysis.validation.watch import FLEETS, HOURS, Tried, try_fleet


def drawn(fleet: Tried, seed: int, hours: int, factor: float) -> Counts:
    rng = np.random.default_rng(seed)
    long = rng.poisson(0.35 * factor, (fleet.nodes, hours)).astype(np.int32)
    return Counts(
        names=tuple(str(each) for each in range(fleet.nodes)),
        group=("edge",) * fleet.nodes,
        block_s=3600.0,
        split=0,
        up_days=np.full(long.shape, 1 / HOURS),
        long=long,
        restarts=np.zeros_like(long),
        stale=np.repeat((long // 3)[..., None], 2, axis=-1),
        interval_s=np.full((fleet.nodes, 2), 10.0),
        is_up=np.ones(fleet.nodes, bool),
    )


def test_a_line_counts_quiet_weeks_and_noticed_doublings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tried, "_of_hours", drawn)
    monkeypatch.setattr(watch, "GOAL", 50.0)
    line = try_fleet(FLEETS[0], weeks=1, seeds=2)
    assert line.startswith("| 100 nodes | 1 of 1 | 2 of 2 | ")
