"""Shape and scale of outages whose lengths are known to within a probe interval."""

import numpy as np
import pytest

from heartbench.analysis.fit.tails import draw_stepped

ENDS = (0.001, 0.999)


def seen_excess(shape: float, scale_s: float, count: int, seed: int) -> np.ndarray:
    """Return excesses over 2.5 s as probes a second apart see them; the tail begins at 1 s."""
    generator = np.random.default_rng(seed)
    scale_from_1 = scale_s - 1.5 * shape
    length = 1 + scale_from_1 / shape * np.expm1(shape * generator.exponential(size=count))
    probes = np.floor(length + generator.uniform(size=count))
    return np.asarray(probes[probes >= 3] - 3 + 0.5)


@pytest.mark.parametrize(("shape", "scale_s"), [(-0.415, 3.48), (0.486, 1.81), (0.99, 2.206)])
def test_many_outages_determine_both(shape: float, scale_s: float) -> None:
    shapes, scales = draw_stepped(seen_excess(shape, scale_s, 20_000, 1), 1.0, np.random.default_rng(1), 2000)
    assert np.median(shapes) == pytest.approx(shape, abs=0.05)
    assert np.median(scales) == pytest.approx(scale_s, rel=0.05)


def test_outages_that_were_cut_were_longer_than_the_probes_they_took() -> None:
    excess = seen_excess(0.486, 1.81, 20_000, 1) - 0.5
    watched = np.random.default_rng(2).geometric(0.2, len(excess)) - 1  # further probes until the recording ends
    ended = excess < watched
    shapes, scales = draw_stepped(
        excess[ended] + 0.5, 1.0, np.random.default_rng(1), 2000, cut_excess_s=watched[~ended].astype(float)
    )
    assert np.median(shapes) == pytest.approx(0.486, abs=0.05)
    assert np.median(scales) == pytest.approx(1.81, rel=0.05)


def test_an_outage_much_longer_than_the_others_leaves_short_scales_possible() -> None:
    shapes, scales = draw_stepped(np.array([0.5, 0.5, 1.5, 3.5, 900.5]), 1.0, np.random.default_rng(1), 5000)
    low, high = np.quantile(scales, ENDS)
    assert low < 1 < high
    assert np.quantile(shapes, ENDS[1]) > 0.9


def test_outages_of_the_least_length_that_were_cut_leave_every_scale_possible() -> None:
    _, scales = draw_stepped(np.zeros(0), 1.0, np.random.default_rng(1), 5000, cut_excess_s=np.zeros(2))
    assert np.quantile(scales, 0.1) < 0.2
    assert np.quantile(scales, 0.9) > 4


def test_a_tail_that_may_end_at_the_threshold_has_a_scale_down_to_0() -> None:
    _, scales = draw_stepped(np.array([0.5]), 1.0, np.random.default_rng(1), 5000)
    assert scales.min() == 0
