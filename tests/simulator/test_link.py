"""The link: a function of time that keeps order, loses what it should, and passes nothing in an outage."""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.link import (
    DOWN,
    JITTER_Z,
    LINK,
    UP,
    delay,
    is_out,
    make_link,
    next_outage,
    transmit,
)


def profile(**fields: Any) -> np.ndarray:
    """A link of 10 ms each way that does nothing else, but for `fields`."""
    record = np.zeros(1, LINK).view(np.recarray)
    record[0].base_s[:] = 0.01
    record[0].jitter_correlation_s = 1.0
    record[0].mss_bytes = 1368
    for name, value in fields.items():
        record[name] = value
    return record


def link(partitions: Sequence[tuple[float, float]] = (), seed: int = 1, node: int = 0, **fields: Any) -> Any:
    return make_link(profile(**fields), partitions, seed, node)


JITTERY = {"jitter_s": np.linspace(0.0, 0.4, len(JITTER_Z))}
OUT_OFTEN = {"outage_gap_mean_s": 20.0, "outage_s": 5.0}


def test_a_plain_link_only_delays() -> None:
    plain = link()
    assert [transmit(plain, UP, t) for t in (0.0, 1.0, 2.0)] == pytest.approx([0.01, 1.01, 2.01])


@given(st.lists(st.floats(0, 3600), min_size=2, max_size=60).map(sorted), st.integers(0, 50))
def test_packets_arrive_in_order_and_not_before_the_base_delay(times: list[float], node: int) -> None:
    jittery = link(node=node, **JITTERY)
    arrivals = [transmit(jittery, UP, t) for t in times]
    assert arrivals == sorted(arrivals)
    assert all(arrival >= t + 0.01 for t, arrival in zip(times, arrivals, strict=True))


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=30).map(sorted))
def test_the_link_does_not_depend_on_what_was_sent_before(times: list[float]) -> None:
    fields = {**OUT_OFTEN, "good_mean_s": 3.0, "bad_mean_s": 1.0, "loss_bad": 0.5}
    one, other = link(**fields), link(**fields)
    alone = transmit(other, UP, times[-1])
    last = [transmit(one, UP, t) for t in times][-1]
    assert last == alone or (isnan(last) and isnan(alone))


def test_delay_has_the_distribution_of_its_table_and_keeps_for_its_correlation_time() -> None:
    jittery = link(**JITTERY)
    z = (np.array([delay(jittery, UP, 0.31 * i) for i in range(40_000)]) - 0.01) / 0.05 - 4.0
    assert np.quantile(z, [0.1, 0.5, 0.9]) == pytest.approx([-1.28, 0.0, 1.28], abs=0.05)
    assert np.corrcoef(z[:-1], z[1:])[0, 1] > 0.5
    assert abs(np.corrcoef(z[:-10], z[10:])[0, 1]) < 0.05


def test_both_directions_share_the_radios_state() -> None:
    jittery = link(**JITTERY)
    pairs = np.array([(delay(jittery, UP, t), delay(jittery, DOWN, t)) for t in np.arange(0.0, 50.0, 0.7)])
    assert np.allclose(pairs[:, 0], pairs[:, 1])


def test_loss_is_what_the_periods_say() -> None:
    lossy = link(good_mean_s=9.0, bad_mean_s=1.0, loss_bad=0.5)
    lost = np.array([isnan(transmit(lossy, UP, 0.05 * i)) for i in range(400_000)])
    assert lost.mean() == pytest.approx(0.05, rel=0.1)
    assert lost[1:][lost[:-1]].mean() > 0.3  # in bursts


def test_nothing_passes_in_an_outage_in_either_direction() -> None:
    out = link(**OUT_OFTEN)
    begins, ends = next_outage(out, 0.0)
    assert ends - begins == pytest.approx(5.0)
    inside = np.linspace(begins, ends, 7)[:-1]
    assert all(isnan(transmit(link(**OUT_OFTEN), way, t)) for way in (UP, DOWN) for t in inside)
    assert not isnan(transmit(out, UP, ends))


def test_outages_are_as_frequent_as_their_gaps_say() -> None:
    out = link(**OUT_OFTEN)
    share = np.mean([is_out(out, 0.5 * i) for i in range(100_000)])
    assert share == pytest.approx(5.0 / 25.0, rel=0.1)


def test_a_partition_passes_nothing() -> None:
    cut = link([(10.0, 20.0), (30.0, np.inf)])
    assert [isnan(transmit(cut, UP, t)) for t in (9.9, 10.0, 19.9, 20.0, 30.0, 1e6)] == [0, 1, 1, 0, 1, 1]


def test_plain_python_and_compiled_code_agree() -> None:
    compiled, plain = link(**JITTERY, **OUT_OFTEN), link(**JITTERY, **OUT_OFTEN)
    for t in np.arange(0.0, 60.0, 0.9):
        assert np.array_equal(transmit(compiled, UP, t), transmit.py_func(plain, UP, t), equal_nan=True)
