"""A replayed link: packets fare like the probes of its recording, lap after lap, wherever a node begins."""

from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.probes import recording, walk

from heartbench.simulator import replay
from heartbench.simulator.link import DOWN, OWN, SITE, UP, make_link, next_outage, transmit
from heartbench.simulator.recordings import Recording
from heartbench.simulator.replay import Replay
from heartbench.simulator.tape import loop_of

LOST = np.nan


@pytest.fixture
def link_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes the link of a node that replays a recording."""
    loops: dict[Any, Any] = {}
    monkeypatch.setattr(replay, "_KEPT", loops)

    def link(of: Recording, node: int = 0, shift: bool = False, cuts: Any = ()) -> Any:
        digest = f"sha256:{len(loops):064x}"
        loops[("walk.log",), digest] = loop_of(of)
        return make_link(Replay(file="walk.log", digest=digest, shift=shift).to_link(), cuts, 1, node)

    return link


def echoes_s(link: Any, times_s: np.ndarray) -> np.ndarray:
    """Return the round-trip times of probes that leave at these times, s; NaN: lost."""
    found = []
    for at_s in times_s:
        arrived_s = transmit(link, UP, at_s)
        found.append(arrived_s if isnan(arrived_s) else transmit(link, DOWN, arrived_s) - at_s)
    return np.array(found)


@pytest.mark.parametrize("lap", [0, 1, 1000])
def test_probes_of_the_same_times_fare_as_recorded(link_of: Any, lap: int) -> None:
    of = walk()
    seen = echoes_s(link_of(of), of.sent_s + lap * of.observed_s)
    np.testing.assert_allclose(seen, of.rtt_s, atol=1e-6)


def test_the_ways_of_a_recording_that_knows_both_are_kept_apart(link_of: Any) -> None:
    generator = np.random.default_rng(3)
    up_s, down_s = generator.uniform(0.01, 0.45, (2, 300))
    down_s[generator.random(300) < 0.1] = LOST
    link = link_of(recording(up_s + down_s, up_s=up_s, down_s=down_s))
    for second in range(300):
        arrived_s = transmit(link, UP, float(second))
        assert arrived_s - second == pytest.approx(up_s[second])
        back_s = transmit(link, DOWN, arrived_s) - arrived_s
        assert back_s == pytest.approx(down_s[second], nan_ok=True)


def test_a_packet_between_two_probes_fares_like_the_one_before(link_of: Any) -> None:
    of = walk()
    link = link_of(of)
    for at_s in (20.4, 105.9, 111.999):
        expected = at_s + of.rtt_s[int(at_s)] / 2
        assert transmit(link, UP, at_s) == pytest.approx(expected, nan_ok=True)


def test_what_a_stall_held_comes_out_together(link_of: Any) -> None:
    arrived_s = [transmit(link_of(walk()), UP, at_s) for at_s in np.arange(300.0, 309.0, 0.25)]
    assert arrived_s == pytest.approx([310.01] * len(arrived_s), abs=0.01)


def test_a_probe_that_was_overtaken_keeps_its_delay_and_the_next_one_waits(link_of: Any) -> None:
    link = link_of(recording([0.1] * 30 + [4.0] + [0.1] * 40))
    assert [transmit(link, UP, at_s) for at_s in (30.0, 31.0, 32.0, 33.0)] == pytest.approx([32.0, 32.0, 32.05, 33.05])


def test_outages_are_reported_in_every_lap(link_of: Any) -> None:
    link, found, at_s = link_of(walk()), [], 0.0
    for _ in range(4):
        outage = next_outage(link, OWN, at_s)
        at_s = outage[1]
        found.append(outage)
    assert [round(begins) for begins, *_ in found] == [100, 300, 700, 900]
    assert [round(ends) for _, ends, *_ in found] == [112, 310, 712, 910]
    assert [(cut, holds) for *_, cut, holds in found] == [(UP, False), (UP, True)] * 2
    assert next_outage(link, SITE, 0.0)[0] == inf


def test_a_recording_without_outages_has_none(link_of: Any) -> None:
    assert next_outage(link_of(recording([0.05] * 70)), OWN, 5.0)[0] == inf


def test_nodes_begin_at_places_of_their_own_unless_that_is_off(link_of: Any) -> None:
    begins = [[next_outage(link_of(walk(), node, shift), OWN, 0.0)[0] for node in range(40)] for shift in (True, False)]
    assert len(set(begins[0])) > 35
    assert set(begins[1]) == {100.0}


def test_a_node_that_begins_in_an_outage_has_what_is_left_of_it(link_of: Any) -> None:
    shifted = [link_of(recording([LOST] * 50 + [0.05] * 50), node, shift=True) for node in range(20)]
    inside = [link for link in shifted if link.recorded.shift_s < 50.0]
    assert inside
    for link in inside:
        begins, ends, *_ = next_outage(link, OWN, 0.0)
        assert (begins, ends) == pytest.approx((0.0, 50.0 - link.recorded.shift_s))
        assert isnan(transmit(link, UP, ends - 0.001))
        assert not isnan(transmit(link, UP, ends + 0.001))


@given(st.lists(st.floats(0, 5000), min_size=2, max_size=50).map(sorted), st.integers(0, 20), st.integers(0, 1))
@settings(max_examples=50)
def test_packets_keep_their_order(times: list[float], node: int, direction: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "_KEPT", {(("walk.log",), f"sha256:{0:064x}"): loop_of(walk())})
        link = make_link(Replay(file="walk.log", digest=f"sha256:{0:064x}").to_link(), (), 1, node)
        arrivals = [arrived for at_s in times if not isnan(arrived := transmit(link, direction, at_s))]
        assert arrivals == sorted(arrivals)


def test_a_partition_cuts_a_replayed_link_too(link_of: Any) -> None:
    link = link_of(walk(), cuts=[(20.0, 25.0)])
    assert [isnan(transmit(link, UP, at_s)) for at_s in (19.0, 20.0, 24.9, 25.0)] == [False, True, True, False]


def test_plain_python_and_compiled_code_agree(link_of: Any) -> None:
    compiled, plain = link_of(walk(), 7, shift=True), link_of(walk(), 7, shift=True)
    for at_s in np.arange(0.0, 700.0, 7.3):
        assert np.array_equal(transmit(compiled, UP, at_s), transmit.py_func(plain, UP, at_s), equal_nan=True)
        assert next_outage(compiled, OWN, at_s) == next_outage.py_func(plain, OWN, at_s)
