"""Each detector has a form for the hub and one over arrays, and both set the same deadlines."""

from itertools import chain, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.policies.lives import Sign, arrivals_of, node_lives

from heartbench.analysis.policies import ARRAY_FORMS, allowed_silence
from heartbench.analysis.policies import bertier as over_arrays_bertier
from heartbench.analysis.policies import expected_arrival as over_arrays_expected
from heartbench.analysis.policies import phi as over_arrays_phi
from heartbench.hub import Bertier, Chen, FixedTimeout, HubSettings, Phi, PhiExponential, TwoWindow
from heartbench.hub.liveness.detector import DetectorParameters
from heartbench.hub.liveness.detector_text import DETECTORS
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.mesh.kinds import Kind

RULE = HubSettings.of().policy.flap_rule


def detectors(window: int) -> list[DetectorParameters]:
    """Return each kind of detector with a window so short that it turns over."""
    return [
        FixedTimeout(15.0),
        Chen(2.0, window, interval_s=7.0, longest_s=50.0),
        TwoWindow(2.0, 1, window + 2, interval_s=7.0, shortest_s=5.0),
        Bertier(1.0, 4.0, 0.1, 0.5, window, interval_s=7.0, longest_s=60.0),
        Bertier(0.5, 2.0, 0.9, 0.0, window, interval_s=7.0),
        Phi(3.0, window, 0.5, 1.0, interval_s=7.0),
        Phi(0.2, window, 0.01, interval_s=7.0, shortest_s=9.0, longest_s=12.0),
        PhiExponential(1.5, window, interval_s=7.0),
        PhiExponential(0.5, window, interval_s=7.0, longest_s=20.0),
    ]


def deadlines_of_the_hub(
    parameters: DetectorParameters, life: list[Sign], interval_s: float, restarts: set[int]
) -> list[float]:
    """Return the deadlines that a hub sets, which restarts before some of the signs and then runs on another clock."""
    detector, moved_s, heard_s, found = parameters.detector(interval_s), 0.0, 0.0, []
    for number, (at, seq, kind) in enumerate(life):
        if number in restarts:
            state = detector.state(heard_s - moved_s)
            moved_s += 1000.0
            detector = parameters.detector(interval_s)
            detector.restore(state, heard_s - moved_s)
        found.append(detector.observe(at - moved_s, seq, kind) + moved_s)
        heard_s = at
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(node_lives(), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from([0.0, 10.0, 3.5]),
    st.integers(0, 2**32 - 1),
)
def test_both_forms_set_the_same_deadlines_through_restarts_of_the_hub(
    lives: list[list[Sign]], window: int, interval_s: float, seed: int
) -> None:
    arrivals, draws = arrivals_of(lives, interval_s), np.random.default_rng(seed)
    before_a_hello = [
        {i for i, sign in enumerate(life) if sign[2] == Kind.HELLO and draws.random() < 0.5} for life in lives
    ]
    for parameters in detectors(window):
        deadlines = chain.from_iterable(
            map(deadlines_of_the_hub, repeat(parameters), lives, repeat(interval_s), before_a_hello)
        )
        found = arrivals.at_s + allowed_silence(PolicySpec(parameters, RULE), lambda: arrivals)
        assert found == pytest.approx(list(deadlines), abs=1e-6), parameters


def test_kernels_do_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    life = [(at, number, Kind.HEARTBEAT) for number, at in enumerate(np.cumsum(generator.uniform(8, 12, 50)), 1)]
    arrivals = arrivals_of([life], 10.0)
    policies = [PolicySpec(each, RULE) for each in detectors(8)]
    compiled = [allowed_silence(policy, lambda: arrivals) for policy in policies]
    monkeypatch.setattr(over_arrays_expected, "expect", over_arrays_expected.expect.py_func)
    monkeypatch.setattr(over_arrays_bertier, "adapt", over_arrays_bertier.adapt.py_func)
    monkeypatch.setattr(over_arrays_phi, "judge_gaps", over_arrays_phi.judge_gaps.py_func)
    for policy, silence_s in zip(policies, compiled, strict=True):
        assert allowed_silence(policy, lambda: arrivals) == pytest.approx(silence_s, abs=1e-9)


def test_every_detector_of_the_settings_is_tested_here() -> None:
    assert {each.name for each in detectors(3)} == set(DETECTORS) <= set(ARRAY_FORMS)


@pytest.mark.parametrize("parameters", detectors(3), ids=str)
@pytest.mark.parametrize("state", [(), (float("nan"),) * 2, (1e308, -1e308), (-1.0, float("inf"), -5.0), (0.0,) * 9])
def test_a_damaged_state_in_the_store_is_no_reason_to_fail(
    parameters: DetectorParameters, state: tuple[float, ...]
) -> None:
    detector = parameters.detector(10.0)
    detector.restore(state, 100.0)
    deadline_s = detector.observe(110.0, 1, Kind.HEARTBEAT)
    assert 110.0 < deadline_s <= 110.0 + 86_400.0


@pytest.mark.parametrize("parameters", detectors(3), ids=str)
@pytest.mark.parametrize("seq", [10**6, 2**40, 2**63])
def test_numbers_that_jump_keep_no_node_online_for_good(parameters: DetectorParameters, seq: int) -> None:
    detector = parameters.detector(10.0)
    for at, number in ((0.0, 1), (10.0, seq), (20.0, seq + 1)):
        deadline_s = detector.observe(at, number, Kind.HEARTBEAT)
        assert at < deadline_s <= at + 86_400.0


@pytest.mark.parametrize("parameters", detectors(3), ids=str)
def test_a_silent_node_has_the_usual_silence_to_begin_with(parameters: DetectorParameters) -> None:
    detector = parameters.detector(10.0)
    first_s = detector.observe(0.0, 0, Kind.HELLO)
    assert first_s == pytest.approx(detector.deadline_after_restart(0.0))
    if not isinstance(parameters, Phi | PhiExponential):  # these begin with gaps that are less regular than usual
        assert first_s == pytest.approx(parameters.usual_silence_s(10.0))
