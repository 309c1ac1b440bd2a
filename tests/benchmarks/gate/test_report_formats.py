import io
import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from heartbench.benchmarks.gate import report_formats
from heartbench.benchmarks.gate.error_rates import ErrorRates, Share
from heartbench.benchmarks.gate.report import Count, Estimate, Outcome, Report
from heartbench.benchmarks.gate.verdict import Judgement, Verdict
from heartbench.cli.output import plain

REPORT = Report(
    judgements=(
        Judgement("perf/t.py::test_same", Verdict.SAME, 1.001, 0.99, 1.01, 0.031, 0.5, 16),
        Judgement("perf/t.py::test_slow[a|b]", Verdict.SLOWER, 1.07, 1.05, 1.09, 0.03, 1e-5, 16, "confirmed: 1.071"),
        Judgement("perf/t.py::test_murky", Verdict.INCONCLUSIVE, 1.02, 0.9, 1.1, 0.12, 0.2, 32),
        Judgement("perf/t.py::test_new", Verdict.NEW),
        Judgement("perf/t.py::test_bad", Verdict.FAILED, note="fails on head in 16 of 16 processes: boom"),
    ),
    error_rates=ErrorRates(Share(0, 3), Share(3, 3)),
    suite=("perf",),
    base_s={"perf/t.py::test_same": 2.5e-5},
    measured={"first": 16, "more": 0, "confirming": 16},
    kept=0,
    python="3.11",
    measured_s=100.0,
    failed_on_head=True,
    base="b" * 40,
    head="a" * 40,
    core=1,
    counts={"instructions": {"perf/t.py::test_slow[a|b]": Count(100.0, 107.0, True)}},
    means={"perf/t.py::test_same": Estimate(1.5, 1.45, 1.55), "perf/t.py::test_slow[a|b]": Estimate(1.07, 1.0, 1.1)},
)
HIDDEN = Judgement("perf/t.py::test_hidden", Verdict.NOT_COMPARED, note="may use perf/help.py")
WOLF = replace(REPORT, error_rates=ErrorRates(Share(3, 3), Share(3, 3)))


