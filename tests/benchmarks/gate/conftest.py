"""A small project with a pytest-benchmark suite of its own, in a git repository of its own."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

QUICK = """
[tool.pytest.ini_options]
addopts = "-p pytest_benchmark.plugin"
[tool.heartbench.bench]
rounds = 2
max_time = "2ms"
level = 0.35
margin = 0.5
least_effect = 0.5
budget = "1s"
"""
"""As few rounds as can find one benchmark slower, short, none for undecided ones, and wide margins: the tests make code
ten times as slow."""

SOURCE = '''"""The measured code."""


def total(numbers):
    """Add up."""
    return sum(numbers)
'''

SUITE = """import sys

import tiny


def test_total(benchmark):
    assert "heartbench" not in sys.modules
    assert benchmark(tiny.total, list(range(500))) == 124750
"""


class Project:
    """A git repository whose files a test writes and commits."""

    source, suite = SOURCE, SUITE
    slow = SOURCE.replace("return sum(numbers)", "return sum(sum(numbers) for _ in range(10)) // 10")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *arguments], cwd=self.path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Write files, commit all there is, and return the commit's name."""
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "next")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """An empty git repository."""
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


@pytest.fixture
def project(repository: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One function and one benchmark in a `benchmarks` package, committed once."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins take longer to load than to measure
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    repository.commit(
        {
            "tiny.py": SOURCE,
            "benchmarks/__init__.py": "",
            "benchmarks/test_tiny.py": SUITE,
            "pyproject.toml": QUICK,
            ".gitignore": "__pycache__/\n",
        }
    )
    return repository
