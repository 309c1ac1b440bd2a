import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.gate import counts
from heartbench.benchmarks.gate.compare import laid_out, subject
from heartbench.benchmarks.gate.counts import count_all, counters
from heartbench.benchmarks.gate.phases import Comparison
from heartbench.benchmarks.gate.rounds import silent
from heartbench.benchmarks.gate.settings import load

TOTAL = "benchmarks/test_tiny.py::test_total"
THREADS = """
import threading


def test_threads(benchmark):
    def run():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    benchmark(run)


def test_prepared(benchmark):
    benchmark.pedantic(sorted, setup=lambda: (([*range(2000), *range(2000)],), {}), rounds=3)
"""

HERE = counters(Path(sys.executable))
COUNTED = {counter.what for counter in HERE}
instructions = pytest.mark.skipif("instructions" not in COUNTED, reason="valgrind is not here")
allocations = pytest.mark.skipif("allocations" not in COUNTED, reason="memray is not here")


@contextmanager
def last_commit(project: Any) -> Iterator[Comparison]:
    """The last commit beside the one before."""
    chosen = subject(project.path, "HEAD~1", [], load(project.path, python=sys.executable))
    with laid_out(chosen, chosen.changes(), project.path / ".benchmarks" / "counting", silent) as comparison:
        yield comparison


@instructions
@pytest.mark.slow
def test_instructions_show_a_change_in_the_code_and_nothing_in_unchanged_code(project: Project) -> None:
    (counter,) = (each for each in HERE if each.what == "instructions")
    project.commit({"benchmarks/test_tiny.py": project.suite + THREADS})
    project.commit({"tiny.py": project.source.replace("sum(numbers)", "sum(numbers) + sum(numbers[:50]) * 0")})
    threads, prepared = (TOTAL.replace("total", name) for name in ("threads", "prepared"))
    names = [TOTAL, threads, prepared]
    with last_commit(project) as comparison:
        base, _, head = comparison.arms
        before, after = (counter.count(comparison.rounds.measurer, arm, 1, names) for arm in (base, head))
    assert set(before) == set(after) == {TOTAL, prepared}  # threads are scheduled as they come
    assert 1.05 < after[TOTAL] / before[TOTAL] < 1.5  # it adds up a tenth more numbers
    assert after[prepared] == pytest.approx(before[prepared], rel=counts.SAME)


@allocations
@pytest.mark.slow
def test_allocations_are_counted_one_by_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "HASH_SEEDS", (1,))
    monkeypatch.setattr(counts, "counters", lambda _: [counts.Counter("allocations")])
    project.commit({"tiny.py": project.source.replace("sum(numbers)", "sum([bytearray(2000) and x for x in numbers])")})
    project.commit(
        {"tiny.py": project.source.replace("sum(numbers)", "sum([bytearray(2000) and x for x in numbers * 2]) // 2")}
    )
    with last_commit(project) as comparison:
        found, notes = count_all(comparison.rounds.measurer, comparison.arms, [TOTAL], silent)
    counted = found["allocations"][TOTAL]
    assert counted.repeatable
    assert counted.ratio == pytest.approx(2.0, rel=0.05)
    assert counted.base >= 1000
    assert not notes


def test_tools_that_are_not_there_count_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    assert counters(tmp_path / "python") == []
