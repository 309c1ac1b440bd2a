"""The gate on a real project: real worktrees, real processes, slowdowns of ten times."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.benchmarks.gate.conftest import QUICK, Project

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.compare import compare, subject
from heartbench.benchmarks.gate.report import Outcome
from heartbench.benchmarks.gate.settings import load
from heartbench.benchmarks.gate.verdict import Verdict
from heartbench.cli.app import invoke

pytestmark = pytest.mark.slow


def compared(project: Any, against: str = "HEAD~1", **options: Any) -> Any:
    settings = load(project.path, python=sys.executable)
    return compare(subject(project.path, against, [], settings), **options)


def verdicts(report: Any) -> Any:
    return {judgement.name: judgement.verdict for judgement in report.judgements}


def test_a_commit_that_changes_a_comment_is_not_and_all_reports_say_so(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.commit({"tiny.py": project.source.replace("Add up", "Add them up")})
    where = ["--project", str(project.path), "--python", sys.executable, "--no-counts"]
    files = ["--markdown", str(tmp_path / "bench.md"), "--junit", str(tmp_path / "bench.xml")]
    assert invoke(["bench", "--against", "HEAD~1", *where, *files, "--json"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert verdict["verdict"] != "slower"
    assert "test_total" in (tmp_path / "bench.md").read_text()
    assert ElementTree.parse(tmp_path / "bench.xml").getroot().get("failures") == "0"


def test_what_fails_on_one_side_or_is_new_or_gone_is_reported_as_such(project: Project) -> None:
    project.commit({"benchmarks/test_tiny.py": project.suite + "\n\ndef test_gone(benchmark):\n    benchmark(int)\n"})
    broken = project.source.replace("def total", "def fresh():\n    return 1\n\n\ndef total")
    more = "\n\ndef test_new(benchmark):\n    benchmark(tiny.fresh)\n"
    more += "\n\ndef test_broken(benchmark):\n    assert benchmark(int) == 0 or hasattr(tiny, 'x')\n"
    project.commit({"tiny.py": broken, "benchmarks/test_tiny.py": project.suite + more.replace("== 0", "== 1")})
    report = compared(project)
    found = {name.partition("::")[2]: verdict for name, verdict in verdicts(report).items()}
    assert found["test_new"] is Verdict.NEW
    assert found["test_gone"] is Verdict.GONE
    assert found["test_broken"] is Verdict.FAILED
    assert report.status == 2


def test_a_project_without_benchmarks_cannot_be_measured(project: Project) -> None:
    project.commit({"tiny.py": project.slow, "benchmarks/test_tiny.py": "def test_nothing():\n    pass\n"})
    with pytest.raises(BenchmarkError, match="no benchmark was measured: no test in it uses"):
        compared(project)


def test_code_that_is_imported_from_elsewhere_is_not_judged(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tiny.py").write_text(project.source, "utf-8")
    steal = f"import sys\nsys.path.insert(0, {str(tmp_path / 'elsewhere')!r})\n"
    project.commit({"tiny.py": project.slow, "benchmarks/test_tiny.py": steal + project.suite})
    with pytest.raises(BenchmarkError, match=r"imported from outside the worktree: tiny from .*elsewhere"):
        compared(project)


HELPER = """def work(laps):
    return sum(number * number for number in range(laps))
"""
WITH_HELPER = """from benchmarks.helper import work


def test_work(benchmark):
    benchmark(work, 1000)
