import numpy as np
import pytest
from scipy.stats import beta

from heartbench.benchmarks.gate.error_rates import ErrorRates, Share, error_rates
from heartbench.benchmarks.gate.verdict import Rules


def suite(sd: float, shift: float = 0.0, size: int = 20) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {str(k): rng.normal(shift, sd, 16) for k in range(size)}


def outcome(pairs: dict[str, np.ndarray]) -> ErrorRates:
    return error_rates(pairs, {name: Rules() for name in pairs}, 0.008)


@pytest.mark.parametrize(("count", "total"), [(0, 20), (1, 20), (3, 300), (20, 20)])
def test_the_interval_is_clopper_and_pearsons(count: int, total: int) -> None:
    low, high = Share(count, total).interval
    assert low == pytest.approx(beta.ppf(0.025, count, total - count + 1) if count else 0.0)
    assert high == pytest.approx(beta.ppf(0.975, count + 1, total - count) if count < total else 1.0)


def test_of_nothing_nothing_is_known() -> None:
    assert Share(0, 0).interval == (0.0, 1.0)
    assert np.isnan(Share(0, 0).value)


def test_steady_pairs_give_no_alarm_and_full_power() -> None:
    test = outcome(suite(0.01))
    assert test.alarms == Share(0, 20)
    assert test.detected == Share(20, 20)
    assert not test.too_many_false_alarms
    assert not test.underpowered


def test_wild_pairs_give_a_gate_that_sleeps() -> None:
    test = outcome(suite(0.2))
    assert test.detected.count <= 2
    assert test.underpowered
    assert not test.too_many_false_alarms


def test_a_second_copy_that_is_slower_makes_the_gate_cry_wolf() -> None:
    assert outcome(suite(0.01, shift=0.05)).too_many_false_alarms


def test_one_alarm_in_twenty_proves_too_little_to_withhold() -> None:
    pairs = suite(0.005)
    pairs["0"] = pairs["0"] + 0.05
    test = outcome(pairs)
    assert test.alarms == Share(1, 20)
    assert not test.too_many_false_alarms
