import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.verdict import (
    Judgement,
    Rules,
    Verdict,
    check_reach,
    holm,
    is_slower,
    judge,
    smallest_visible,
)

P_VALUES = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.floats(0, 1), min_size=1, max_size=8)


def pairs(effect: float, sd: float = 0.01, rounds: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(math.log1p(effect), sd, rounds)


def one(effect: float, sd: float = 0.01, rules: Rules | None = None) -> Judgement:
    return judge({"it": pairs(effect, sd)}, {"it": rules or Rules()}, 0.01, suite=20)[0]


@pytest.mark.parametrize(
    ("effect", "sd", "verdict"),
    [
        (0.05, 0.01, Verdict.SLOWER),
        (-0.05, 0.01, Verdict.FASTER),
        (0.0, 0.01, Verdict.SAME),
        (0.015, 0.002, Verdict.SAME),
        (0.0, 0.08, Verdict.INCONCLUSIVE),
        (0.05, 0.08, Verdict.INCONCLUSIVE),
    ],
)
def test_verdict_follows_from_effect_and_scatter(effect: float, sd: float, verdict: Verdict) -> None:
    assert one(effect, sd).verdict is verdict


def test_a_sure_but_small_slowdown_is_not_red() -> None:
    judgement = one(0.015, 0.001)
    assert judgement.p_slower == 2**-16
    assert judgement.verdict is Verdict.SAME


def test_a_wider_margin_takes_the_red_away() -> None:
    assert one(0.05, rules=Rules(margin=0.06, least_effect=0.07)).verdict is not Verdict.SLOWER


def test_ratio_and_interval_are_of_times() -> None:
    judgement = one(0.10)
    assert judgement.low < judgement.ratio < judgement.high
    assert judgement.ratio == pytest.approx(1.10, abs=0.01)


def test_identical_code_is_hardly_ever_called_slower() -> None:
    rng = np.random.default_rng(3)
    rules = {str(k): Rules() for k in range(20)}
    red = 0
    for _ in range(15):
        suite = {name: rng.standard_t(3, 16) * 0.02 for name in rules}
        red += sum(j.verdict is Verdict.SLOWER for j in judge(suite, rules, 0.01, visible=False))
    assert red == 0


@given(P_VALUES)
def test_holm_rejects_all_that_bonferroni_does_and_none_above_the_level(p_values: dict[str, float]) -> None:
    rejected = holm(p_values, 0.05)
    assert {name for name, p in p_values.items() if p <= 0.05 / len(p_values)} <= rejected
    assert all(p_values[name] <= 0.05 for name in rejected)


def test_holm_on_its_textbook_example() -> None:
    # Holm 1979: 0.01, 0.02, 0.022, 0.09 at 5 % of four hypotheses; the second stops it.
    assert holm({"a": 0.01, "b": 0.02, "c": 0.022, "d": 0.09}, 0.05) == {"a"}
    assert holm({"a": 0.01, "b": 0.015, "c": 0.022, "d": 0.09}, 0.05) == {"a", "b", "c"}


@given(P_VALUES)
def test_hypotheses_given_up_before_only_make_holm_stricter(p_values: dict[str, float]) -> None:
    assert holm(p_values, 0.05, family=2 * len(p_values)) <= holm(p_values, 0.05)


def test_a_plan_that_can_never_turn_red_is_refused() -> None:
    check_reach(16, 20, 0.008)
    with pytest.raises(BenchmarkError, match="at least 12 rounds"):
        check_reach(11, 20, 0.008)


def test_what_is_visible_is_seen_nine_times_in_ten() -> None:
    level = 0.01 / 20
    visible = float(np.mean([smallest_visible(pairs(0.0, 0.02, seed=k), Rules(), level) for k in range(6)]))
    found = sum(is_slower(pairs(visible, 0.02, seed=100 + k), Rules(), level) for k in range(200))
    assert 0.8 <= found / 200 <= 0.98


def test_visible_is_at_least_what_is_worth_a_red() -> None:
    assert smallest_visible(np.zeros(16), Rules(), 0.0005) == pytest.approx(0.02, abs=1e-6)


def test_too_few_pairs_see_nothing() -> None:
    assert math.isinf(smallest_visible(pairs(0.0, rounds=5), Rules(), 0.0005))