def shown(report: Report, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    report_formats.terminal(report, console)
    return console.file.getvalue()


def test_the_worst_comes_first_and_what_all_names_share_is_said_once() -> None:
    text = shown(REPORT)
    assert text.index("test_slow") < text.index("test_bad") < text.index("test_murky") < text.index("test_same")
    assert text.count("perf/t.py::") == 1
    assert "test_bad: fails on head" in text
    assert "1.070" in text
    assert "25 µs" in text


@pytest.mark.parametrize("markup", [True, False])
def test_a_name_in_brackets_stands_as_it_is(markup: bool) -> None:
    console = Console(file=io.StringIO(), width=120, markup=markup)
    odd = replace(REPORT.judgements[1], name="[/perf]/t.py::test_slow[bold]")
    report_formats.terminal(replace(REPORT, judgements=(odd,), counts={}), console)
    printed = console.file.getvalue()
    assert "[/perf]/t.py::" in printed
    assert "test_slow[bold]" in printed
    assert "\\" not in printed


def test_the_last_line_says_what_counts() -> None:
    assert shown(REPORT).strip().splitlines()[-1].startswith("SLOWER (1 slower, 1 failed, ")
    assert "WITHHELD: TOO MANY FALSE ALARMS" in shown(WOLF).strip().splitlines()[-1]


def test_every_report_says_how_often_it_is_wrong() -> None:
    for text in (shown(REPORT), report_formats.markdown(REPORT), report_formats.junit(REPORT)):
        flat = " ".join(text.split())
        assert "A/A comparison: 0 of 3 (95% interval 0.0% to 70.8%) slower" in flat
        assert "3 of 3 (95% interval 29.2% to 100.0%) detected" in flat


def test_markdown_is_a_table_that_no_name_breaks() -> None:
    lines = [line for line in report_formats.markdown(REPORT).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(REPORT.judgements)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("report", "failures", "skipped"), [(REPORT, 1, 1), (WOLF, 0, 2)], ids=["believed", "withheld"]
)
def test_junit_fails_what_is_slower_unless_it_is_withheld(report: Report, failures: int, skipped: int) -> None:
    suite = ElementTree.fromstring(report_formats.junit(report))
    assert (suite.get("tests"), suite.get("errors")) == ("5", "1")
    assert len(suite.findall(".//failure")) == int(suite.get("failures", "")) == failures
    assert len(suite.findall(".//skipped")) == int(suite.get("skipped", "")) == skipped
    assert len(suite.findall(".//error")) == 1


def test_json_has_the_promised_keys() -> None:
    document = json.loads(json.dumps(plain(REPORT.as_json()), allow_nan=False))
    assert document["schema"] == "heartbench.bench/1"
    slow = document["verdicts"][1]
    assert (slow["verdict"], slow["ratio"], slow["ci"], slow["smallest_visible"]) == (
        "slower",
        1.07,
        [1.05, 1.09],
        0.03,
    )
    assert slow["counts"]["instructions"]["ratio"] == 1.07
    assert document["verdicts"][3]["ratio"] is None
    assert (document["self_test"]["aa_alarms"], document["self_test"]["aa_verdicts"]) == (0, 3)
    assert document["self_test"]["power"] == 1.0
    assert document["wall_s"] is None


def test_the_ratio_of_means_stands_beside_that_of_medians_and_is_remarked_on_if_it_tells_more() -> None:
    said = "test_same: the ratio of means is 1.500 [1.450, 1.550], above that of medians"
    for text in (shown(REPORT), report_formats.markdown(REPORT), report_formats.junit(REPORT)):
        assert said in text
        assert "test_slow[a|b]: the ratio of means" not in text
    assert "1.500" in next(line for line in shown(REPORT).splitlines() if "test_same" in line)
    first = REPORT.as_json()["verdicts"][0]
    assert (first["ratio"], first["mean_ratio"], first["mean_ci"]) == (1.001, 1.5, [1.45, 1.55])


def partly(*more: Any, **changes: Any) -> Report:
    """A report on judgements of which one was not compared."""
    return replace(
        REPORT,
        judgements=(*more, HIDDEN, replace(HIDDEN, name="perf/t.py::test_hidden_too")),
        failed_on_head=False,
        not_compared=["perf/help.py", "perf/t.py"],
        **changes,
    )


def test_what_was_not_compared_is_listed_everywhere() -> None:
    report = partly(REPORT.judgements[0])
    for text in (shown(report), report_formats.markdown(report), report_formats.junit(report)):
        assert "Not compared, because both sides take them from the head: perf/help.py, perf/t.py." in text
        assert "nothing slower among the 1 compared (2 not compared, 1 same;" in text
        assert text.count("2 not compared: may use perf/help.py.") == 1
    document = report.as_json()
    assert document["not_compared"] == ["perf/help.py", "perf/t.py"]
    assert [each["verdict"] for each in document["verdicts"]] == ["same", "not compared", "not compared"]
    assert report.status == 0


def test_what_was_not_compared_is_skipped_in_junit() -> None:
    suite = ElementTree.fromstring(report_formats.junit(partly(REPORT.judgements[0])))
    assert (suite.get("skipped"), len(suite.findall(".//skipped"))) == ("2", 2)
    assert suite.find(".//skipped").get("message") == "not compared: may use perf/help.py"


def test_nothing_compared_is_no_success() -> None:
    report = partly()
    assert (report.outcome, report.status) == (Outcome.NOTHING_COMPARED, 2)
    assert report_formats.headline(report).startswith("NOTHING COMPARED (2 not compared;")
    assert partly(REPORT.judgements[1]).status == 1
    assert partly(error_rates=WOLF.error_rates).status == 2


def test_long_names_are_shortened_and_not_broken() -> None:
    names = [f"perf/t.py::test_{'very_' * 30}long[{kind}-{'x' * 20}]" for kind in ("list", "deque")]
    report = replace(REPORT, judgements=[replace(REPORT.judgements[0], name=name, note="") for name in names])
    for width in (60, 120, 200):
        rows = [line for line in shown(report, width).splitlines() if "same within" in line]
        assert [("list" in row, "deque" in row) for row in rows] == [(True, False), (False, True)]
        assert all("1.001" in row for row in rows)
    assert "`test_very_" in report_formats.markdown(report)
    assert all(len(line) < 200 for line in report_formats.markdown(report).splitlines() if "same within" in line)


def test_remarks_call_benchmarks_as_the_table_does_and_junit_by_their_whole_names() -> None:
    name = f"perf/t.py::test_{'very_' * 30}long"
    report = replace(REPORT, judgements=[replace(REPORT.judgements[1], name=name), REPORT.judgements[0]])
    for text in (shown(report, 120), report_formats.markdown(report)):
        (line,) = (line for line in text.splitlines() if "confirmed" in line)
        assert len(line) < 90
    assert f"{name}: confirmed" in report_formats.junit(report)
