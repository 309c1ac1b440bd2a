"""Detectors set for equal detection times."""

import numpy as np
import pytest

from heartbench.analysis.fronts import Family, families, outcome, setting_for
from heartbench.analysis.validation.detectors import STEADY, trace
from heartbench.hub import FixedTimeout

FIXED = families(1.0)[0]


def test_a_knob_is_turned_until_the_goal_is_just_met() -> None:
    gaps, end_s = trace(STEADY, np.random.default_rng(1), nodes=3, heartbeats=500)
    found = setting_for(gaps, FIXED, 2.5, end_s)
    assert found is not None
    assert found.detection_s == pytest.approx(2.5, rel=0.01)
    assert found.detection_s <= 2.5


def test_a_goal_that_even_the_fastest_setting_misses_has_none() -> None:
    gaps, end_s = trace(STEADY, np.random.default_rng(1), nodes=3, heartbeats=500)
    assert setting_for(gaps, Family("fixed", FixedTimeout, 2.0, 9.0), 1.5, end_s) is None


def test_the_difference_of_two_detectors_is_counted_on_the_same_nodes() -> None:
    gaps, end_s = trace(STEADY, np.random.default_rng(1), nodes=10, heartbeats=2000)
    patient, hasty = (outcome(gaps, FixedTimeout(timeout_s), end_s) for timeout_s in (2.5, 1.5))
    low, high = patient.less(hasty)
    more = (hasty.mistakes.sum() - patient.mistakes.sum()) / (hasty.up_s.sum() / 86_400)
    assert 0 < low < more < high
    assert patient.less(patient) == (0.0, 0.0)
    assert hasty.mistakes.sum() == pytest.approx(0.01 * 20_000, rel=0.3)  # each that is lost
