import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.process import Measurer, Order, hash_seed, interpreter, pinned
from heartbench.benchmarks.gate.settings import Settings, load
from heartbench.benchmarks.gate.worktrees import Tree


def measured(
    project: Project,
    tmp_path: Path,
    name: str = "x",
    suite: tuple[str] = ("benchmarks",),
    spins: dict[Any, Any] | None = None,
    **settings: Any,
) -> Any:
    chosen = load(project.path, **settings)
    measurer = Measurer(interpreter(project.path, chosen), suite, chosen, tmp_path / "work")
    tree = Tree(project.path, project.path)
    return measurer.measure({name: Order(tree, hash_seed(0, 0), (), spins)}, "0")[name]


def test_a_process_measures_slice_by_slice(project: Project, tmp_path: Path) -> None:
    sample = measured(project, tmp_path, max_time="100ms")
    (timing,) = sample.times.values()
    assert len(timing.slices) > 2
    assert min(timing.slices.values()) <= timing.median_s <= max(timing.slices.values())
    assert sample.python == sys.version
    assert [file.suffix for file in (tmp_path / "work").iterdir() if file.is_file()] == [".py", ".py"]


PEDANTIC = """

def test_pedantic(benchmark):
    benchmark.pedantic(sum, args=(range(10_000),), rounds=60, warmup_rounds=2, iterations=3)
"""


def test_processes_take_turns_over_all_kinds_of_benchmarks(project: Project, tmp_path: Path) -> None:
    project.commit({"benchmarks/test_tiny.py": project.suite + PEDANTIC})
    chosen = load(project.path, max_time="20ms")
    measurer = Measurer(interpreter(project.path, chosen), ("benchmarks",), chosen, tmp_path / "work")
    order = Order(Tree(project.path, project.path), hash_seed(0, 0))
    both = measurer.measure({"one": order, "other": order}, "0")
    for name in ("total", "pedantic"):
        one, other = (sample.times[f"benchmarks/test_tiny.py::test_{name}"].slices for sample in both.values())
        assert one.keys() & other.keys()
    assert both["one"].failures == both["other"].failures == {}


TELLS = """
import os
import sys


def test_lengths(benchmark):
    benchmark(int)
    raise ValueError(f"{len(' '.join(sys.orig_argv))} {len(os.environ['HEARTBENCH_GATE'])}")
"""


def test_what_a_process_is_told_is_as_long_for_all(project: Project, tmp_path: Path) -> None:
    project.commit({"benchmarks/test_tiny.py": TELLS})
    chosen = load(project.path)
    measurer = Measurer(interpreter(project.path, chosen), ("benchmarks",), chosen, tmp_path / "work")
    order = Order(Tree(project.path, project.path), hash_seed(0, 0))
    seen = measurer.measure({"base": order, "slow-10%": order}, "0")
    said = [sample.failures["benchmarks/test_tiny.py::test_lengths"] for sample in seen.values()]
    assert said[0] == said[1]
    assert said[0].startswith("ValueError: ")


def test_injected_spins_make_the_measured_call_slower(project: Project, tmp_path: Path) -> None:
    name = "benchmarks/test_tiny.py::test_total"
    plain = measured(project, tmp_path, spins={}).times[name]
    slowed = measured(project, tmp_path, spins={name: 100_000.0}).times[name]
    assert slowed.median_s > 10 * plain.median_s
    assert slowed.median_s > 50_000 * slowed.spin_s


def test_a_node_id_is_measured_alone(project: Project, tmp_path: Path) -> None:
    project.commit({"benchmarks/test_more.py": "def test_more(benchmark):\n    benchmark(int)\n"})
    sample = measured(project, tmp_path, suite=("benchmarks/test_tiny.py::test_total",))
    assert list(sample.times) == ["benchmarks/test_tiny.py::test_total"]


def test_a_file_that_cannot_be_imported_is_a_failure_and_the_rest_is_measured(project: Project, tmp_path: Path) -> None:
    project.commit({"benchmarks/test_broken.py": "import nosuch\n"})
    sample = measured(project, tmp_path)
    assert list(sample.times) == ["benchmarks/test_tiny.py::test_total"]
    assert "No module named 'nosuch'" in sample.failures["benchmarks/test_broken.py"]


def test_a_suite_that_fails_as_a_whole_is_reported_even_if_warnings_are_errors(
    project: Project, tmp_path: Path
) -> None:
    settings = (project.path / "pyproject.toml").read_text("utf-8")
    strict = settings.replace("[tool.heartbench", 'filterwarnings = ["error"]\n[tool.heartbench')
    project.commit({"pyproject.toml": strict, "benchmarks/test_tiny.py": "import nosuch\n"})
    sample = measured(project, tmp_path)
    assert sample.failures == {"benchmarks/test_tiny.py": "ModuleNotFoundError: No module named 'nosuch'"}


def test_a_process_that_crashes_or_hangs_is_an_error_that_names_its_log(project: Project, tmp_path: Path) -> None:
    project.commit({"benchmarks/test_tiny.py": "import os\nos._exit(7)\n"})
    with pytest.raises(BenchmarkError, match=r"pytest ended with status 7: .*00\.log"):
        measured(project, tmp_path)
    project.commit({"benchmarks/test_tiny.py": "import signal\nsignal.pause()\n"})
    with pytest.raises(BenchmarkError, match=r"silent for longer than process_timeout = 2 s"):
        measured(project, tmp_path, process_timeout=2)


def test_a_python_without_pytest_benchmark_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be run"):
        interpreter(tmp_path, Settings(python="nosuch"))
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(BenchmarkError, match="pytest-benchmark is not installed"):
        interpreter(tmp_path, Settings(python="python"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen on this system")
def test_everything_started_meanwhile_stays_on_one_core() -> None:
    before = os.sched_getaffinity(0)
    with pinned() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(BenchmarkError, match="--core 9999: not available; allowed"), pinned(9999):
        pass


def test_hash_seeds_differ_between_rounds_and_are_the_same_when_asked_again() -> None:
    seeds = [hash_seed(1, number) for number in range(50)]
    assert len(set(seeds)) == 50
    assert seeds == [hash_seed(1, number) for number in range(50)]
    assert all(0 < seed < 2**32 for seed in seeds)
