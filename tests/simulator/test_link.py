"""The link: a function of time that keeps order, loses what it should, and passes nothing in an outage."""

import ast
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.simulator import link as link_module
from heartbench.simulator.link import (
    BOTH,
    DOWN,
    LINK,
    OWN,
    SITE,
    UP,
    delay,
    is_out,
    make_link,
    next_outage,
    transmit,
)
from heartbench.simulator.link_records import JITTER_FINE_Z


def profile(**fields: Any) -> np.ndarray:
    """A link of 10 ms each way that does nothing else, but for `fields`."""
    record = np.zeros(1, LINK).view(np.recarray)
    record[0].base_s[:] = 0.01
    record[0].jitter_correlation_s = 1.0
    record[0].mss_bytes = 1368
    for name, value in fields.items():
        record[name] = value
    return record


def link(partitions: Sequence[tuple[float, ...]] = (), seed: int = 1, node: int = 0, **fields: Any) -> Any:
    return make_link(profile(**fields), partitions, seed, node)


FINE: dict[str, Any] = {"jitter_cells": len(JITTER_FINE_Z) - 1}
JITTERY: dict[str, Any] = {"jitter_s": np.linspace(0.0, 0.4, len(JITTER_FINE_Z)), **FINE}
OUT_OFTEN: dict[str, Any] = {"outage_gap_mean_s": 20.0, "outage_s": 5.0}


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


def correlation(scores: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(scores[:-lag], scores[lag:])[0, 1])


def test_a_radio_with_two_time_scales_keeps_its_distribution_and_stays_correlated_for_longer() -> None:
    share = 0.6
    two: dict[str, Any] = {
        "jitter_slow_correlation_s": 60.0,
        "jitter_fast": (1 - share) ** 0.5,
        "jitter_slow": share**0.5,
    }
    rate: dict[str, Any] = {"jitter_s": (JITTER_FINE_Z + 4.0) / 100, **FINE}  # a delay that is the score itself
    seconds = np.arange(30_000.0) + 0.3
    one, both = (np.array([delay(each, UP, t) for t in seconds]) for each in (link(**rate), link(**rate, **two)))

    scores = both * 100 - 5.0
    assert (scores.mean(), scores.std()) == pytest.approx((0.0, 1.0), abs=0.12)
    assert correlation(one, 10) == pytest.approx(0.0, abs=0.05)
    assert correlation(both, 10) == pytest.approx(share, abs=0.1)
    assert correlation(both, 150) == pytest.approx(0.0, abs=0.15)


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
    lost = np.array([isnan(transmit(lossy, UP, 0.2 * i)) for i in range(100_000)])
    assert lost.mean() == pytest.approx(0.05, rel=0.1)
    assert lost[1:][lost[:-1]].mean() > 0.3  # in bursts


def test_nothing_passes_in_an_outage_in_either_direction() -> None:
    out = link(**OUT_OFTEN)
    begins, ends, *_ = next_outage(out, OWN, 0.0)
    assert ends - begins == pytest.approx(5.0)
    inside = np.linspace(begins, ends, 7)[:-1]
    assert all(isnan(transmit(link(**OUT_OFTEN), way, t)) for way in (UP, DOWN) for t in inside)
    assert not isnan(transmit(out, UP, ends))


def test_outages_are_as_frequent_as_their_gaps_say() -> None:
    out = link(**OUT_OFTEN)
    share = np.mean([is_out(out, UP, 1.0 * i) for i in range(50_000)])
    assert share == pytest.approx(5.0 / 25.0, rel=0.1)


def test_a_partition_passes_nothing() -> None:
    cut = link([(10.0, 20.0), (30.0, np.inf)])
    assert [isnan(transmit(cut, UP, t)) for t in (9.9, 10.0, 19.9, 20.0, 30.0, 1e6)] == [0, 1, 1, 0, 1, 1]


Outage = tuple[float, float, int, bool]


def outages(on: Any, whose: int, until: float) -> Iterator[Outage]:
    """Yield what begins before `until`, as `next_outage` returns it."""
    outage = next_outage(on, whose, 0.0)
    while outage[0] < until:
        yield outage
        outage = next_outage(on, whose, outage[1])


def arrival_by_definition(outages: list[Outage], partition: tuple[float, float], direction: int, t: float) -> float:
    """Return when a packet arrives over a link of 10 ms, NaN: never, by looking at all outages."""
    on = [outage for outage in outages if outage[0] <= t < outage[1] and outage[2] in (BOTH, direction)]
    if partition[0] <= t < partition[1] or not all(holds for *_, holds in on):
        return nan
    return arrival_by_definition(outages, partition, direction, max(end for _, end, *_ in on)) if on else t + 0.01


# Own outages and a site's, of each direction and kind, so often that they overlap.
CROWDED: dict[str, Any] = {
    "outage_gap_mean_s": 4.0,
    "site_gap_mean_s": 3.0,
    "outage_s": np.linspace(1.0, 30.0, 97),
    "alone": [0.3, 0.3],
    "hold": 0.7,
    "site_nodes": 5,
}


