"""What is counted of a log, node by node and hour by hour."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.analysis.imported_logs import RECORD, every, write_import

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.imports.record import Dead
from heartbench.analysis.promise.counts import BLOCKS, Counts, counts_of
from heartbench.analysis.readings import Reading, SilentAtEnd

DAY_S, HOUR_S = 86_400.0, 3600.0


def counted(directory: Path, recent_s: float = DAY_S) -> Counts:
    return counts_of(evidence_of(directory, 60.0), directory, recent_s, Reading(SilentAtEnd.DEAD))


def test_gaps_and_restarts_are_counted_in_the_hour_in_which_they_begin(tmp_path: Path) -> None:
    silences = [(2 * HOUR_S, 2 * HOUR_S + 50), (30 * HOUR_S, 30 * HOUR_S + 90)]
    a = [every(10.0, 0.0, 2 * DAY_S, silences)]
    b = [every(10.0, 3.0, DAY_S), every(20.0, DAY_S + 600.0, 2 * DAY_S)]
    found = counted(write_import(tmp_path / "log", {"a": a, "b": b}, parts=2))
    assert (found.names, found.group) == (("a", "b"), ("all", "all"))
    assert found.up_days.shape == (2, 48)
    assert found.split == BLOCKS
    assert [int(each) for each in found.long[0].nonzero()[0]] == [2, 30]
    assert [int(each) for each in found.stale[0, :, 0].nonzero()[0]] == [30]
    assert found.restarts.sum(1).tolist() == [0, 1]
    assert found.interval_s[1].tolist() == [10.0, 20.0]
    assert found.up_days.sum(1) == pytest.approx([2.0, 2.0], abs=0.01)


def test_false_stales_are_counted_both_ways_if_times_are_known_to_a_step(tmp_path: Path) -> None:
    lives = {"a": [every(15.0, 0.0, DAY_S, [(3600.0, 3660.0), (7200.0, 7290.0)])]}
    found = counted(write_import(tmp_path / "log", lives, replace(RECORD, interval_s=15.0, step_s=15.0)))
    assert found.stale.sum((0, 1)).tolist() == [1, 2]


def test_a_recent_part_that_is_too_short_for_its_blocks_is_an_error(tmp_path: Path) -> None:
    log = write_import(tmp_path / "log", {"a": [every(10.0, 0.0, DAY_S)]})
    with pytest.raises(AnalysisError, match="--since: 600s: must be at least 48m"):
        counted(log, 600.0)
    rare = write_import(tmp_path / "rare", {"a": [every(600.0, 0.0, DAY_S)]}, replace(RECORD, interval_s=600.0))
    with pytest.raises(AnalysisError, match="--since: 3600s: must be at least 240m"):
        counted(rare, 3600.0)


def test_a_node_is_up_at_the_end_though_its_last_gap_began_in_an_earlier_hour(tmp_path: Path) -> None:
    lives = {"a": [every(10.0, 0.0, DAY_S)], "slow": [every(7000.0, 0.0, DAY_S - 6000.0)]}
    assert counted(write_import(tmp_path / "log", lives)).is_up.tolist() == [True, True]
    died = replace(RECORD, dead=(Dead("slow", DAY_S - 5000.0),))
    assert counted(write_import(tmp_path / "dead", lives, died)).is_up.tolist() == [True, False]
