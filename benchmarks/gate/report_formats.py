"""A report as text for a terminal, as Markdown for a pull request, and as JUnit XML for a CI server.

All three contain the outcome, one line per benchmark, what was not compared, and the error rates of this comparison.
For people, the names of benchmarks are shortened to the words that distinguish them; JUnit has them in full.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Literal
from xml.etree import ElementTree

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from heartbench.benchmarks import markdown_table
from heartbench.benchmarks.gate.error_rates import ALARM_TARGET, POWER_TARGET
from heartbench.benchmarks.gate.report import UNKNOWN, Outcome, Report
from heartbench.benchmarks.gate.short_names import shared_start, shortened
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

COLUMNS = ("benchmark", "base", "head / base", "95% interval", "verdict", "detectable", "ratio of means")
VERDICT_COLUMN = 4
WIDEST = 10_000
"""A width that every table fits into, in columns."""
LEAST_WIDTH = 24
"""Least width of a name in a narrow terminal, in characters."""
MARKDOWN_WIDTH = 60
"""Width of a name beside the figures on a page, in characters."""
RARE = 1.01
"""Ratio by which the interval of the means must lie above that of the medians to cause a remark."""
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
STYLES = {
    Verdict.SLOWER: "bold red",
    Verdict.FASTER: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.FAILED: "bold red",
    Verdict.NOT_COMPARED: "yellow",
}


def terminal(report: Report, console: Console) -> None:
    """Print a report to a terminal."""
    # Wider than the terminal if necessary: a name that breaks within a word cannot be read.
    width = max(console.width - _measured(table(report, 0), console), LEAST_WIDTH)
    shown = table(report, width)
    shown.width = _measured(shown, console)
    console.print(shown, crop=False)
    for line in remarks(report, _short_names(report, width)[1]):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(headline(report)), style=_style(report), soft_wrap=True)


def table(report: Report, width: int) -> Table:
    """Return the verdicts with names of up to about `width` characters (0: without names)."""
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
    """Return the common beginning of all names, and the short rest of each name."""
    names = [judgement.name for judgement in report.judgements]
    shared = shared_start(names) if names else ""
    return shared, dict(zip(names, shortened([name.removeprefix(shared) for name in names], width), strict=True))


def _style(report: Report) -> str:
    unsure = withheld(report) or any(each.verdict is Verdict.NOT_COMPARED for each in report.judgements)
    return "bold red" if report.status else "bold yellow" if unsure else "bold green"


def markdown(report: Report) -> str:
    """Return a report as a comment for a pull request."""
    shared, short = _short_names(report, MARKDOWN_WIDTH)
    columns = (f"`{shared}`" if shared else COLUMNS[0], *COLUMNS[1:], *report.counts)
    rows = []
    for judgement in in_order(report):
        bold = judgement.verdict in (Verdict.SLOWER, Verdict.FAILED)
        row = [f"**{each}**" if bold and each else each for each in cells(report, judgement)]
        rows.append([f"`{short[judgement.name]}`", *row])
    remarked = "".join(f"- {line}\n" for line in remarks(report, short))
    return f"### Benchmarks: {headline(report)}\n\n{markdown_table.table(columns, rows, '---')}\n{remarked}"


def junit(report: Report) -> str:
    """Return a report as JUnit XML: slower is a failure, failed an error, inconclusive and not compared are skipped."""
    cases = in_order(report)
    verdicts = Counter(judgement.verdict for judgement in cases)
    trusted = report.outcome is not Outcome.TOO_MANY_FALSE_ALARMS
    kinds = {
        Verdict.SLOWER: "failure" if trusted else "skipped",
        Verdict.FAILED: "error",
        Verdict.INCONCLUSIVE: "skipped",
        Verdict.NOT_COMPARED: "skipped",
    }
    counts = {
        "tests": len(cases),
        "failures": verdicts[Verdict.SLOWER] if trusted else 0,
        "errors": verdicts[Verdict.FAILED],
        "skipped": sum(count for verdict, count in verdicts.items() if kinds.get(verdict) == "skipped"),
    }
    suite = ElementTree.Element("testsuite", name="heartbench bench", time=f"{report.measured_s:.3f}")
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    for judgement in cases:
        file, _, test = judgement.name.partition("::")
        case = ElementTree.SubElement(suite, "testcase", classname=file, name=test or file)
        if kind := kinds.get(judgement.verdict):
            ElementTree.SubElement(case, kind, message=sentence(judgement))
    ElementTree.SubElement(suite, "system-out").text = "\n".join([headline(report), *remarks(report)])
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def in_order(report: Report) -> list[Judgement]:
    """Return the judgements, worst first, otherwise in the order of the suite."""
    return [judgement for verdict in Verdict for judgement in report.judgements if judgement.verdict is verdict]


def cells(report: Report, judgement: Judgement) -> list[str]:
    """Return one benchmark's row without its name."""
    counted = [found.get(judgement.name) for found in report.counts.values()]
    return [
        _time(report.base_s.get(judgement.name, math.nan)),
        _figure(judgement.ratio),
        "" if math.isnan(judgement.low) else f"{_figure(judgement.low)} … {_figure(judgement.high)}",
        "same within ±3%" if judgement.verdict is Verdict.SAME else judgement.verdict.label,
        _percent(judgement.smallest_visible),
        _figure(report.means.get(judgement.name, UNKNOWN).ratio),
        *("" if count is None else _figure(count.ratio) if count.repeatable else "varies" for count in counted),
    ]


