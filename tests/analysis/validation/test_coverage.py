"""The worlds of the validation are what they are called, and one of them is tried."""

import numpy as np
import pytest
from scipy.stats import genpareto, lognorm

from heartbench.analysis.validation import coverage
from heartbench.analysis.validation.coverage import LOG_MEAN, LOG_SIGMA, PER_HOUR, WATCHED_H, WORLDS

SURVIVAL = np.array([0.9, 0.5, 0.1, 0.001])


@pytest.mark.parametrize(("world", "shape"), [(WORLDS[0], 0.0), (WORLDS[1], 0.2), (WORLDS[2], 0.5)])
def test_worlds_of_the_fitted_family_have_its_lengths(world: coverage.World, shape: float) -> None:
    expected = genpareto.isf(SURVIVAL, shape, loc=3.0, scale=4.0 * (1 - shape))
    assert world.quantile_s(-np.log(SURVIVAL)) == pytest.approx(expected)


def test_the_lognormal_world_is_lognormal_beyond_the_shortest() -> None:
    law = lognorm(LOG_SIGMA, scale=np.exp(LOG_MEAN))
    assert coverage.lognormal(-np.log(SURVIVAL)) == pytest.approx(law.isf(law.sf(3.0) * SURVIVAL))


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_watch_sees_as_many_outages_as_there_are(world: coverage.World) -> None:
    seen = [len(world.watch(np.random.default_rng(seed))) for seed in range(400)]
    assert np.mean(seen) == pytest.approx(PER_HOUR * WATCHED_H, rel=0.03)


def test_a_world_is_tried_as_tune_would_judge_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "TRUTH_NODE_DAYS", 20)
    rows = list(coverage.try_world(WORLDS[2], worlds=1, node_days=5))
    assert [row["stale_after_s"] for row in rows] == [30, 60, 90]
    assert all(isinstance(row["network"], bool) for row in rows)
