"""A test run itself: it is the same command everywhere, and CI alone forbids skips."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_OTHER_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # loading them takes longer than the rest
SKIPPING = "import pytest\n\ndef test_that_needs_more():\n    pytest.skip('no such device')\n"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("no_skips", "status"), [("0", 0), ("1", 1)])
def test_a_skip_fails_a_run_that_forbids_skips_and_no_other(
    tmp_path: Path, no_skips: str, status: int, workers: int
) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-ra", f"--rootdir={tmp_path}", "test_it.py"]
    if workers:
        command += ["-p", "xdist", f"-n{workers}"]
    environment = os.environ | {"HEARTBENCH_NO_SKIPS": no_skips, "PYTEST_ADDOPTS": "", **WITHOUT_OTHER_PLUGINS}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout
    assert "no such device" in done.stdout
    assert ("HEARTBENCH_NO_SKIPS=1: 1 skipped" in done.stdout) == bool(status)


def test_ci_runs_the_tests_with_the_command_that_the_readme_names() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert "$ make test " in (ROOT / "README.md").read_text("utf-8")