def sentence(judgement: Judgement) -> str:
    """Return the verdict on one benchmark as a sentence."""
    label = judgement.verdict.label
    if judgement.verdict is Verdict.NOT_COMPARED:
        return f"{label}: {judgement.note}"
    text = judgement.note or f"{label}: {_figure(judgement.ratio)}"
    if judgement.verdict is Verdict.INCONCLUSIVE:
        return f"{text}; minimum detectable slowdown: {_percent(judgement.smallest_visible)}"
    return text


def withheld(report: Report) -> bool:
    """Return whether the verdict is withheld."""
    return report.outcome in (Outcome.TOO_MANY_FALSE_ALARMS, Outcome.UNDERPOWERED)


def headline(report: Report) -> str:
    """Return the outcome as one line."""
    counts = Counter(judgement.verdict for judgement in report.judgements)
    parts = [f"{counts[verdict]} {verdict.label}" for verdict in Verdict if counts[verdict]]
    outcome = report.outcome.value.upper() if withheld(report) or report.status else report.outcome.value
    if report.outcome is Outcome.NOTHING_SLOWER and counts[Verdict.NOT_COMPARED]:
        outcome = f"nothing slower among the {report.compared} compared"
    if not report.measured:
        return f"{outcome} ({report.head[:10]} against {report.base[:10]}): {'; '.join(report.notes)}"
    return f"{outcome} ({', '.join(parts)}; {report.head[:10]} against {report.base[:10]})"


def remarks(report: Report, names: Mapping[str, str] | None = None) -> list[str]:
    """Return remarks on what was not compared, on benchmarks (by their short `names`), error rates and conditions."""
    found = []
    if report.not_compared:
        found.append(f"Not compared, because both sides take them from the head: {', '.join(report.not_compared)}.")
    if not report.measured:
        return found
    shown = names or {each.name: each.name for each in report.judgements}
    notes = [*_notes(report, shown), *_rare(report, shown)]
    return [*found, *notes, *_rates(report), _how(report), *report.notes]


def _notes(report: Report, shown: Mapping[str, str]) -> list[str]:
    """Return one remark for each reason for which benchmarks were not compared, and those on single benchmarks."""
    reasons = Counter(each.note for each in report.judgements if each.verdict is Verdict.NOT_COMPARED)
    noted = (each for each in in_order(report) if each.note and each.verdict is not Verdict.NOT_COMPARED)
    return [
        *(f"{count} not compared: {reason}." for reason, count in reasons.items()),
        *(f"{shown[each.name]}: {each.note}" for each in noted),
    ]


def _rare(report: Report, shown: Mapping[str, str]) -> list[str]:
    """Return advice on benchmarks whose means rose without their medians."""
    means = ((each, report.means.get(each.name, UNKNOWN)) for each in in_order(report))
    return [
        f"{shown[each.name]}: the ratio of means is {mean.ratio:.3f} [{mean.low:.3f}, {mean.high:.3f}], above that of "
        "medians: rare calls may have become slower. The verdict is on the median."
        for each, mean in means
        if mean.low > RARE * each.high
    ]


def _rates(report: Report) -> list[str]:
    rates = report.error_rates
    return [
        f"A/A comparison: {rates.alarms} slower{_off_target(rates.too_many_false_alarms, ALARM_TARGET, 'above')}.",
        f"Power for a {rates.effect:.0%} slowdown of the same pairs: {rates.detected} detected"
        f"{_off_target(rates.underpowered, POWER_TARGET, 'below')}.",
    ]


def _how(report: Report) -> str:
    rounds = ", ".join(f"{count} {what}" for what, count in report.measured.items() if count)
    resumed = f", {report.kept} processes reused from an interrupted run" if report.kept else ""
    measured = f"pinned to core {report.core}; {report.measured_s:.0f} s measured{resumed}"
    return f"Rounds of fresh processes: {rounds}; {measured}."


def _off_target(surely: bool, target: float, side: str) -> str:
    return f", which is surely {side} the target of {target:.0%}" if surely else ""


def _figure(ratio: float) -> str:
    return "" if math.isnan(ratio) else "–" if math.isinf(ratio) else f"{ratio:.3f}"


def unit_of(seconds: float) -> tuple[float, str]:
    """Return the unit for a time: its length in s, and its name."""
    return next((each for each in UNITS if seconds >= each[0]), UNITS[-1])


def _time(seconds: float) -> str:
    scale, unit = unit_of(seconds)
    return "" if math.isnan(seconds) else f"{seconds / scale:.3g} {unit}"


def _percent(fraction: float) -> str:
    return "" if math.isnan(fraction) else "none" if math.isinf(fraction) else f"+{fraction:.1%}"
