from pathlib import Path

import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import worktrees


def test_a_worktree_has_the_files_of_its_revision_and_leaves_the_project_alone(
    repository: Project, tmp_path: Path
) -> None:
    first = repository.commit({"a.txt": "old"})
    repository.commit({"a.txt": "new"})
    tree = worktrees.lay(repository.path, tmp_path / "tree", first)
    assert (tree.project / "a.txt").read_text() == "old"
    assert (repository.path / "a.txt").read_text() == "new"
    worktrees.remove(repository.path, tree.path)
    assert repository.git("worktree", "list").count("\n") == 0
    assert repository.git("status", "--porcelain") == ""


def test_what_a_killed_run_left_is_replaced(repository: Project, tmp_path: Path) -> None:
    first = repository.commit({"a.txt": "old"})
    left = worktrees.lay(repository.path, tmp_path / "tree", first)
    (left.path / "rubbish").touch()
    assert not (worktrees.lay(repository.path, tmp_path / "tree", first).path / "rubbish").exists()


def test_an_overlay_makes_files_as_they_are_in_another_revision_deletions_too(
    repository: Project, tmp_path: Path
) -> None:
    base = repository.commit({"perf/test_[a].py": "1", "perf/test_gone.py": "1", "code.py": "1"})
    repository.git("rm", "--quiet", "perf/test_gone.py")
    head = repository.commit({"perf/test_[a].py": "2", "perf/test_new.py": "2", "code.py": "2"})
    tree = worktrees.lay(repository.path, tmp_path / "tree", base)
    worktrees.overlay(tree, head, worktrees.differing(repository.path, base, head, ["perf"]))
    assert sorted(file.name for file in (tree.project / "perf").iterdir()) == ["test_[a].py", "test_new.py"]
    assert (tree.project / "perf/test_[a].py").read_text() == "2"
    assert (tree.project / "code.py").read_text() == "1"


def test_an_overlay_of_nothing_changes_nothing(repository: Project, tmp_path: Path) -> None:
    base = repository.commit({"code.py": "1"})
    head = repository.commit({"code.py": "2"})
    tree = worktrees.lay(repository.path, tmp_path / "tree", base)
    worktrees.overlay(tree, head, [])
    assert (tree.project / "code.py").read_text() == "1"


def test_the_files_of_a_revision_are_listed_by_pattern(repository: Project) -> None:
    head = repository.commit({"perf/deep/test_a.py": "", "perf/test_b.py": "", "perf/code.py": "", "test_c.py": ""})
    found = worktrees.files_at(repository.path, head, [":(glob)perf/**/test_*.py"])
    assert found == ["perf/deep/test_a.py", "perf/test_b.py"]


def test_a_changed_work_tree_has_one_name_however_often_it_is_asked(repository: Project) -> None:
    head = repository.commit({"a.txt": "1"})
    assert worktrees.commit_of_work_tree(repository.path) == head
    (repository.path / "a.txt").write_text("2")
    changed = worktrees.commit_of_work_tree(repository.path)
    assert changed not in (head, "")
    assert worktrees.commit_of_work_tree(repository.path) == changed
    assert repository.git("show", f"{changed}:a.txt") == "2"
    assert repository.git("stash", "list") == ""


def test_a_project_in_a_folder_of_a_repository_is_found_in_its_worktree(repository: Project, tmp_path: Path) -> None:
    head = repository.commit({"part/a.txt": "1"})
    tree = worktrees.lay(repository.path / "part", tmp_path / "tree", head)
    assert (tree.project / "a.txt").read_text() == "1"


def test_an_unknown_revision_and_no_repository_are_mistakes(repository: Project, tmp_path: Path) -> None:
    repository.commit({"a.txt": "1"})
    with pytest.raises(BenchmarkError, match="nosuch: no such revision"):
        worktrees.commit_of(repository.path, "nosuch")
    with pytest.raises(BenchmarkError, match="not a git repository"):
        worktrees.commit_of(tmp_path, "HEAD")


def test_a_command_that_does_not_make_the_tree_ready_stops_the_comparison(repository: Project, tmp_path: Path) -> None:
    tree = worktrees.lay(repository.path, tmp_path / "tree", repository.commit({"a.txt": "1"}))
    worktrees.prepare(tree, ["true"])
    with pytest.raises(BenchmarkError, match=r"prepare = .*status 3"):
        worktrees.prepare(tree, ["sh", "-c", "exit 3"])
