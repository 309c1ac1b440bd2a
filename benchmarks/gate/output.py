"""A report for whoever reads it: a person at a terminal, a pull request, a CI server.

All three say the same: first the outcome, then a line for each benchmark, then how often this comparison is wrong.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Literal
from xml.etree import ElementTree

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from heartbench.benchmarks.gate.report import Outcome, Report
from heartbench.benchmarks.gate.selftest import ALARM_TARGET, POWER_TARGET
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

COLUMNS = ("benchmark", "base", "head / base", "95 % interval", "verdict", "visible from")
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
STYLES = {
    Verdict.SLOWER: "bold red",
    Verdict.FASTER: "green",
    Verdict.CANNOT_TELL: "yellow",
    Verdict.FAILED: "bold red",
}
FIRST = (
    Verdict.SLOWER,
    Verdict.FAILED,
    Verdict.CANNOT_TELL,
    Verdict.FASTER,
    Verdict.NEW,
    Verdict.GONE,
    Verdict.SAME,
)
"""The order in which verdicts are listed: what needs a reader comes first."""


def terminal(report: Report, console: Console) -> None:
    """Print a report for a person; what all names begin with is said once."""
    kinds = list(report.counts)
    shared = shared_start([judgement.name for judgement in report.judgements])
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate((shared or COLUMNS[0], *COLUMNS[1:], *kinds)):
        justify: Literal["left", "right"] = "left" if position in (0, 4) else "right"
        table.add_column(Text(column), justify=justify, overflow="fold", no_wrap=position > 0)
    for judgement in in_order(report):
        style = STYLES.get(judgement.verdict, "")
        name, *rest = cells(report, judgement)
        table.add_row(*(Text(cell) for cell in (name.removeprefix(shared), *rest)), style=style)
    console.print(table)
    for line in remarks(report):
        console.print(Text(line), soft_wrap=True)
    style = "bold red" if report.status else "bold yellow" if withheld(report) else "bold green"
    console.print(Text(headline(report)), style=style, soft_wrap=True)


def markdown(report: Report) -> str:
    """A report as a comment for a pull request."""
    columns = (*COLUMNS, *report.counts)
    lines = [f"### Benchmarks: {headline(report)}", "", _row(columns), _row(["---"] * len(columns))]
    for judgement in in_order(report):
        name, *rest = cells(report, judgement)
        bold = judgement.verdict in (Verdict.SLOWER, Verdict.FAILED)
        cell = [f"**{each}**" if bold and each else each for each in rest]
        lines.append(_row([f"`{name}`", *cell]))
    lines += ["", *(f"- {line}" for line in remarks(report))]
    return "\n".join(lines) + "\n"


def junit(report: Report) -> str:
    """A report as JUnit XML: slower is a failure, failed an error; what cannot be said is skipped."""
    cases = in_order(report)
    verdicts = Counter(judgement.verdict for judgement in cases)
    believed = report.outcome is not Outcome.CRIES_WOLF
    counts = {
        "tests": len(cases),
        "failures": verdicts[Verdict.SLOWER] if believed else 0,
        "errors": verdicts[Verdict.FAILED],
        "skipped": verdicts[Verdict.CANNOT_TELL] + (0 if believed else verdicts[Verdict.SLOWER]),
    }
    suite = ElementTree.Element("testsuite", name="heartbench bench", time=f"{report.measured_s:.3f}")
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    for judgement in cases:
        file, _, test = judgement.name.partition("::")
        case = ElementTree.SubElement(suite, "testcase", classname=file, name=test or file)
        kind = {
            Verdict.SLOWER: "failure" if believed else "skipped",
            Verdict.FAILED: "error",
            Verdict.CANNOT_TELL: "skipped",
        }.get(judgement.verdict)
        if kind:
            ElementTree.SubElement(case, kind, message=sentence(judgement))
    ElementTree.SubElement(suite, "system-out").text = "\n".join([headline(report), *remarks(report)])
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def in_order(report: Report) -> list[Judgement]:
    """The judgements, worst first, otherwise as the suite has them."""
    return sorted(report.judgements, key=lambda judgement: FIRST.index(judgement.verdict))


def shared_start(names: Sequence[str]) -> str:
    """The folders, or the file, that all names begin with."""
    files = {name.partition("::")[0] for name in names}
    if len(files) == 1:
        return f"{files.pop()}::"
    parts = [PurePosixPath(file).parent.parts for file in files]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))
    return "".join(f"{level[0]}/" for level in shared)


def cells(report: Report, judgement: Judgement) -> list[str]:
    """One benchmark's row."""
    counted = [found.get(judgement.name) for found in report.counts.values()]
    return [
        judgement.name,
        _time(report.base_s.get(judgement.name, math.nan)),
        _figure(judgement.ratio),
        "" if math.isnan(judgement.low) else f"{_figure(judgement.low)} … {_figure(judgement.high)}",
        "same within ±3 %" if judgement.verdict is Verdict.SAME else judgement.verdict.value,
        _percent(judgement.smallest_visible),
        *("" if count is None else _figure(count.ratio) if count.repeatable else "varies" for count in counted),
    ]


def sentence(judgement: Judgement) -> str:
    """One benchmark in words."""
    said = judgement.note or f"{judgement.verdict.value}: {_figure(judgement.ratio)}"
    if judgement.verdict is Verdict.CANNOT_TELL:
        return f"{said}; a slowdown of {_percent(judgement.smallest_visible)} would have been seen"
    return said


def withheld(report: Report) -> bool:
    """Whether the report says that it proves nothing."""
    return report.outcome in (Outcome.CRIES_WOLF, Outcome.SLEEPS)


def headline(report: Report) -> str:
    """The outcome in a line."""
    counts = Counter(judgement.verdict for judgement in report.judgements)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in FIRST if counts[verdict]]
    outcome = report.outcome.value.upper() if withheld(report) or report.status else report.outcome.value
    return f"{outcome} ({', '.join(parts)}; {report.head[:10]} against {report.base[:10]})"


def remarks(report: Report) -> list[str]:
    """Notes on single benchmarks, the comparison's own error rates, and how it was measured."""
    test = report.self_test
    notes = [f"{judgement.name}: {judgement.note}" for judgement in in_order(report) if judgement.note]
    alarms = f"Base against base: {test.alarms} called slower{_verdict_on(test.cries_wolf, ALARM_TARGET, 'above')}."
    power = (
        f"A slowdown of {test.effect:.0%} put on the same pairs: found in {test.found}"
        f"{_verdict_on(test.sleeps, POWER_TARGET, 'below')}."
    )
    rounds = ", ".join(f"{count} {what}" for what, count in report.measured.items() if count)
    core = "NOT pinned to a core (not possible here)" if report.core is None else f"pinned to core {report.core}"
    went_on = f", {report.kept} of its processes kept from an interrupted run" if report.kept else ""
    how = f"Rounds of fresh processes: {rounds}; {core}; {report.measured_s:.0f} s measured{went_on}."
    return [*notes, alarms, power, how, *report.notes]


def _verdict_on(surely: bool, target: float, side: str) -> str:
    return f", which is surely {side} the target of {target:.0%}" if surely else ""


def _figure(ratio: float) -> str:
    return "" if math.isnan(ratio) else "–" if math.isinf(ratio) else f"{ratio:.3f}"


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    scale, unit = next((each for each in UNITS if seconds >= each[0]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def _percent(fraction: float) -> str:
    return "" if math.isnan(fraction) else "none" if math.isinf(fraction) else f"+{fraction:.1%}"


def _row(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|").replace("\n", " ") for value in values) + " |"
