"""The report: one self-contained HTML page.

It shows the finding, what changes for the operator, the plots with how to read them, the assumptions, and how to
reproduce it.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes

from heartbench.analysis import verdict
from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.goals import unit_of
from heartbench.analysis.report import style
from heartbench.analysis.report.plots import plot_flaps, plot_frontier, plot_gaps
from heartbench.analysis.tail_assumptions import tail_assumptions
from heartbench.analysis.tune import Recommendation, ThresholdFigures
from heartbench.analysis.verdict import figure, interval_text
from heartbench.simulator.units import NODE_DAYS, format_duration

COLUMNS = {
    "label": "setting",
    "stale_after": "stale_after",
    "group": "group",
    "rate": "false stales per node-day",
    "network": "95% interval, network",
    "counted": "95% interval, count",
    "p99": "detection time (p99)",
    "duration": "mean length of a false stale",
    "accuracy": "query accuracy",
    "flaps": "flaps per node-hour",
    "flashes": "visible flaps per hour",
}
"""Headings of the table by the keys of its rows; on a narrow screen each precedes its figure."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot as SVG, and its title."""

    svg: Markup
    title: str


def render(evidence: Evidence, found: Recommendation) -> str:
    """Return the page as HTML."""
    template = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=f"{subject(evidence)}: stale threshold",
        subject=subject(evidence),
        met=found.met,
        finding=headline(found),
        verdict=verdict.sentence(found),
        goal=verdict.goal_text(found),
        cards=cards(found),
        settings=" to ".join(f"{s:g} s" for s in found.settings_s),
        decided_by=verdict.decided_by(found),
        sure=verdict.how_sure(found),
        pictures={name: picture(ax) for name, ax in plots(evidence, found).items()},
        columns={**COLUMNS, "counted": f"95% interval, {verdict.counted_in(found)}"},
        rows=[table_row(*each) for each in verdict.labelled_rows(found)],
        unit=unit_of(found.goal),
        caption=provenance(evidence),
        facts=facts(evidence),
        assumptions=[*assumptions_of(evidence), *tail_assumptions(found)],
        groups=len(found.groups),
        network_known=any(frame.false_stale_network_high.notna().any() for frame in found.judged.values()),
    )


def plots(evidence: Evidence, found: Recommendation) -> dict[str, Axes]:
    """Return the plots by name."""
    return {
        "frontier": plot_frontier(found),
        "gaps": plot_gaps(evidence.gaps, found),
        "flaps": plot_flaps(found, len(evidence.node)),
    }


def save_plots(folder: Path, evidence: Evidence, found: Recommendation) -> None:
    """Write each plot to its own file, with its provenance as caption."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ax in plots(evidence, found).items():
        style.caption(ax, provenance(evidence))
        style.save(ax, folder / f"{name}.svg")


def picture(ax: Axes) -> Picture:
    """Return a plot for the page; its title becomes the heading."""
    title = ax.get_title(loc="left").replace("\n", " ")
    ax.set_title("", loc="left")
    return Picture(Markup(style.svg(ax)), title)  # noqa: S704 (Matplotlib escapes what it writes)


def subject(evidence: Evidence) -> str:
    """Return the name, size and length of the run."""
    nodes, length = f"{len(evidence.node):,} nodes", format_duration(round(evidence.duration_s))
    name = evidence.scenario.name if evidence.scenario else evidence.source.name
    return f"{name}, {nodes}, {length}"


def headline(found: Recommendation) -> str:
    """Return the finding in one sentence, with the intervals of the deciding group."""
    unit, days = unit_of(found.goal), NODE_DAYS[unit_of(found.goal)]
    rates = [interval_text(found.decides(s)[1].deciding_interval, days) for s in found.settings_s]
    if not found.met:
        return f"No threshold meets the goal; {found.recommended_s:g} s comes closest."
    if found.current_s is None:
        text = f"At {found.recommended_s:g} s, a live node is marked stale {rates[0]} times per {unit}"
    elif found.recommended_s == found.current_s:
        text = f"{found.current_s:g} s is the right threshold: {rates[0]} false stales per {unit}"
    else:
        text = (
            f"At {found.recommended_s:g} s instead of {found.current_s:g} s, a live node is marked stale {rates[1]} "
            f"instead of {rates[0]} times per {unit}"
        )
    return f"{text}{verdict.decided_by(found)}."


def cards(found: Recommendation) -> list[dict[str, str]]:
    """Return what changes for the deciding group: the current figures, if known, and the new ones."""
    rows, unit = [found.decides(s)[1] for s in found.settings_s], unit_of(found.goal)
    days = NODE_DAYS[unit]
    interval = interval_text(rows[-1].deciding_interval, days)
    measures = {
        f"false stales per {unit}; 95%: {interval}": [figure(each.false_stale_per_node_day * days) for each in rows],
        "visible flaps on the dashboard per hour": [figure(each.flashes_per_hour) for each in rows],
        "detection time (p99)": [f"{figure(each.detection_p99_s)} s" for each in rows],
    }
    return [
        {"label": label, "now": texts[0] if len(rows) > 1 else "", "then": texts[-1]}
        for label, texts in measures.items()
    ]


def table_row(label: str, group: str, row: ThresholdFigures) -> dict[str, str]:
    """Return the cells of one setting for one group."""
    return {
        "label": label,
        "stale_after": f"{row.stale_after_s:g} s",
        "group": group,
        "rate": figure(row.false_stale_per_node_day),
        "counted": interval_text(row.false_stale_ci),
        "network": interval_text(row.false_stale_network_ci),
        "p99": f"{figure(row.detection_p99_s)} s",
        "duration": f"{figure(row.mistake_duration_s)} s" if row.false_stale else "–",
        "accuracy": f"{100 * row.query_accuracy:.4f}%",
        "flaps": figure(row.flaps_per_node_hour),
        "flashes": figure(row.flashes_per_hour),
    }


def provenance(evidence: Evidence) -> str:
    """Return command and seed, the caption of each plot."""
    origin = evidence.provenance
    return f"{origin.command} · seed {origin.seed}" if origin and origin.command else evidence.origin


def facts(evidence: Evidence) -> dict[str, str]:
    """Return how the figures were measured."""
    origin = evidence.provenance
    known = {
        "command": origin and origin.command,
        "seed": origin and str(origin.seed),
        "revision": origin and origin.revision,
        "engine": origin and origin.engine,
        "nodes": f"{len(evidence.gaps.node):,}",
        "simulated time": format_duration(round(evidence.duration_s)),
        "signs of life": f"{len(evidence.gaps):,}",
        "machine": origin and origin.machine,
        "versions": origin and origin.versions,
    }
    return {name: value for name, value in known.items() if value}
