"""Lengths of many gaps in bounded memory."""

import numpy as np
import pytest

from heartbench.analysis.gap_lengths import GapLengths
from heartbench.analysis.qos import TimeLeft

LENGTHS_S = np.random.default_rng(1).lognormal(2.0, 1.5, 30_000)


def added(exact: int) -> GapLengths:
    lengths = GapLengths(exact)
    for part in np.array_split(LENGTHS_S, 7):
        lengths.add(part)
    return lengths


def test_few_are_kept_as_they_are() -> None:
    kept, counts = added(30_000).lengths()
    assert counts is None
    assert kept.tolist() == LENGTHS_S.tolist()
    assert added(30_000).median() == np.median(LENGTHS_S)


@pytest.mark.parametrize("exact", [0, 10_000])
def test_the_totals_of_many_are_exact_and_quantiles_are_off_by_a_bin(exact: int) -> None:
    lengths = added(exact)
    means_s, counts = lengths.lengths()
    assert counts is not None
    assert counts.sum() == len(LENGTHS_S)
    assert means_s @ counts == pytest.approx(LENGTHS_S.sum(), rel=1e-12)
    assert lengths.median() == pytest.approx(np.median(LENGTHS_S), rel=5e-4)
    for share in (0.01, 0.5, 0.9, 0.99):
        exactly = TimeLeft.of(0.0, LENGTHS_S).quantile(share, 0.1)
        assert TimeLeft.of(0.0, means_s, counts).quantile(share, 0.1) == pytest.approx(exactly, rel=5e-4, abs=2e-6)


def test_no_length_has_no_median() -> None:
    assert np.isnan(GapLengths().median())


def test_lengths_of_nothing_and_of_ages_are_binned_too() -> None:
    lengths = GapLengths(0)
    lengths.add(np.array([0.0, 1e-9, 2e11]))
    means_s, counts = lengths.lengths()
    assert counts is not None
    assert counts.tolist() == [2, 1]
    assert means_s @ counts == pytest.approx(2e11)
