"""Chen's detector: the hub's form by hand, and against the form over arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.analysis.policies import Arrivals, allowed_silence
from heartbench.analysis.policies.chen import expect
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.rules import FlapRule
from heartbench.mesh.kinds import Kind

RULE = FlapRule(60.0, 3, 1)
INTERVAL_S = 10.0

Sign = tuple[float, int, Kind]


@st.composite
def node_lives(draw: st.DrawFn) -> list[Sign]:
    """Arrivals of one node: heartbeats are lost or overtaken, streams begin again, boots count from 1 again."""
    at, seq, signs = draw(st.floats(0, 100)), 0, []
    for kind, wait_s, lost in draw(
        st.lists(
            st.tuples(
                st.sampled_from([*["heartbeat"] * 6, "chunk", "hello", "boot"]), st.floats(0, 40), st.integers(-1, 3)
            ),
            max_size=40,
        )
    ):
        at += wait_s
        if kind == "heartbeat":
            seq = max(seq + 1 + lost, 1)
            signs.append((at, seq, Kind.HEARTBEAT))
        else:
            seq = 0 if kind == "boot" else seq
            signs.append((at, 0, Kind.CHUNK if kind == "chunk" else Kind.HELLO))
    return signs


def arrivals_of(lives: list[list[Sign]], interval_s: float) -> Arrivals:
    signs = [sign for life in lives for sign in life]
    at, seq, kind = zip(*signs, strict=True) if signs else ((), (), ())
    return Arrivals(
        np.append(0, np.cumsum([len(life) for life in lives])),
        np.array(at, float),
        np.array(seq, np.int32),
        np.array(kind, np.int8),
        np.full(len(lives), interval_s),
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(node_lives(), min_size=1, max_size=3), st.integers(1, 5), st.sampled_from([0.0, 10.0, 3.5]))
def test_both_forms_set_the_same_deadlines(lives: list[list[Sign]], window: int, interval_s: float) -> None:
    policy = PolicySpec(Chen(margin_s=2.0, interval_s=7.0, window=window), RULE)
    expected_s = []
    for life in lives:
        detector = policy.detector(interval_s)
        expected_s += [detector.observe(*sign) for sign in life]
    arrivals = arrivals_of(lives, interval_s)
    assert arrivals.at_s + allowed_silence(policy, lambda: arrivals) == pytest.approx(expected_s)


def test_the_kernel_does_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    life = [(at, number, Kind.HEARTBEAT) for number, at in enumerate(np.cumsum(generator.uniform(8, 12, 50)), 1)]
    arrivals, policy = arrivals_of([life], INTERVAL_S), PolicySpec(Chen(1.0, INTERVAL_S, 8), RULE)
    compiled = allowed_silence(policy, lambda: arrivals)
    monkeypatch.setattr("heartbench.analysis.policies.chen.expect", expect.py_func)
    assert allowed_silence(policy, lambda: arrivals) == pytest.approx(compiled, abs=1e-9)


def test_the_next_heartbeat_is_expected_from_the_mean_of_the_last() -> None:
    detector = Chen(margin_s=3.0, interval_s=INTERVAL_S, window=2).detector(0.0)
    assert detector.observe(100.0, 0, Kind.HELLO) == 113.0
    assert detector.observe(105.0, 1, Kind.HEARTBEAT) == 118.0  # 95 + 2 · 10 + 3
    assert detector.observe(117.0, 2, Kind.HEARTBEAT) == 129.0  # (95 + 97) / 2 + 3 · 10 + 3
    assert detector.observe(119.0, 1, Kind.HEARTBEAT) == 129.0  # overtaken
    assert detector.observe(120.0, 0, Kind.CHUNK) == 129.0
    assert detector.observe(135.0, 0, Kind.CHUNK) == 138.0  # later than expected: the margin counts from now
    assert detector.observe(140.0, 0, Kind.HELLO) == 153.0


def test_the_announced_interval_goes_before_the_default() -> None:
    parameters = Chen(margin_s=3.0, interval_s=INTERVAL_S)
    assert parameters.detector(2.0).observe(0.0, 0, Kind.HELLO) == 5.0
    assert parameters.detector(2.0).deadline_after_restart(1.0) == 6.0
    assert (parameters.usual_silence_s(2.0), parameters.usual_silence_s(0.0)) == (5.0, 13.0)
