"""What of an imported log counts as a false stale, and what counts for nobody."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.analysis.imported_logs import RECORD, Lives, every, write_import

from heartbench.analysis import imported
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.imports.record import Dead, ImportRecord, Suspect
from heartbench.analysis.readings import SilentAtEnd, reading_named
from heartbench.analysis.study import study
from heartbench.analysis.tune import Goal, Recommendation
from heartbench.analysis.verdict import reading_lines, sentence

END_S = 7200.0
EASY = Goal(max_false_stale_per_node_day=1000.0, max_detection_s=60.0)
STEADY = every(10.0, 0.0, END_S + 1)


def judged(path: Path, silent: SilentAtEnd | None = None) -> Recommendation:
    return study(evidence_of(path, now_s=40.0, silent_at_end=silent), EASY)


def at_40_s(lives: Lives, record: ImportRecord, path: Path) -> tuple[int, float]:
    """Return the false stales at 40 s and the watched node-hours of the first node beside a steady one."""
    found = judged(write_import(path, {**lives, "steady": [STEADY]}, record))
    (hours,) = found.hours.values()
    return found.rows(40.0)["all"].false_stale, round(hours - END_S / 3600, 6)


def test_a_restart_of_a_node_counts_for_nobody(tmp_path: Path) -> None:
    before, after = every(10.0, 0.0, 3001.0), every(10.0, 3300.0, END_S + 1)
    record = replace(RECORD, restarts=1)
    assert at_40_s({"a": [before, after]}, record, tmp_path / "restarted") == (0, round((END_S - 300) / 3600, 6))
    assert at_40_s({"a": [before + after]}, RECORD, tmp_path / "silent") == (1, round(END_S / 3600, 6))


def test_a_silence_before_a_restart_still_counts(tmp_path: Path) -> None:
    before, after = every(10.0, 0.0, 3001.0, [(1000.0, 1100.0)]), every(10.0, 3300.0, END_S + 1)
    assert at_40_s({"a": [before, after]}, RECORD, tmp_path / "log")[0] == 1


def test_an_old_boot_that_is_heard_late_is_no_second_restart(tmp_path: Path) -> None:
    old = [*every(10.0, 0.0, 3001.0), 3301.0, 3303.0]
    new = [3300.0, 3302.0, *every(10.0, 3380.0, END_S + 1)]
    assert at_40_s({"a": [old, new]}, RECORD, tmp_path / "log")[0] == 1  # the 77 s after 3303


def test_while_the_hub_was_down_nobody_was_silent(tmp_path: Path) -> None:
    lives = {"a": [every(10.0, 0.0, END_S + 1, [(3000.0, 3300.0)])]}
    record = replace(RECORD, hub_down=((3005.0, 3290.0),), origin_unix_s=1.7e9)
    assert at_40_s(lives, record, tmp_path / "down") == (0, round((END_S - 2 * 285) / 3600, 6))
    assert at_40_s(lives, RECORD, tmp_path / "up")[0] == 1


@pytest.mark.parametrize("at_s", [3000.0, 3007.0, 2500.0])
def test_a_named_death_is_no_false_stale_from_its_time_on(at_s: float, tmp_path: Path) -> None:
    lives = {"a": [every(10.0, 0.0, 3001.0)]}
    record = replace(RECORD, dead=(Dead("a", at_s),), suspects=(Suspect("a", 3000.0, 4200.0),))
    assert at_40_s(lives, record, tmp_path / "log") == (0, round(at_s / 3600, 6))


def test_a_suspect_is_judged_dead_and_alive_and_the_worse_decides(tmp_path: Path) -> None:
    lives = {"a": [every(10.0, 0.0, 3001.0)], "b": [STEADY]}
    path = write_import(tmp_path / "log", lives, replace(RECORD, suspects=(Suspect("a", 3000.0, 4200.0),)))
    rare = Goal(max_false_stale_per_node_day=50.0, max_detection_s=60.0)
    found = study(evidence_of(path, now_s=40.0), rare)
    assert list(found.readings) == ["dead", "alive"]
    stale = {name: each.rows(40.0)["all"].false_stale for name, each in found.readings.items()}
    assert stale == {"dead": 0, "alive": 1}
    assert found.reading == "alive"
    assert found.recommended_s == found.readings["alive"].recommended_s
    for silent, count in ((SilentAtEnd.DEAD, 0), (SilentAtEnd.ALIVE, 1)):
        alone = judged(path, silent)
        assert (alone.readings, alone.rows(40.0)["all"].false_stale) == ({}, count)


def test_a_silence_of_all_is_judged_with_the_hub_up_and_down_and_the_worse_decides(tmp_path: Path) -> None:
    lives = {name: [every(10.0, 0.0, END_S + 1, [(3000.0, 3300.0)])] for name in "abc"}
    path = write_import(tmp_path / "log", lives, replace(RECORD, all_silent=((3000.0, 3300.0),)))
    found = judged(path)
    stale = {name: each.rows(40.0)["all"].false_stale for name, each in found.readings.items()}
    assert (stale, found.reading) == ({"hub-up": 3, "hub-down": 0}, "hub-up")
    assert "of the worst, in which the hub was up while all nodes were silent at once" in sentence(found)
    lines = [line for line in reading_lines(found) if "hub was down while all nodes were silent at once: at " in line]
    assert len(lines) == 1
    assert reading_named("hub-down, alive, longest").name == "hub-down, alive, longest"


def test_times_known_to_a_step_are_judged_at_both_ends(tmp_path: Path) -> None:
    lives = {"a": [every(15.0, 0.0, END_S + 1, [(1500.0, 1530.0), (3000.0, 3045.0), (4500.0, 4560.0)])]}
    record = replace(RECORD, step_s=15.0, interval_s=15.0)
    found = judged(write_import(tmp_path / "log", lives, record))
    stale = {name: each.rows(40.0)["all"].false_stale for name, each in found.readings.items()}
    assert stale == {"shortest": 1, "longest": 3}  # gaps of 30, 45 and 60 s, each known to within 15 s
    assert found.reading == "longest"
    hours = {name: sum(each.hours.values()) for name, each in found.readings.items()}
    assert hours == {"shortest": END_S / 3600, "longest": END_S / 3600}


def test_blocks_of_a_long_log_add_up_to_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    lives = {
        f"n{node}": [(np.cumsum(10 + generator.exponential(3.0, 500)) + generator.uniform(0, 100)).tolist()]
        for node in range(12)
    }
    path = write_import(tmp_path / "log", lives, parts=4)
    whole = study(evidence_of(path), EASY)
    monkeypatch.setattr(imported, "BLOCK_GAPS", 1000)
    evidence = evidence_of(path)
    assert [len(each.node) for each in evidence.blocks()] == [3, 3, 3, 3]
    np.testing.assert_allclose(study(evidence, EASY).fleet, whole.fleet, rtol=1e-12)


def test_a_log_without_a_known_current_setting_has_none(tmp_path: Path) -> None:
    assert study(evidence_of(write_import(tmp_path / "log", {"a": [STEADY]})), EASY).current_s is None


def test_what_the_import_says_of_unknown_nodes_is_refused(tmp_path: Path) -> None:
    path = write_import(tmp_path / "log", {"a": [STEADY]}, replace(RECORD, dead=(Dead("b", 5.0),)))
    with pytest.raises(AnalysisError, match=r"import\.json: node 'b' is not in the nodes\.parquet beside it"):
        evidence_of(path)


def test_a_trace_alone_has_no_suspects(tmp_path: Path) -> None:
    path = write_import(tmp_path / "log", {"a": [STEADY]}) / "trace"
    with pytest.raises(AnalysisError, match=r"--silent-at-end: .* does not say which nodes fell silent"):
        evidence_of(path, silent_at_end=SilentAtEnd.DEAD)


def test_a_run_knows_which_nodes_were_down(run_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"--silent-at-end: .* records what its nodes did; expected only"):
        evidence_of(run_path, silent_at_end=SilentAtEnd.DEAD)


def test_pauses_of_the_sender_are_left_out_on_request(tmp_path: Path) -> None:
    sent = every(10.0, 0.0, END_S + 1, [(1000.0, 1100.0)])
    arrived = [each if not 3000 < each < 3060 else 3060.0 for each in sent]  # held up by the network for a minute
    path = write_import(tmp_path / "log", {"a": [arrived]}, replace(RECORD, transit=True))
    part = path / "trace" / "part-00000.parquet"
    pd.read_parquet(part).assign(sent_s=sent).to_parquet(part)
    counts = {
        skip: study(evidence_of(path, 40.0, skip_pauses=skip), EASY).rows(40.0)["all"].false_stale
        for skip in (False, True)
    }
    assert counts == {False: 2, True: 1}
    with pytest.raises(
        AnalysisError, match=r"--skip-sender-pauses: .* has no times of the senders; expected a log with"
    ):
        evidence_of(write_import(tmp_path / "other", {"a": [arrived]}), skip_pauses=True)
