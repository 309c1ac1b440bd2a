"""A report for whoever reads it: a person at a terminal, a pull request, a CI server.

All three say the same: the outcome, a line for each benchmark, what was not compared, and how often this comparison is
wrong. For a person, the names of benchmarks are shortened to what tells them apart; JUnit has them whole.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal
from xml.etree import ElementTree

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from heartbench.benchmarks.gate.naming import shared_start, shortened
from heartbench.benchmarks.gate.report import UNKNOWN, Outcome, Report
from heartbench.benchmarks.gate.selftest import ALARM_TARGET, POWER_TARGET
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

COLUMNS = ("benchmark", "base", "head / base", "95 % interval", "verdict", "visible from", "ratio of means")
VERDICT_COLUMN = 4
WIDEST = 10_000
"""Columns in which every table finds room."""
LEAST_WIDTH = 24
"""Letters of a name that a table has room for even in a narrow terminal."""
MARKDOWN_WIDTH = 60
"""Letters of a name that fit beside the figures on a page."""
RARE = 1.01
"""How far the interval of the means must lie above that of the medians for a remark, as a ratio."""
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
STYLES = {
    Verdict.SLOWER: "bold red",
    Verdict.FASTER: "green",
    Verdict.CANNOT_TELL: "yellow",
    Verdict.FAILED: "bold red",
    Verdict.NOT_COMPARED: "yellow",
}
FIRST = (
    Verdict.SLOWER,
    Verdict.FAILED,
    Verdict.NOT_COMPARED,
    Verdict.CANNOT_TELL,
    Verdict.FASTER,
    Verdict.NEW,
    Verdict.GONE,
    Verdict.SAME,
)
"""The order in which verdicts are listed: what needs a reader comes first."""


def terminal(report: Report, console: Console) -> None:
    """Print a report for a person."""
    # Wider than the terminal, if need be: a name that is broken within a word cannot be read.
    width = max(console.width - _measured(table(report, 0), console), LEAST_WIDTH)
    shown = table(report, width)
    shown.width = _measured(shown, console)
    console.print(shown, crop=False)
    for line in remarks(report, _short_names(report, width)[1]):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(headline(report)), style=_style(report), soft_wrap=True)


def table(report: Report, width: int) -> Table:
    """Return the verdicts with names of about `width` letters at most (0: with no names at all)."""
    shared, short = _short_names(report, width)
    found = Table(box=SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate((width and (shared or COLUMNS[0]), *COLUMNS[1:], *report.counts)):
        justify: Literal["left", "right"] = "left" if position in (0, VERDICT_COLUMN) else "right"
        found.add_column(Text(column or ""), justify=justify, no_wrap=True)
    for judgement in in_order(report):
        row = (short[judgement.name] if width else "", *cells(report, judgement))
        found.add_row(*(Text(cell) for cell in row), style=STYLES.get(judgement.verdict, ""))
    return found


def _measured(shown: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=WIDEST), shown).maximum


def _short_names(report: Report, width: int) -> tuple[str, dict[str, str]]:
    """Return what all names begin with, and the rest of each by its name."""
    names = [judgement.name for judgement in report.judgements]
    shared = shared_start(names) if names else ""
    return shared, dict(zip(names, shortened([name.removeprefix(shared) for name in names], width), strict=True))


def _style(report: Report) -> str:
    unsure = withheld(report) or any(each.verdict is Verdict.NOT_COMPARED for each in report.judgements)
    return "bold red" if report.status else "bold yellow" if unsure else "bold green"


def markdown(report: Report) -> str:
    """A report as a comment for a pull request."""
    shared, short = _short_names(report, MARKDOWN_WIDTH)
    columns = (f"`{shared}`" if shared else COLUMNS[0], *COLUMNS[1:], *report.counts)
    lines = [f"### Benchmarks: {headline(report)}", "", _row(columns), _row(["---"] * len(columns))]
    for judgement in in_order(report):
        bold = judgement.verdict in (Verdict.SLOWER, Verdict.FAILED)
        cell = [f"**{each}**" if bold and each else each for each in cells(report, judgement)]
        lines.append(_row([f"`{short[judgement.name]}`", *cell]))
    lines += ["", *(f"- {line}" for line in remarks(report, short))]
    return "\n".join(lines) + "\n"


def junit(report: Report) -> str:
    """A report as JUnit XML: slower is a failure, failed an error; what cannot be said is skipped."""
    cases = in_order(report)
    verdicts = Counter(judgement.verdict for judgement in cases)
    believed = report.outcome is not Outcome.TOO_MANY_FALSE_ALARMS
    counts = {
        "tests": len(cases),
        "failures": verdicts[Verdict.SLOWER] if believed else 0,
        "errors": verdicts[Verdict.FAILED],
        "skipped": verdicts[Verdict.CANNOT_TELL]
        + verdicts[Verdict.NOT_COMPARED]
        + (0 if believed else verdicts[Verdict.SLOWER]),
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
            Verdict.NOT_COMPARED: "skipped",
        }.get(judgement.verdict)
        if kind:
            ElementTree.SubElement(case, kind, message=sentence(judgement))
    ElementTree.SubElement(suite, "system-out").text = "\n".join([headline(report), *remarks(report)])
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def in_order(report: Report) -> list[Judgement]:
    """The judgements, worst first, otherwise as the suite has them."""
    return sorted(report.judgements, key=lambda judgement: FIRST.index(judgement.verdict))


def cells(report: Report, judgement: Judgement) -> list[str]:
    """Return one benchmark's row without its name."""
    counted = [found.get(judgement.name) for found in report.counts.values()]
    return [
        _time(report.base_s.get(judgement.name, math.nan)),
        _figure(judgement.ratio),
        "" if math.isnan(judgement.low) else f"{_figure(judgement.low)} … {_figure(judgement.high)}",
        "same within ±3 %" if judgement.verdict is Verdict.SAME else judgement.verdict.value,
        _percent(judgement.smallest_visible),
        _figure(report.means.get(judgement.name, UNKNOWN).ratio),
        *("" if count is None else _figure(count.ratio) if count.repeatable else "varies" for count in counted),
    ]


