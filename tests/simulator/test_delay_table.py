"""The table of delays: it never falls, and looking up a stated delay gives it."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.delay_table import delay_table
from heartbench.simulator.link_records import JITTER_FINE_Z, JITTER_Z
from heartbench.simulator.outages import Outages
from heartbench.simulator.ping import survey
from heartbench.simulator.profile import load_profile

Floats = np.ndarray


def looked_up(table_s: Floats, score: Floats) -> Floats:
    return np.asarray(np.interp(score, np.linspace(-4, 4, len(table_s)), table_s))


def scores(*probabilities: float) -> Floats:
    return np.array([NormalDist().inv_cdf(each) for each in probabilities])


@pytest.mark.parametrize(
    ("name", "share", "rtt_s"),
    [("5g-private", 0.99, 0.047), ("starlink", 0.98, 0.060), ("starlink", 0.998, 0.100), ("datacenter", 0.75, 0.0047)],
)
def test_pings_on_the_modelled_link_take_as_long_as_its_profile_states(name: str, share: float, rtt_s: float) -> None:
    link = load_profile(name).model_copy(update={"outage": Outages()})
    assert np.quantile(survey(link, 600.0, 300).rtt_s, share) == pytest.approx(rtt_s, rel=0.03)


def test_a_step_between_pairs_that_share_a_cell_is_held() -> None:
    at, extra_s = scores(0.75, 0.985, 0.99, 0.999), np.array([0.02, 0.02, 0.04, 0.041])
    table_s = delay_table(at, extra_s, 0.01)
    assert looked_up(table_s, at) == pytest.approx(extra_s)
    assert table_s.max() == pytest.approx(0.041)


def test_delays_that_the_coarse_table_holds_keep_it() -> None:
    at, extra_s = scores(0.5, 0.9, 0.99), np.array([0.01, 0.02, 0.04])
    assert len(delay_table(at, extra_s, 0.01)) == len(JITTER_Z)


def test_of_pairs_too_close_to_hold_both_the_longer_delay_counts() -> None:
    at, extra_s = scores(0.5, 0.501), np.array([0.01, 0.5])
    table_s = delay_table(at, extra_s, 0.01)
    assert looked_up(table_s, at[1:]) == pytest.approx(extra_s[1:])
    assert np.all(np.diff(table_s) >= 0)


def test_delays_beyond_the_last_score_do_not_move_those_within() -> None:
    at, extra_s = scores(0.98, 0.985, 0.99, 0.99999), np.array([0.001, 0.001, 0.05, 1.0])
    assert looked_up(delay_table(at, extra_s, 0.0), at[:3]) == pytest.approx(extra_s[:3])


@given(
    st.lists(
        st.tuples(st.integers(-127, 127), st.floats(0, 1)), min_size=1, max_size=30, unique_by=lambda each: each[0]
    ),
    st.floats(-0.01, 0.01),
)
def test_the_table_never_falls_and_holds_every_pair(pairs: list[tuple[int, float]], aside: float) -> None:
    at = np.sort([place / 32 + aside for place, _ in pairs])
    extra_s = np.sort([extra for _, extra in pairs])
    table_s = delay_table(at, extra_s, 0.0)

    assert np.all(np.diff(table_s) >= 0)
    assert table_s[0] >= 0
    assert len(table_s) in {len(JITTER_Z), len(JITTER_FINE_Z)}
    assert looked_up(table_s, at) == pytest.approx(extra_s, rel=0.005, abs=1e-9)
