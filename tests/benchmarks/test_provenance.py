"""What made a result."""

import subprocess
from pathlib import Path

import pytest

from heartbench.benchmarks.provenance import provenance, revision


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_checked_out_source_has_its_commit_and_says_that_it_was_changed(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "source.py")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert revision(source) == commit
    source.write_text("two")
    assert revision(source) == f"{commit}+changes"


def test_a_source_installed_inside_another_projects_repository_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "installed.py").touch()
    assert revision(tmp_path / "installed.py") is None


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision(tmp_path / "source.py") is None


def test_a_result_names_command_machine_and_versions() -> None:
    made_by = provenance("heartbench run lan")
    assert made_by.command == "heartbench run lan"
    assert made_by.machine.cpus
    assert made_by.versions["numba"]
