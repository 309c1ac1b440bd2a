"""The page of results: its text is in `page.md.jinja`, its figures come from the results."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from heartbench.analysis.report import profile_costs as profiles
from heartbench.analysis.report.units import count_text, digits, marked, memory_text, share_text, size_text, time_text
from heartbench.analysis.tune import upper_end
from heartbench.benchmarks.executors import openloop
from heartbench.benchmarks.history.measure import BUDGET_BYTES, BUDGETED
from heartbench.benchmarks.suites import tables
from heartbench.benchmarks.suites.results import Results

GRPC_S = 80e-6
"""Time that a bare grpc.aio servicer takes for a message, in s; earlier measurements on such a machine: 50 to 80 µs."""
NAMES = {
    "pool": "unbounded pool",
    "threads": "thread a message",
    "block": "bounded, block",
    "reject": "bounded, reject",
    "caller": "bounded, caller runs",
}


def page(results: Results, at: Path) -> str:
    """Return the page in Markdown for the file `at`, from which its links lead."""
    environment = Environment(  # noqa: S701  (Markdown, made from our own figures)
        loader=PackageLoader("heartbench.benchmarks.suites", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    scaling = results.scaling.sort_values("size")
    heartbeat_s = scaling[scaling.subject == "heartbeat in the registry"].operation_s
    return environment.get_template("page.md.jinja").render(
        made=results.provenance,
        revision=str(results.provenance.revision)[:12],
        base=relative(results.folder, at.parent),
        tables=tables,
        given=given(),
        slopes=results.slopes,
        executors=results.executors,
        thresholds=results.thresholds,
        profiles=[answer(*each) for each in results.thresholds.groupby("profile", sort=False)],
        at=executor_figures(results.executors),
        **NAMES,
        **history_figures(results.history, results.left_out),
        heartbeat_least=time_text(heartbeat_s.iloc[0], "m"),
        heartbeat_most=time_text(heartbeat_s.iloc[-1], "m"),
    )


def relative(folder: Path, start: Path) -> str:
    """Return the beginning of a link from `start` into `folder`."""
    path = os.path.relpath(folder, start)
    return "" if path == "." else Path(path).as_posix() + "/"


def given() -> dict[str, str]:
    """Return the settings of the measurements."""
    return {
        "load": marked(f"{openloop.LOAD_S:g} s", "g"),
        "service": time_text(openloop.SERVICE_S, "g"),
        "slots": count_text(openloop.SLOTS, "g"),
        "capacity": marked(f"{openloop.CAPACITY_PER_S:,.0f}/s", "g"),
        "workers": count_text(openloop.WORKERS, "g"),
        "queue": count_text(openloop.QUEUE, "g"),
        "nodes": count_text(openloop.NODES, "g"),
        "fleet": marked(f"{profiles.NODES:,} nodes", "g"),
        "interval": time_text(profiles.INTERVAL_S, "g"),
        "day": marked("a day", "g"),
    }


def history_figures(frame: pd.DataFrame, left_out: pd.DataFrame) -> dict[str, Any]:
    """Return sizes by name, and functions of column, way, chunks and nodes for the figures of one size of chunk."""
    few, middle, most = (int(each) for each in sorted(frame.chunks.unique()))
    crowd, least = int(frame.nodes.max()), int(frame.chunk_bytes.min())
    small, large = frame[frame.chunk_bytes == least], frame[frame.chunk_bytes == frame.chunk_bytes.max()]
    saved_s = value(small, "append_s", "list splice", few) - value(small, "append_s", BUDGETED, few)
    copy = value(small, "peak_bytes", "list splice", most) - value(small, "retained_bytes", "list splice", most)
    left = left_out[(left_out.way == "deque") & (left_out.chunks == few) & (left_out.nodes == crowd)]
    return {
        "budgeted": BUDGETED,
        "few": Count(few),
        "middle": Count(middle),
        "most": Count(most),
        "crowd": Count(crowd),
        "objects": f"{middle * crowd:,}",
        "small": size_text(least),
        "large": size_text(int(large.chunk_bytes.max())),
        "budget": marked(size_text(BUDGET_BYTES), "g"),
        "grpc": time_text(GRPC_S, "g"),
        "difference": time_text(abs(saved_s), "m"),
        "copy": memory_text(copy, "m"),
        "would_hold": memory_text(float(left.needed_bytes.max())),
        "smallest": small,
        "of_small": figures_of(small),
        "of_large": figures_of(large),
    }


class Count(int):
    """A number that is written with a thousands separator."""

    def __str__(self) -> str:
        return f"{self:,d}"


def figures_of(frame: pd.DataFrame) -> Callable[..., str]:
    """Return a function of column, way, chunks and nodes (default 1) that returns a measured figure."""
    return lambda column, *size: measured(column, value(frame, column, *size))


def value(frame: pd.DataFrame, column: str, way: str, chunks: int, nodes: int = 1) -> float:
    """Return one figure; NaN if it was not measured."""
    found = frame[(frame.way == way) & (frame.chunks == chunks) & (frame.nodes == nodes)]
    return float(found[column].iloc[0]) if len(found) else float("nan")


def executor_figures(frame: pd.DataFrame) -> Callable[[str, str, str], str]:
    """Return a function of load, way and column that returns a measured figure."""
    table = frame.assign(refused_share=frame.refused / frame.offered).set_index(["load", "way"])
    return lambda load, way, column: measured(column, float(table.loc[(load, way), column]))  # type: ignore[arg-type]


def measured(column: str, figure: float) -> str:
    """Return a measured figure, with the unit that the name of its column ends in."""
    if column.endswith("_per_s"):
        return marked(f"{figure:,.0f}/s", "m")
    if column.endswith("_share"):
        return share_text(figure, "m")
    if column.endswith("_bytes"):
        return memory_text(figure, "m")
    return time_text(figure, "m") if column.endswith("_s") else count_text(figure, "m")


def answer(profile: Any, rows: pd.DataFrame) -> dict[str, str]:
    """Return the costs of thresholds on one profile as a sentence."""
    by_threshold = rows.set_index("stale_after_s")
    rates, highs = by_threshold.false_stale_per_node_day, pd.Series(upper_end(by_threshold), by_threshold.index)
    free = rates[rates == 0].index
    if len(free) and free.min() <= 2 * profiles.INTERVAL_S:
        first = rates.index.min()
        return {
            "name": profile,
            "answer": f"{simulated(rates[first])} false stales per node-day at {first:g} s, as long as the interval "
            f"itself; from {free.min():g} s on none in {profiles.NODES:,} node-days (at most "
            f"{simulated(highs[free.min()])} per node-day). A longer threshold has no benefit.",
        }
    figures = ", ".join(f"{simulated(rates[each])} at {each:g} s" for each in (15.0, 30.0, 60.0, 90.0, 120.0))
    last = highs.index.max()
    return {
        "name": profile,
        "answer": f"{figures} false stales per node-day, with the best estimate of the network. At {last:g} s the rate "
        f"is at most {simulated(highs[last])} (95% of the networks that fit the observation).",
    }


def simulated(rate: float) -> str:
    """Return a rate with its mark."""
    return marked(digits(rate), "s")
