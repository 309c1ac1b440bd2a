from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import overlay
from heartbench.benchmarks.gate.overlay import Changes
from heartbench.benchmarks.gate.worktrees import Tree


def changes(
    repository: Project,
    before: dict[str, str],
    after: dict[str, str],
    suite: Sequence[str] = ("perf",),
    more: Sequence[str] = (),
) -> Changes:
    base = repository.commit({"perf/test_always.py": "", **before})
    head = repository.commit(after)
    return overlay.changes(repository.path, base, head, suite, more)


def test_only_test_files_and_conftests_are_overlaid(repository: Project) -> None:
    files = ["conftest.py", "perf/conftest.py", "perf/deep/test_a.py", "perf/b_test.py", "perf/helper.py", "code.py"]
    found = changes(repository, dict.fromkeys(files, "1"), dict.fromkeys(files, "2"))
    assert found.overlaid == ["conftest.py", "perf/b_test.py", "perf/conftest.py", "perf/deep/test_a.py"]
    assert found.compared == ["code.py", "perf/helper.py"]


def test_a_file_of_the_suite_is_a_test_file_whatever_its_name(repository: Project) -> None:
    files = ["perf/bench_a.py", "perf/conftest.py", "perf/test_b.py"]
    found = changes(repository, dict.fromkeys(files, "1"), dict.fromkeys(files, "2"), suite=["perf/bench_a.py"])
    assert found.overlaid == ["perf/bench_a.py", "perf/conftest.py"]


def test_a_project_adds_to_what_is_overlaid(repository: Project) -> None:
    files = ["perf/test_a.py", "perf/helper.py"]
    found = changes(repository, dict.fromkeys(files, "1"), dict.fromkeys(files, "2"), more=["perf"])
    assert found.overlaid == sorted(files)
    assert found.compared == []


def test_files_that_are_new_gone_or_renamed_differ(repository: Project) -> None:
    base = repository.commit({"perf/test_a.py": "a test", "perf/test_old.py": "a", "code.py": "1"})
    repository.git("mv", "perf/test_a.py", "perf/test_b.py")
    repository.git("rm", "--quiet", "code.py")
    head = repository.commit({"perf/test_old.py": "a"})
    found = overlay.changes(repository.path, base, head, ["perf"], [])
    assert (found.overlaid, found.compared) == (["perf/test_a.py", "perf/test_b.py"], ["code.py"])


def test_paths_are_those_of_a_project_in_a_larger_repository(repository: Project) -> None:
    base = repository.commit({"part/perf/test_a.py": "1", "part/code.py": "1", "other.py": "1"})
    head = repository.commit({"part/perf/test_a.py": "2", "part/code.py": "2", "other.py": "2"})
    found = overlay.changes(repository.path / "part", base, head, ["perf"], [])
    assert (found.overlaid, found.compared) == (["perf/test_a.py"], ["../other.py", "code.py"])


@pytest.mark.parametrize(("suite", "more"), [(["nosuch"], []), (["perf"], ["nosuch"])])
def test_a_suite_or_an_overlay_that_is_not_in_git_is_a_mistake(
    repository: Project, suite: list[str], more: list[str]
) -> None:
    with pytest.raises(BenchmarkError, match="nosuch: not in git at the head"):
        changes(repository, {}, {"a.txt": "1"}, suite, more)


TREES = ("base", "head")
TINY = "import tiny\n\n\ndef test_it(benchmark):\n    benchmark(tiny.work)\n"
SUITE = ("perf", "more/bench_c.py")
PROJECT = {
    "perf/test_a.py": TINY,
    "perf/test_b.py": TINY,
    "more/bench_c.py": TINY,
    "perf/conftest.py": "",
    "perf/helper.py": "",
    "perf/data.json": "",
    "tiny.py": "",
}


def reasons(tmp_path: Path, base: dict[str, str], head: dict[str, str]) -> dict[str, str]:
    """Return why each benchmark is not compared, by the stem of its file, if what base and head say is overlaid."""
    base_tree, head_tree = (Tree(tmp_path / name, tmp_path / name) for name in TREES)
    for name, files in zip(TREES, (base, head), strict=True):
        for path, text in {**PROJECT, **files}.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
    found = overlay.overlaid(base_tree, head_tree, sorted({*base, *head}), SUITE)
    tests = ("perf/test_a.py", "perf/test_b.py", "more/bench_c.py")
    return {Path(test).stem: reason for test in tests if (reason := found.reason(f"{test}::test_it[1]"))}


def test_a_changed_helper_may_be_used_by_every_benchmark_and_is_named(tmp_path: Path) -> None:
    found = reasons(tmp_path, {}, {"perf/helper.py": "slow = 1"})
    assert set(found) == {"test_a", "test_b", "bench_c"}
    assert found["test_a"] == "perf/helper.py, which it may use, differs, and both sides take it from the head"


def test_a_changed_file_that_is_not_python_may_be_read_by_every_benchmark(tmp_path: Path) -> None:
    assert len(reasons(tmp_path, {}, {"perf/data.json": "{}"})) == 3


def test_a_changed_conftest_is_used_in_its_folder_and_below(tmp_path: Path) -> None:
    assert set(reasons(tmp_path, {}, {"perf/conftest.py": "slow = 1"})) == {"test_a", "test_b"}
    assert set(reasons(tmp_path, {}, {"conftest.py": "slow = 1"})) == {"test_a", "test_b", "bench_c"}


def test_a_changed_test_file_is_used_by_its_own_benchmarks(tmp_path: Path) -> None:
    for path in ("perf/test_a.py", "more/bench_c.py"):
        found = reasons(tmp_path, {}, {path: TINY.replace("work", "play")})
        assert found == {Path(path).stem: f"its code in {path} differs, and both sides take it from the head"}


@pytest.mark.parametrize("path", ["perf/test_a.py", "perf/conftest.py"])
def test_a_test_file_that_another_file_mentions_is_a_helper(tmp_path: Path, path: str) -> None:
    user = {"tiny.py": f"from perf.{Path(path).stem} import work"}
    found = reasons(tmp_path, user, {**user, path: TINY.replace("work", "play")})
    assert set(found) == {"test_a", "test_b", "bench_c"}


@pytest.mark.parametrize("path", ["perf/test_a.py", "perf/conftest.py", "perf/helper.py"])
def test_a_changed_comment_hides_nothing(tmp_path: Path, path: str) -> None:
    assert reasons(tmp_path, {path: "slow = 1"}, {path: "slow = 1  # not so fast"}) == {}


def test_a_file_that_cannot_be_parsed_may_be_anything(tmp_path: Path) -> None:
    assert len(reasons(tmp_path, {}, {"perf/helper.py": "this is no Python"})) == 3


def test_a_new_test_file_hides_nothing(tmp_path: Path) -> None:
    assert reasons(tmp_path, {"perf/test_a.py": ""}, {"perf/test_a.py": TINY}) == {}


def test_nothing_overlaid_hides_nothing(tmp_path: Path) -> None:
    assert reasons(tmp_path, {}, {}) == {}
