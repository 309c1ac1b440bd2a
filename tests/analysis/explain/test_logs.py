"""What is inferred from a log alone: one made by hand, and late deliveries with and without a ladder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.analysis.imported_logs import RECORD, every, write_import

from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.explain.answer import Question, answer_to
from heartbench.analysis.explain.flashes import Flashes
from heartbench.analysis.explain.logs import LadderFound, explain_log, ladder_of
from heartbench.analysis.explain.words import read_as
from heartbench.mesh.kinds import Kind

UNIX_S = 1.7e9
HELLO, HEARTBEAT = int(Kind.HELLO), int(Kind.HEARTBEAT)


def log(path: Path, rows: list[tuple[int, int, int, float, float]], begin_s: float = UNIX_S) -> Path:
    """Write a log of rows (node, connection, kind, sent, arrived); times in s since the log began."""
    frame = pd.DataFrame(rows, columns=["node", "connection", "kind", "sent_s", "arrived_s"])
    frame[["sent_s", "arrived_s"]] += begin_s
    frame.assign(boot=1, seq=0).to_parquet(path)
    return path


def beats(node: int, times_s: list[float], connection: int = 1) -> list[tuple[int, int, int, float, float]]:
    return [(node, connection, HEARTBEAT, at, at) for at in times_s]


def explained(path: Path) -> tuple[Flashes, LadderFound | None]:
    evidence = evidence_of(path, 30.0)
    return explain_log(path, evidence, evidence.gaps)


@pytest.fixture(params=[UNIX_S, 10.0])
def three_gaps(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a log in which three nodes are silent from 40 to 85 s, each for another reason."""
    late = beats(0, [0, 10, 20, 30, 40, 85, 85.1, 85.2, 90, 100])
    lost = beats(1, [0, 10, 20, 30, 40, 85, 95, 105])
    anew = [*beats(2, [0, 10, 20, 30, 40]), (2, 2, HELLO, 85.0, 85.0), *beats(2, [90, 100], connection=2)]
    return log(tmp_path / "log.parquet", [*late, *lost, *anew], request.param)


def test_what_ends_a_gap_tells_its_cause_and_all_is_marked_as_inferred(three_gaps: Path) -> None:
    found, ladder = explained(three_gaps)
    assert [flash.cause for flash in found.each] == ["late delivery", "missing", "reconnect"]
    assert all(flash.kind is None and flash.inferred for flash in found.each)
    assert [flash.mark.gap_s for flash in found.each] == pytest.approx([45.0] * 3)
    assert [flash.mark.at_s for flash in found.each] == pytest.approx([70.0] * 3)
    assert ladder is None


def test_what_the_import_noted_is_said(tmp_path: Path) -> None:
    noted = replace(RECORD, notes=("The times were read as ms.",))
    directory = write_import(tmp_path / "log", {"a": [every(10.0, 0.0, 600.0)]}, noted)
    assert "The times were read as ms." in list(read_as(evidence_of(directory, 30.0)))


def test_senders_times_show_what_was_late(tmp_path: Path) -> None:
    held = [(0, 1, HEARTBEAT, sent, max(sent, 85.0)) for sent in (50.0, 60.0, 70.0)]
    fresh = [(1, 1, HEARTBEAT, sent, sent + 0.04) for sent in (84.96, 95.0)]
    before = [(node, 1, HEARTBEAT, at, at + 0.04) for node in (0, 1) for at in (0.0, 10.0, 20.0, 30.0, 40.0)]
    found, _ = explained(log(tmp_path / "log.parquet", [*before, *held, *fresh]))
    assert [flash.cause for flash in found.each] == ["late delivery", "missing"]


def test_what_was_late_may_arrive_behind_what_was_not(tmp_path: Path) -> None:
    before = [(0, 1, HEARTBEAT, at, at + 0.04) for at in (0.0, 10.0, 20.0, 30.0, 40.0)]
    mixed = [(0, 1, HEARTBEAT, sent, arrived) for sent, arrived in [(80.0, 85.0), (60.0, 85.3), (50.0, 86.0)]]
    found, _ = explained(log(tmp_path / "log.parquet", [*before, *mixed, (0, 1, HEARTBEAT, 95.0, 95.04)]))
    assert [flash.cause for flash in found.each] == ["late delivery"]


def test_a_threshold_under_the_nodes_own_interval_makes_no_message_missing(tmp_path: Path) -> None:
    slow = beats(0, [0, 40, 82, 120, 210, 250])
    fleet = [beat for node in (1, 2, 3) for beat in beats(node, [10.0 * n for n in range(26)])]
    found, _ = explained(log(tmp_path / "log.parquet", [*slow, *fleet]))
    causes = ["no heartbeat due", "no heartbeat due", "no heartbeat due", "missing", "no heartbeat due"]
    assert [flash.cause for flash in found.each] == causes


def test_a_story_of_a_log_has_its_messages_and_no_link(three_gaps: Path) -> None:
    answer = answer_to(Question(three_gaps, node="1", now_s=30.0))
    assert answer.story is not None
    lanes = {line.lane for line in answer.story.lines()}
    assert lanes == {"messages", "hub"}
    told = answer.to_json()
    assert [each["kind"] for each in told["flashes"]] == [None]
    assert told["sum"]["unknown"] == 1
    assert told["sum"]["not_tried"] == "a log says nothing about the nodes' settings"


def test_doubling_steps_are_found_and_smooth_tails_are_not() -> None:
    rng = np.random.default_rng(7)
    steps_s = 0.3 * 2.0 ** rng.integers(6, 9, 60) * rng.normal(1.0, 0.02, 60)
    found = ladder_of(steps_s.tolist())
    assert found is not None
    assert found.is_sure
    assert found.step_s == pytest.approx(0.3, rel=0.02)
    steep_s = 20.0 * np.exp(rng.exponential(size=(40, 60)) / 4.0)  # angles far from uniform, and no steps
    humps_s = 0.3 * rng.lognormal(0.8, 0.4, (40, 300))  # most in one octave
    for late_s in [*steep_s.tolist(), *humps_s.tolist()]:
        smooth = ladder_of(late_s)
        assert smooth is None or not smooth.is_sure


def test_a_gap_is_told_without_the_time_in_which_the_hub_was_down(tmp_path: Path) -> None:
    silent = {"a": [(1000.0, 1100.0)], "b": [(3000.0, 4000.0)], "c": [(5000.0, 5060.0)]}
    lives = {name: [every(10.0, 0.0, 7201.0, silences)] for name, silences in silent.items()}
    path = write_import(tmp_path / "log", lives, replace(RECORD, hub_down=((3100.0, 3500.0),)))
    found = answer_to(Question(path, now_s=40.0))
    (share,) = found.total.by_cause
    assert (share.count, share.gap_longest_s, share.gap_median_s) == (3, 600.0, 100.0)
    flash = next(flash for flash in found.found.each if flash.name == "b")
    assert (flash.mark.gap_s, flash.mark.hub_away_s, flash.mended_by) == (1000.0, 400.0, ())
