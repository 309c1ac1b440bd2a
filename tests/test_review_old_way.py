"""The tests of `tests/review/` are worth something: every one fails on the old way, by what it asserts, and the page
that speaks of them names each."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def old_way(tmp_path_factory: pytest.TempPathFactory) -> list[ElementTree.Element]:
    """What became of each test of `pytest tests/review --old-way`."""
    report = tmp_path_factory.mktemp("old_way") / "report.xml"
    command = [sys.executable, "-m", "pytest", "tests/review", "--old-way", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, f"--junit-xml={report}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    return list(ElementTree.parse(report).iter("testcase"))


def test_every_test_fails_on_the_old_way_by_its_assertion(old_way: list[ElementTree.Element]) -> None:
    assert old_way
    for case in old_way:
        became = [(part.tag, part.get("message", "")) for part in case if part.tag in {"failure", "error", "skipped"}]
        assert [tag for tag, _ in became] == ["failure"], f"{case.get('name')}: {became or 'passed'}"
        assert became[0][1].startswith(("AssertionError", "assert ")), f"{case.get('name')}: {became}"


def test_the_page_of_findings_names_every_test(old_way: list[ElementTree.Element]) -> None:
    page = (ROOT / "docs" / "review.md").read_text()
    assert [name for case in old_way if f"`{(name := case.get('name'))}`" not in page] == []