@given(st.integers(0, 2**32), st.integers(0, 20), st.sampled_from([UP, DOWN]))
@settings(max_examples=50)
def test_a_packet_is_dropped_or_held_by_all_outages_that_it_meets(seed: int, node: int, direction: int) -> None:
    every = [one for whose in (OWN, SITE) for one in outages(link(seed=seed, node=node, **CROWDED), whose, 200.0)]
    crowded = link([(40.0, 60.0)], seed=seed, node=node, **CROWDED)
    times = np.arange(0.0, 100.0, 0.37)
    expected = [arrival_by_definition(every, (40.0, 60.0), direction, t) for t in times]
    assert [transmit(crowded, direction, t) for t in times] == pytest.approx(expected, nan_ok=True)


@given(st.integers(0, 2**32), st.integers(0, 20))
@settings(max_examples=25)
def test_held_packets_come_out_together_in_order_and_none_is_lost(seed: int, node: int) -> None:
    holding = link(seed=seed, node=node, **JITTERY, **OUT_OFTEN, hold=1.0)
    ends = {end for _, end, *_ in outages(link(seed=seed, node=node, **OUT_OFTEN), OWN, 200.0)}
    arrivals = [transmit(holding, UP, t) for t in np.arange(0.0, 200.0, 0.1)]
    assert not np.isnan(arrivals).any()
    assert arrivals == sorted(arrivals)
    together = [arrival for arrival, group in groupby(arrivals) if len(list(group)) > 40]
    assert len(together) >= len([end for end in ends if end < 200.0])
    assert all(any(0.01 <= arrival - end <= 0.41 for end in ends) for arrival in together)


@pytest.mark.parametrize(("direction", "other"), [(UP, DOWN), (DOWN, UP)])
def test_an_outage_of_one_direction_leaves_the_other_alone(direction: int, other: int) -> None:
    alone = np.zeros(2)
    alone[direction] = 1.0
    way, back = link(**OUT_OFTEN, alone=alone), link(**OUT_OFTEN, alone=alone)
    begins, ends, cut, _ = next_outage(link(**OUT_OFTEN, alone=alone), OWN, 0.0)
    assert cut == direction
    inside = np.linspace(begins, ends, 7)[:-1]
    assert all(isnan(transmit(way, direction, t)) for t in inside)
    assert [transmit(back, other, t) for t in inside] == pytest.approx(inside + 0.01)


def test_directions_and_holds_are_as_frequent_as_their_shares_say() -> None:
    mixed = link(**{**OUT_OFTEN, "site_gap_mean_s": 20.0}, alone=[0.25, 0.1], hold=0.3)
    for whose in (OWN, SITE):
        seen = list(outages(mixed, whose, 250_000.0))
        cut, holds = np.array([one[2] for one in seen]), np.array([one[3] for one in seen])
        assert len(seen) == pytest.approx(10_000, rel=0.05)
        shares = [(cut == direction).mean() for direction in (UP, DOWN, BOTH)]
        assert shares == pytest.approx([0.25, 0.1, 0.65], abs=0.015)
        assert [holds[cut == direction].mean() for direction in (UP, DOWN, BOTH)] == pytest.approx([0.3] * 3, abs=0.04)


def test_other_shares_of_directions_and_holds_move_no_outage() -> None:
    plain, other = link(**OUT_OFTEN), link(**OUT_OFTEN, alone=[0.5, 0.5], hold=0.5)
    assert [one[:2] for one in outages(plain, OWN, 1e4)] == [one[:2] for one in outages(other, OWN, 1e4)]


@given(st.integers(0, 2**32), st.integers(0, 1000), st.integers(2, 30))
@settings(max_examples=50)
def test_all_nodes_of_a_site_share_its_outages_and_nothing_else(seed: int, first: int, size: int) -> None:
    fields = {**CROWDED, "first_node": first, "site_nodes": size}
    nodes = {node: link(seed=seed, node=node, **fields) for node in (first, first + size - 1, first + size)}
    shared, own = ([tuple(outages(on, whose, 100.0)) for on in nodes.values()] for whose in (SITE, OWN))
    assert shared[0] == shared[1] != shared[2]
    assert len(set(own)) == 3


def test_plain_python_and_compiled_code_agree() -> None:
    for fields in ({**JITTERY, **OUT_OFTEN}, {**JITTERY, **CROWDED}):
        compiled, plain = link(**fields), link(**fields)
        for t in np.arange(0.0, 60.0, 0.9):
            assert np.array_equal(transmit(compiled, UP, t), transmit.py_func(plain, UP, t), equal_nan=True)
    assert next_outage(link(**CROWDED), SITE, 9.0) == next_outage.py_func(link(**CROWDED), SITE, 9.0)


INTERFACE = {"LINK_STATE", "Link", "UP", "DOWN", "BOTH", "OWN", "SITE", "MAX_PARTITIONS", "make_link", "mss_bytes"}
INTERFACE |= {"rewind", "partition", "transmit", "is_doubled", "next_outage"}


def test_all_but_what_describes_links_know_them_by_their_interface_so_that_another_model_takes_three_files() -> None:
    room = Path(link_module.__file__).parent
    used: set[str] = set()
    for path in set(room.rglob("*.py")) - {room / name for name in ("profile.py", "outages.py", "replay.py")}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == link_module.__name__:
                used |= {alias.name for alias in node.names}
    assert used <= INTERFACE
