"""A fitted profile as a TOML file: the figures, their intervals beside them, and what was assumed above them."""

import textwrap
from collections.abc import Iterator
from typing import Any

import tomlkit
from tomlkit.items import Array, Table

from heartbench.analysis.fit.labels import label_of
from heartbench.analysis.fit.model import FAMILY_LEVEL, LEVEL, Fit
from heartbench.analysis.fit.profiles import duration
from heartbench.simulator.profile import Direction
from heartbench.simulator.units import format_duration

WIDTH = 116
ON_A_LINE = 16


def profile_toml(fit: Fit) -> str:
    """Return the profile of a fit as TOML that loads."""
    document = tomlkit.document()
    for line in _head(fit):
        document.add(tomlkit.comment(line) if line else tomlkit.nl())
    document.add(tomlkit.nl())
    document["summary"] = fit.profile.summary
    document["jitter_correlation"] = _value(fit, "jitter_correlation", duration(fit.profile.jitter_correlation_s))
    slow_s = fit.profile.jitter_slow_correlation_s
    if slow_s is not None:
        document["jitter_slow_share"] = _value(fit, "jitter_slow_share", fit.profile.jitter_slow_share)
        document["jitter_slow_correlation"] = _value(fit, "jitter_slow_correlation", duration(slow_s))
    document["up"] = _direction(fit, fit.profile.up, "up")
    document["down"] = _direction(fit, fit.profile.down, "down")
    document["outage"] = _outage(fit)
    return tomlkit.dumps(document)


def _head(fit: Fit) -> Iterator[str]:
    yield f"Fitted by `heartbench profiles fit` to {fit.source}:"
    lost = f"{fit.lost:,} lost ({fit.lost / fit.probes:.2%})"
    yield f"{fit.hours:.4g} h, {fit.probes:,} probes {format_duration(round(fit.interval_s, 4))} apart, {lost}."
    yield f"Outages of {format_duration(round(fit.from_s, 4))} or more: {len(fit.outages)}."
    yield ""
    yield f"Intervals stand beside the figures. They hold together with {FAMILY_LEVEL:.0%}; each has {LEVEL:.1%}."
    yield "Assumed, or not to be seen in this recording:"
    for warning in fit.warnings:
        yield from textwrap.wrap(f"- {warning}", WIDTH, subsequent_indent="  ")


def _value(fit: Fit, name: str, value: object) -> Any:
    item = tomlkit.item(value)
    item.comment(note(fit, name))
    return item


def note(fit: Fit, name: str) -> str:
    """Return the interval of a figure in words."""
    label, estimate = label_of(name), fit.parameters[name]
    unit = f" {label.unit}" if label.unit and estimate.ci else ""
    return f"{label.text}: {label.interval(estimate)}{unit}"


def _direction(fit: Fit, way: Direction, name: str) -> Table:
    table = tomlkit.table()
    prefix = f"{name}.delay" if f"{name}.delay_least" in fit.parameters else "rtt"
    table["base_delay"] = _value(fit, f"{prefix}_least", duration(way.base_delay_s))
    pairs = Array([], tomlkit.items.Trivia())
    for share, extra_s in way.jitter:
        figure = f"{prefix}_p{100 * share:g}"
        pairs.add_line(
            tomlkit.item([share, duration(extra_s)]),
            comment=note(fit, figure) if figure in fit.parameters else None,
        )
    pairs.add_line(indent="")
    table["jitter"] = pairs
    if way.loss.good_mean_s or way.loss.good:
        table["loss"] = _loss(fit, way)
    return table


def _loss(fit: Fit, way: Direction) -> Table:
    table = tomlkit.table()
    table["good"] = _value(fit, "loss.good", way.loss.good)
    if way.loss.good_mean_s:
        table["bad"] = _value(fit, "loss.bad", way.loss.bad)
        table["good_mean"] = _value(fit, "loss.good_mean", duration(way.loss.good_mean_s))
        table["bad_mean"] = _value(fit, "loss.bad_mean", duration(way.loss.bad_mean_s))
    return table


def _outage(fit: Fit) -> Table:
    outage, table = fit.profile.outage, tomlkit.table()
    for name in (name for name in fit.parameters if name.startswith("outage.") and fit.parameters[name].ci):
        table.add(tomlkit.comment(note(fit, name)))
    if outage.rates:
        table["rates"] = [[duration(length), rate] for length, rate in outage.rates]
    if outage.shape is not None and outage.scale_s is not None:
        table["shape"], table["scale"] = outage.shape, duration(outage.scale_s)
    if outage.hold:
        table["hold"] = outage.hold
    if outage.directions.down:
        table["directions"] = tomlkit.inline_table().append("down", outage.directions.down)
    if outage.observed is not None:
        observed = tomlkit.table()
        observed["hours"], observed["from"] = outage.observed.hours, duration(outage.observed.from_s)
        observed["resolution"] = duration(outage.observed.step_s)
        observed["lengths"] = _lengths(outage.observed.lengths_s)
        if outage.observed.cut_s:
            observed["cut"] = _lengths(outage.observed.cut_s)
        table["observed"] = observed
    return table


def _lengths(lengths_s: tuple[float, ...]) -> Array:
    """Return the lengths in s, several on a line: from text, because an array takes quadratic time to add lines."""
    numbers = [str(each) for each in lengths_s]
    lines = [f"    {', '.join(numbers[begin : begin + ON_A_LINE])}," for begin in range(0, len(numbers), ON_A_LINE)]
    return tomlkit.array("\n".join(["[", *lines, "]"]) if lines else "[]")
