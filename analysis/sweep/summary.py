"""A sweep in few figures: its table with the seeds of each combination taken together, for terminal and plot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from heartbench.analysis.sweep.plan import Sweep
from heartbench.analysis.tune import FLEET
from heartbench.analysis.verdict import figure

MEANS = ("detection_p50_s", "detection_p90_s", "detection_p99_s", "flaps_per_hour", "flashes_per_hour")


def summary_of(sweep: Sweep, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per combination, threshold and group of a sweep's table, in its order.

    `seeds`: how many of them finished. false_stale and node_days are their sums, and false_stale_per_node_day is the
    ratio of both; MEANS are means over seeds. false_stale_low and _high are, per node-day, the 95% interval of the
    simulation of a single seed; of several seeds, the lowest and the highest of them.
    """
    keys = [*(each.column for each in sweep.varied), "stale_after_s", "group"]
    grouped = table.groupby(keys, sort=False, dropna=False)
    rates = grouped.false_stale_per_node_day
    found = grouped[["false_stale", "node_days"]].sum()
    found["false_stale_per_node_day"] = found.false_stale / found.node_days
    one = len(sweep.seeds) == 1
    found["false_stale_low"] = grouped.false_stale_low.first() if one else rates.min()
    found["false_stale_high"] = grouped.false_stale_high.first() if one else rates.max()
    found["seeds"] = grouped.seed.count()
    return found.join(grouped[list(MEANS)].mean()).reset_index()


def key_columns(sweep: Sweep) -> list[str]:
    """Return the columns of the varied keys."""
    return [each.column for each in sweep.varied]


def finding(sweep: Sweep, summary: pd.DataFrame) -> str:
    """Return, in a sentence, between which rates of false stales the combinations lie, and where the lowest is."""
    has_fleet = bool((summary.group == FLEET).any())
    whole = summary[summary.group == FLEET] if has_fleet else summary
    known = whole[whole.false_stale_per_node_day.notna()]
    if not len(known):
        return f"{sweep.name}: no node was watched"
    least = known.iloc[int(known.false_stale_per_node_day.argmin())]
    rates = figure(float(least.false_stale_per_node_day)), figure(float(known.false_stale_per_node_day.max()))
    where = ", ".join(f"{each.name} {each.texts[least[each.column]]}" for each in dimensions(sweep, summary)[:-1])
    what = f"false stales per node-day {'over the fleet ' if has_fleet else ''}in these runs"
    if rates[0] == rates[1] or not where:
        return f"{sweep.name}: {rates[1]} {what}"
    return f"{sweep.name}: {rates[0]} to {rates[1]} {what}, fewest with {where}"


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column that distinguishes combinations: its short name, and the text of each level, in their order."""

    column: str
    name: str
    texts: Mapping[Any, str]


def dimensions(sweep: Sweep, table: pd.DataFrame) -> list[Dimension]:
    """Return the varied keys, the thresholds if there are several, and the groups, in this order."""
    keys = [each.key for each in sweep.varied]
    short = [key.rpartition(".")[2] for key in keys]
    names = [key if short.count(last) > 1 else last for key, last in zip(keys, short, strict=True)]
    found = [
        Dimension(each.column, name, dict(zip(each.levels, each.values, strict=True)))
        for each, name in zip(sweep.varied, names, strict=True)
    ]
    if len(sweep.stale_after_s) > 1:
        found.append(Dimension("stale_after_s", "stale_after", {s: f"{s:g} s" for s in sweep.stale_after_s}))
    return [*found, Dimension("group", "group", {name: name for name in table.group.drop_duplicates()})]
