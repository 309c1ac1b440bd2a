"""Long gaps that coincide are reported, and those of independent nodes are not."""

import numpy as np
import pytest
from tests.analysis.test_sites import beats

from heartbench.analysis import coincidence as module
from heartbench.analysis.absences import ALWAYS_THERE, Absences
from heartbench.analysis.coincidence import coincidence, long_gaps
from heartbench.analysis.gaps import NO_LOSSES, Gaps, PowerLosses, find_gaps

END_S = 20_000.0
INTERVAL_S = 10.0
Spans = list[tuple[float, float]]


def outages(generator: np.random.Generator, per_run: float) -> Spans:
    """Outages at uniform times, 20 s long and more."""
    starts = generator.uniform(0, END_S, generator.poisson(per_run))
    return [(start, start + 20 + generator.exponential(40)) for start in starts]


def gaps_of(
    generator: np.random.Generator,
    silences: list[Spans],
    losses: PowerLosses = NO_LOSSES,
    absences: Absences = ALWAYS_THERE,
) -> Gaps:
    """Gaps of nodes that send every 10 s from a time of their own, but in their silences."""
    lives = []
    for spans in silences:
        at = np.arange(generator.uniform(0, 500), END_S, INTERVAL_S)
        silent = np.zeros(len(at), bool)
        for begin, end in spans:
            silent |= (begin <= at) & (at < end)
        lives.append(at[~silent].tolist())
    return find_gaps(beats(*lives), losses, END_S, absences)


def test_of_independent_nodes_nothing_is_said_but_in_one_trace_of_a_hundred() -> None:
    reports = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        rates = 5 * generator.gamma(1.0, 1.0, 20)  # some nodes have more trouble than others
        reports += coincidence(gaps_of(generator, [outages(generator, rate) for rate in rates])) is not None
    assert reports <= 6  # 2 on average; more than 6 in one of 200 such tests


def test_a_node_whose_own_outages_cluster_shares_them_with_nobody() -> None:
    generator = np.random.default_rng(1)
    bad = generator.uniform(0, END_S, 6)
    clusters = [[(at + step, at + step + 40) for step in range(0, 600, 80)] for at in bad]
    assert coincidence(gaps_of(generator, clusters)) is None


@pytest.mark.parametrize("seed", range(20))
def test_outages_of_a_fleet_are_reported(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shared = [(at, at + 60) for at in (3000.0, 11_000.0)]
    found = coincidence(gaps_of(generator, [outages(generator, 5) + shared for _ in range(20)]))
    assert found is not None
    assert found.p_value <= 0.01
    assert found.pairs >= 2 * 20 * 19 // 2 > 2 * found.expected_pairs
    assert found.nodes == 20


@pytest.mark.parametrize("seed", range(20))
def test_outages_of_small_sites_are_reported(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sites = [outages(generator, 3) for _ in range(6)]
    assert coincidence(gaps_of(generator, [outages(generator, 3) + sites[node // 5] for node in range(30)])) is not None


def test_the_sentence_has_the_figures() -> None:
    generator = np.random.default_rng(1)
    found = coincidence(gaps_of(generator, [[(3000.0, 3060.0)] for _ in range(10)]))
    assert found is not None
    assert found.sentence.startswith("long gaps of different nodes coincide: 45 pairs overlap, about 0.335 would")
    assert "\n" not in found.sentence


def test_the_same_trace_says_the_same_again() -> None:
    gaps = gaps_of(np.random.default_rng(1), [[(3000.0, 3060.0)] for _ in range(10)])
    assert coincidence(gaps) == coincidence(gaps)


def test_silence_while_the_hub_was_away_or_nodes_had_no_power_is_not_shared() -> None:
    silences = [[(3000.0, 3060.0)] for _ in range(10)]
    away = Absences(np.array([3000.0]), np.array([3050.0]), np.array([False]))
    assert coincidence(gaps_of(np.random.default_rng(1), silences, absences=away)) is None
    losses = PowerLosses(np.arange(10), np.full(10, 3000.0), np.full(10, 3060.0))
    assert coincidence(gaps_of(np.random.default_rng(1), silences, losses)) is None


def test_of_many_gaps_the_longest_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    gaps = gaps_of(generator, [outages(generator, 5) for _ in range(20)])
    monkeypatch.setattr(module, "MOST_GAPS", 7)
    longest = long_gaps(gaps)
    assert np.sort(longest.length_s).tolist() == np.sort(gaps.up_s)[-7:].tolist()
    assert np.all(np.diff(longest.row) >= 0)


@pytest.mark.parametrize("lives", [[], [[1.0]], [[1.0], [2.0]], [[0.0, 1.0, 2.0, 50.0, 51.0], [0.0, 1.0, 2.0, 3.0]]])
def test_of_next_to_nothing_nothing_is_said(lives: list[list[float]]) -> None:
    gaps = find_gaps(beats(*lives) if lives else beats([]), NO_LOSSES, 60.0)
    assert coincidence(gaps) is None


def test_pairs_are_those_that_overlap() -> None:
    generator = np.random.default_rng(1)
    long = long_gaps(gaps_of(generator, [outages(generator, 20) for _ in range(5)]))
    starts = long.shifted(generator.random((3, 5)))
    ends = np.minimum(starts + long.length_s, END_S) - 1e-6
    for row in range(3):
        overlap = (starts[row][:, None] < ends[row]) & (starts[row] < ends[row][:, None])
        assert long.pairs(starts)[row] == (overlap.sum() - len(overlap)) // 2
        assert not np.any(overlap & (long.row[:, None] == long.row) & ~np.eye(len(overlap), dtype=bool))
