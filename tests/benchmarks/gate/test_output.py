import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from heartbench.benchmarks.cli.output import plain
from heartbench.benchmarks.gate import output
from heartbench.benchmarks.gate.report import Count, Report
from heartbench.benchmarks.gate.selftest import SelfTest, Share
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

REPORT = Report(
    judgements=(
        Judgement("perf/t.py::test_same", Verdict.SAME, 1.001, 0.99, 1.01, 0.031, 0.5, 16),
        Judgement("perf/t.py::test_slow[a|b]", Verdict.SLOWER, 1.07, 1.05, 1.09, 0.03, 1e-5, 16, "confirmed: 1.071"),
        Judgement("perf/t.py::test_murky", Verdict.CANNOT_TELL, 1.02, 0.9, 1.1, 0.12, 0.2, 32),
        Judgement("perf/t.py::test_new", Verdict.NEW),
        Judgement("perf/t.py::test_bad", Verdict.FAILED, note="fails on head in 16 of 16 processes: boom"),
    ),
    self_test=SelfTest(Share(0, 3), Share(3, 3)),
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
)
WOLF = replace(REPORT, self_test=SelfTest(Share(3, 3), Share(3, 3)))


def shown(report):
    console = Console(file=io.StringIO(), width=120)
    output.terminal(report, console)
    return console.file.getvalue()


def test_the_worst_comes_first_and_what_all_names_share_is_said_once():
    text = shown(REPORT)
    assert text.index("test_slow") < text.index("test_bad") < text.index("test_murky") < text.index("test_same")
    assert text.count("perf/t.py::") == 3  # the head of the table, and two notes
    assert "1.070" in text
    assert "25 µs" in text


@pytest.mark.parametrize("markup", [True, False])
def test_a_name_in_brackets_stands_as_it_is(markup):
    console = Console(file=io.StringIO(), width=120, markup=markup)
    odd = replace(REPORT.judgements[1], name="[/perf]/t.py::test_slow[bold]")
    output.terminal(replace(REPORT, judgements=(odd,), counts={}), console)
    printed = console.file.getvalue()
    assert "[/perf]/t.py::" in printed
    assert "test_slow[bold]" in printed
    assert "\\" not in printed


def test_the_last_line_says_what_counts():
    assert shown(REPORT).strip().splitlines()[-1].startswith("SLOWER (1 slower, 1 failed, ")
    assert "WITHHELD: TOO MANY FALSE ALARMS" in shown(WOLF).strip().splitlines()[-1]


def test_every_report_says_how_often_it_is_wrong():
    for text in (shown(REPORT), output.markdown(REPORT), output.junit(REPORT)):
        flat = " ".join(text.split())
        assert "0 of 3 (95 % interval 0.0% to 70.8%) called slower" in flat
        assert "found in 3 of 3 (95 % interval 29.2% to 100.0%)" in flat


def test_markdown_is_a_table_that_no_name_breaks():
    lines = [line for line in output.markdown(REPORT).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(REPORT.judgements)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("report", "failures", "skipped"), [(REPORT, 1, 1), (WOLF, 0, 2)], ids=["believed", "withheld"]
)
def test_junit_fails_what_is_slower_unless_it_is_withheld(report, failures, skipped):
    suite = ElementTree.fromstring(output.junit(report))
    assert (suite.get("tests"), suite.get("errors")) == ("5", "1")
    assert len(suite.findall(".//failure")) == int(suite.get("failures")) == failures
    assert len(suite.findall(".//skipped")) == int(suite.get("skipped")) == skipped
    assert len(suite.findall(".//error")) == 1


def test_json_has_the_promised_keys():
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


def test_names_of_many_files_share_their_folder():
    assert output.shared_start(["a/b/x.py::t", "a/b/y.py::t", "a/c/z.py::t"]) == "a/"
    assert output.shared_start(["x.py::t", "y.py::t"]) == ""
    assert output.shared_start(["a/x.py::t", "a/x.py::u"]) == "a/x.py::"
