"""The likelihood of losses is that of the model which the simulator draws from."""

from itertools import product

import numpy as np
import pytest
from tests.analysis.fit.recordings import NAN, recording

from heartbench.analysis.fit.events import find_runs
from heartbench.analysis.fit.losses import Alternation, Losses, alternation, log_likelihood, thinned
from heartbench.simulator.tail import Tail

KNOTS = np.array([1.0, 2.0, 2.5])
BURSTS = Losses(8.0, 0.7, 0.6, 0.03, KNOTS, np.full(3, 1e-9), Tail(2.5, 0.2, 1.0))
OUTAGES = Losses(np.inf, 0.0, 0.0, 0.0, KNOTS, np.array([90.0, 50.0, 40.0]), Tail(2.5, 0.2, 1.0))


def seen(lost: tuple[bool, ...]) -> Alternation:
    probes = recording([NAN if each else 0.02 for each in lost])
    return alternation(probes, find_runs(probes))


@pytest.mark.parametrize("ways", [1, 2])
def test_the_probabilities_of_all_sequences_of_bursts_add_up_to_one(ways: int) -> None:
    total = sum(np.exp(log_likelihood(BURSTS, seen(lost), 1.0, ways, 1.0)) for lost in product((False, True), repeat=5))
    assert total == pytest.approx(1.0, abs=1e-6)


def test_a_sequence_is_as_likely_as_the_forward_algorithm_says() -> None:
    start, change, q = BURSTS.chain(1.0, 2)
    lost = (False, True, True, False, False, True, False)
    state = start
    for each in lost:
        state = (state @ change) * (q if each else 1 - q)
    assert log_likelihood(BURSTS, seen(lost), 1.0, 2, 1.0) == pytest.approx(np.log(state.sum()), abs=1e-6)


def test_two_ways_are_two_independent_ones() -> None:
    one, two = BURSTS.chain(1.0, 1), BURSTS.chain(1.0, 2)
    assert two[0] == pytest.approx([one[0][0] ** 2, 2 * one[0][0] * one[0][1], one[0][1] ** 2])
    assert 1 - two[2] == pytest.approx([(1 - one[2][0]) ** 2, (1 - one[2][0]) * (1 - one[2][1]), (1 - one[2][1]) ** 2])


def test_outages_of_n_probes_come_at_the_rate_of_their_lengths() -> None:
    answered, rate = 20, 90 / 3600
    alone = log_likelihood(OUTAGES, Alternation(np.array([True]), np.array([answered]), np.array([0])), 1.0, 2, 1.0)
    assert alone == pytest.approx(answered * np.log(1 - rate), rel=1e-6)
    one = log_likelihood(OUTAGES, Alternation(np.array([True]), np.array([answered]), np.array([1])), 1.0, 2, 1.0)
    # Of at least 1 s there are 90 an hour; from 1 s to 2 s log-linear from 90 to 50.
    second = (90 - 50) / np.log(90 / 50) / 3600
    assert np.exp(one - alone) == pytest.approx(rate - second, rel=0.01)


def test_held_probes_and_the_beginnings_of_stretches_start_afresh() -> None:
    rtt = np.full(30, 0.02)
    rtt[[3, 25]] = NAN
    rtt[10:14] = [3.9, 2.9, 1.9, 0.9]
    probes = recording(rtt, stretch=[0] * 20 + [1] * 10)
    found = alternation(probes, find_runs(probes))
    assert found.answered.tolist() == [3, 6, 6, 5, 4]
    assert found.lost.tolist() == [1, 0, 0, 1, 0]
    assert found.fresh.tolist() == [True, False, True, True, False]


def test_a_long_recording_is_thinned_in_pieces_that_start_afresh() -> None:
    whole = Alternation(np.zeros(10_000, bool), np.arange(10_000), np.ones(10_000, int))
    pieces = thinned(whole, most=1000)
    assert len(pieces.lost) == 1000
    assert pieces.fresh.sum() == 50
    assert pieces.lost.sum() == 950  # each piece ends answered
    assert (np.diff(pieces.answered)[~pieces.fresh[1:]] == 1).all()
    assert thinned(whole, most=10_000) is whole
