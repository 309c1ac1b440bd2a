"""The published order of detectors, on short traces, and the detector that is not shipped."""

import numpy as np
import pytest
from tests.analysis.policies.lives import arrivals_of

from heartbench.analysis.validation.detector_fronts import EmpiricalQuantile, quantile_silence
from heartbench.analysis.validation.detectors import CHANGING, STEADY, judged, trace
from heartbench.mesh.kinds import Kind


@pytest.mark.parametrize(("kind", "goal_s", "first"), [(STEADY, 2.1, "chen"), (CHANGING, 1.5, "two-window")])
def test_the_detector_that_its_authors_claim_is_best_makes_the_fewest_mistakes(
    kind: str, goal_s: float, first: str
) -> None:
    generators = np.random.default_rng(1).spawn(2)
    (set_on, end_s), (gaps, _) = (trace(kind, each, nodes=5, heartbeats=2000) for each in generators)
    ranked = judged(goal_s, set_on, gaps, end_s)
    assert ranked[0].parameters.name == first
    assert 1.2 * ranked[0].mistakes.sum() < ranked[1].mistakes.sum()


def test_the_quantile_follows_a_nodes_own_gaps_between_floor_and_cap() -> None:
    lives = [[(at, 0, Kind.CHUNK) for at in (0.0, 10.0, 22.0, 92.0, 102.0, 112.0)], [(5.0, 0, Kind.CHUNK)]]
    seen = arrivals_of(lives, 10.0)
    parameters = EmpiricalQuantile(floor_s=15.0, share=1.0, window=2, factor=2.0, cap=4.0)
    assert quantile_silence(parameters, lambda: seen).tolist() == [15.0, 20.0, 24.0, 60.0, 60.0, 20.0, 15.0]
