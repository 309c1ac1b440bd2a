"""Equal delays hide how the states behind them correlate."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from heartbench.analysis.fit.ties import NO_TIES, ties_of


def scores(values: np.ndarray) -> np.ndarray:
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


@pytest.mark.parametrize("rho", [0.2, 0.6, 0.95])
def test_what_ties_hide_is_undone(rho: float) -> None:
    z, w = np.random.default_rng(1).standard_normal((2, 100_000))
    here, there = (scores(np.clip(each, -0.7, 0.7)) for each in (z, rho * z + np.sqrt(1 - rho**2) * w))
    seen = np.corrcoef(here, there)[0, 1]
    ties = ties_of(here)
    assert seen < rho - 0.005
    assert ties.undo(seen) == pytest.approx(rho, abs=0.015)
    assert ties.hide(np.array(rho)) == pytest.approx(seen, abs=0.015)


def test_delays_that_all_differ_hide_nothing() -> None:
    assert ties_of(scores(np.random.default_rng(1).standard_normal(1000))) is NO_TIES
