"""What a look says if the hub may have been down while all nodes were silent."""

from dataclasses import replace
from pathlib import Path

from tests.analysis.imported_logs import RECORD, every, write_import
from tests.analysis.promise.test_judgement import fleet, rates

from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.promise.judgement import Judgement, Verdict, judged
from heartbench.analysis.promise.looks import agreed, look_at
from heartbench.analysis.promise.words import assumptions, lines

DAY_S = 86_400.0
SILENCE = (1.5 * DAY_S, 1.5 * DAY_S + 300.0)


def look(directory: Path, goal: float) -> Judgement:
    record = replace(RECORD, all_silent=(SILENCE,))
    lives = {f"n{number}": [every(10.0, 0.1 * number, 2 * DAY_S, [SILENCE])] for number in range(20)}
    return look_at(evidence_of(write_import(directory, lives, record), 60.0), directory, DAY_S, goal)


def test_a_setting_is_not_broken_by_a_silence_of_all_that_may_be_the_hubs(tmp_path: Path) -> None:
    found = look(tmp_path / "log", 0.01)
    (promise,) = found.promises
    assert (promise.false_stale, promise.verdict, promise.interval[0]) == (20, Verdict.UNSURE, 0.0)
    assert found.is_good
    kept = look(tmp_path / "again", 100.0)
    assert kept.promise is Verdict.KEPT


def test_the_silence_of_all_is_listed_with_how_it_was_read(tmp_path: Path) -> None:
    look(tmp_path / "log", 1.0)
    shown = assumptions(evidence_of(tmp_path / "log", 60.0), None)
    assert any(
        line.startswith("all silent at once: 129600.0..129900.0; read as silence of the nodes") for line in shown
    )


def test_a_change_that_only_one_reading_shows_is_unsure() -> None:
    changed, quiet = judged(fleet(rates(factor=2.0)), 1e9), judged(fleet(), 1e9)
    for found in (agreed([changed, quiet], 1e9), agreed([quiet, changed], 1e9)):
        assert (found.network, found.shifts, found.is_good) == (Verdict.UNSURE, (), True)
        assert any("where the hub was" in line for line in lines(found, str, None))
    assert agreed([changed, changed], 1e9).network is Verdict.CHANGED