"""
TWO = QUICK.replace("rounds = 2", "rounds = 3").replace('max_time = "2ms"', 'max_time = "20ms"')
OVERLAY = 'overlay = ["benchmarks"]\n'


@pytest.fixture
def helped(project: Project) -> Any:
    """A project whose second benchmark measures a module of `benchmarks/`."""
    helper = {"benchmarks/helper.py": HELPER, "benchmarks/test_helper.py": WITH_HELPER}
    project.commit({**helper, "pyproject.toml": TWO})
    return project


SLOW_HELPER = HELPER.replace("range(laps)", "range(3 * laps)")


def slow_down_the_helper(project: Any, **more: Any) -> Any:
    return project.commit({"benchmarks/helper.py": SLOW_HELPER, **more})


def test_a_slower_helper_module_is_found_by_default_even_before_it_is_committed(helped: Any) -> None:
    (helped.path / "benchmarks/helper.py").write_text(SLOW_HELPER, "utf-8")
    report = compared(helped, "HEAD")
    found = {judgement.name: judgement for judgement in report.judgements}
    slow = found["benchmarks/test_helper.py::test_work"]
    assert slow.verdict is Verdict.SLOWER
    assert slow.ratio == pytest.approx(3.0, rel=0.3)
    assert found["benchmarks/test_tiny.py::test_total"].verdict is not Verdict.SLOWER
    assert (report.not_compared, report.status) == ([], 1)


def test_under_an_overlay_it_is_not_compared_and_nothing_is_measured(
    helped: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    helped.commit({"pyproject.toml": TWO + OVERLAY})
    slow_down_the_helper(helped)
    where = ["--project", str(helped.path), "--python", sys.executable]
    assert invoke(["bench", "--against", "HEAD~1", *where, "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["not_compared"] == ["benchmarks/helper.py"]
    assert {each["name"]: each["verdict"] for each in document["verdicts"]} == {
        "benchmarks/test_helper.py": "not compared",
        "benchmarks/test_tiny.py": "not compared",
    }
    assert (document["outcome"], document["rounds"]) == ("nothing compared", {})
    assert not (helped.path / ".benchmarks").exists()


def test_beside_a_change_that_is_compared_it_is_not_compared_either(helped: Any) -> None:
    helped.commit({"pyproject.toml": TWO + OVERLAY})
    slow_down_the_helper(helped, **{"README.md": "More words.\n"})
    report = compared(helped)
    assert set(verdicts(report).values()) == {Verdict.NOT_COMPARED}
    assert (report.not_compared, report.status) == (["benchmarks/helper.py"], 2)


def test_a_slowdown_within_a_test_file_is_not_compared_and_other_files_are(helped: Any) -> None:
    own = WITH_HELPER.replace("benchmark(work, 1000)", "benchmark(work, 3000)")
    helped.commit({"benchmarks/test_helper.py": own, "README.md": "More words.\n"})
    report = compared(helped)
    found = verdicts(report)
    assert found["benchmarks/test_helper.py::test_work"] is Verdict.NOT_COMPARED
    assert found["benchmarks/test_tiny.py::test_total"] not in (Verdict.NOT_COMPARED, Verdict.SLOWER)
    assert (report.not_compared, report.status) == (["benchmarks/test_helper.py"], 0)


@pytest.mark.parametrize("as_json", [["--json"], []], ids=["json", "text"])
def test_a_commit_that_changes_nothing_but_test_files_says_so(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path, as_json: Any
) -> None:
    project.commit({"benchmarks/test_tiny.py": project.suite.replace("500", "600").replace("124750", "179700")})
    where = ["--project", str(project.path), "--python", sys.executable]
    files = ["--markdown", str(tmp_path / "bench.md"), "--junit", str(tmp_path / "bench.xml")]
    assert invoke(["bench", "--against", "HEAD~1", *where, *files, *as_json]) == 2
    printed = capsys.readouterr()
    said = "only files that both sides take from the head differ; nothing was measured"
    for text in (printed.err if as_json else printed.out, *(Path(file).read_text() for file in files[1::2])):
        assert said in " ".join(text.split())
        assert "NOTHING COMPARED" in text
    assert "benchmarks/test_tiny.py" in printed.out


def test_two_revisions_with_the_same_files_are_not_measured(project: Project) -> None:
    report = compared(project, "HEAD")
    assert (report.outcome, report.status) == (Outcome.NOTHING_COMPARED, 2)
    assert report.notes == ["no tracked file differs; nothing was measured"]
    assert report.not_compared == []


def start(project: Any) -> Any:
    """The command in a process of its own."""
    script = "from heartbench.cli.app import main; main()"
    arguments = ["bench", "--against", "HEAD~1", "--no-counts", "--python", sys.executable]
    # A shell in the background has Ctrl-C ignored by all that it starts, these tests among them.
    script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {script}"
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=project.path, stderr=subprocess.DEVNULL)


def test_a_slower_commit_is_caught_by_a_comparison_that_was_killed_and_goes_on_from_its_finished_rounds(
    project: Project,
) -> None:
    project.commit({"tiny.py": project.slow})
    child = start(project)
    finished = wait_for(project.path, "rounds/*.json", 4)  # of one process each
    child.kill()
    child.wait()
    report = compared(project)
    assert report.kept >= finished
    assert verdicts(report) == {"benchmarks/test_tiny.py::test_total": Verdict.SLOWER}
    assert report.judgements[0].ratio > 4
    assert report.judgements[0].note.startswith("confirmed")
    assert (report.outcome, report.status) == (Outcome.SLOWER, 1)
    assert project.git("status", "--porcelain", "--ignored=no") == ""
    assert project.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_one_tidies_up(project: Project, sent: Any) -> None:
    project.commit({"tiny.py": project.slow})
    child = start(project)
    wait_for(project.path, "work/*.log", 1)  # of a process that measures
    child.send_signal(sent)
    assert child.wait(10) == 130
    assert project.git("worktree", "list").count("\n") == 0


def wait_for(project: Path, files: str, count: int) -> int:
    """Wait until a comparison has written so many files; return how many it has."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = len(list(project.glob(f".benchmarks/heartbench/*/{files}")))
        if found >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {files} were written")