def sentence(judgement: Judgement) -> str:
    """Return one benchmark in words."""
    if judgement.verdict is Verdict.NOT_COMPARED:
        return f"{judgement.verdict.value}: {judgement.note}"
    said = judgement.note or f"{judgement.verdict.value}: {_figure(judgement.ratio)}"
    if judgement.verdict is Verdict.CANNOT_TELL:
        return f"{said}; a slowdown of {_percent(judgement.smallest_visible)} would have been seen"
    return said


def withheld(report: Report) -> bool:
    """Whether the report says that it proves nothing."""
    return report.outcome in (Outcome.TOO_MANY_FALSE_ALARMS, Outcome.UNDERPOWERED)


def headline(report: Report) -> str:
    """Return the outcome in a line."""
    counts = Counter(judgement.verdict for judgement in report.judgements)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in FIRST if counts[verdict]]
    outcome = report.outcome.value.upper() if withheld(report) or report.status else report.outcome.value
    if report.outcome is Outcome.NOTHING_SLOWER and counts[Verdict.NOT_COMPARED]:
        outcome = f"nothing slower among the {report.compared} compared"
    if not report.measured:
        return f"{outcome} ({report.head[:10]} against {report.base[:10]}): {'; '.join(report.notes)}"
    return f"{outcome} ({', '.join(parts)}; {report.head[:10]} against {report.base[:10]})"


def remarks(report: Report, names: Mapping[str, str] | None = None) -> list[str]:
    """Return what was not compared, notes on benchmarks, the error rates, and how it was measured.

    Args:
        report: what is remarked on.
        names: what the benchmarks are called by name; their own names if not given.
    """
    found = []
    if report.not_compared:
        found.append(f"Not compared, because both sides take them from the head: {', '.join(report.not_compared)}.")
    if not report.measured:
        return found
    called = names or {each.name: each.name for each in report.judgements}
    notes = [*_hidden(report), *_notes(report, called), *_rare(report, called)]
    return [*found, *notes, *_rates(report), _how(report), *report.notes]


def _hidden(report: Report) -> list[str]:
    """How many benchmarks were not compared, by the reason."""
    reasons = Counter(each.note for each in report.judgements if each.verdict is Verdict.NOT_COMPARED)
    return [f"{count} not compared: {reason}." for reason, count in reasons.items()]


def _notes(report: Report, called: Mapping[str, str]) -> list[str]:
    noted = (each for each in in_order(report) if each.note and each.verdict is not Verdict.NOT_COMPARED)
    return [f"{called[each.name]}: {each.note}" for each in noted]


def _rare(report: Report, called: Mapping[str, str]) -> list[str]:
    """What the medians do not see, as advice."""
    means = ((each, report.means.get(each.name, UNKNOWN)) for each in in_order(report))
    return [
        f"{called[each.name]}: the ratio of means is {mean.ratio:.3f} [{mean.low:.3f}, {mean.high:.3f}], above that of "
        "medians: rare calls may have become slower. The verdict is on the median."
        for each, mean in means
        if mean.low > RARE * each.high
    ]


def _rates(report: Report) -> list[str]:
    test = report.self_test
    return [
        f"Base against base: {test.alarms} called slower{_verdict_on(test.cries_wolf, ALARM_TARGET, 'above')}.",
        f"A slowdown of {test.effect:.0%} put on the same pairs: found in {test.found}"
        f"{_verdict_on(test.sleeps, POWER_TARGET, 'below')}.",
    ]


def _how(report: Report) -> str:
    rounds = ", ".join(f"{count} {what}" for what, count in report.measured.items() if count)
    core = "NOT pinned to a core (not possible here)" if report.core is None else f"pinned to core {report.core}"
    went_on = f", {report.kept} of its processes kept from an interrupted run" if report.kept else ""
    return f"Rounds of fresh processes: {rounds}; {core}; {report.measured_s:.0f} s measured{went_on}."


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
