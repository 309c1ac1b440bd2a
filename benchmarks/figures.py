"""The figures of a run, from its directory: how late heartbeats came, what a hub would have said, what one did say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.benchmarks.thresholds.absences import hub_absences
from heartbench.benchmarks.thresholds.gaps import find_gaps, power_losses
from heartbench.benchmarks.thresholds.qos import DAY_S, judge
from heartbench.hub.config import HubSettings
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import Kind, Messages, read_blocks, read_transitions, read_truth

STATUS_REASONS = ("silence", "heard", "goodbye")
"""Reasons of changes of status; the others are of connection and flapping."""


def figures_of(run: RunDirectory, hub: HubSettings, duration_s: float) -> dict[str, Any]:
    """Return the figures of `run.json` that follow from trace and truth; None where there is nothing to tell from.

    What a hub set as `hub` would have said is judged block by block; of all blocks only how late each heartbeat came
    is kept, 4 bytes each.
    """
    truth = read_truth(run.truth)
    losses, absences = power_losses(truth), hub_absences(truth)
    parts = [np.zeros(0, np.float32)]
    up_s = false_stales = flaps = flashes = 0.0
    for block in read_blocks(run.path):
        parts.append(_latency(block))
        qos = judge(find_gaps(block, losses, duration_s, absences), [hub], duration_s)
        up_s += qos.up_s.sum()
        false_stales += qos.mistakes.sum()
        flaps += qos.flaps[0]
        flashes += qos.flashes[0]
    late_s = np.concatenate(parts)
    judged = {
        "false_stale_per_node_day": false_stales / (up_s / DAY_S) if up_s else 0.0,
        "flaps_per_node_hour": flaps / (up_s / 3600) if up_s else 0.0,
        "flashes_per_hour": flashes / (duration_s / 3600) if duration_s else 0.0,
    }
    return {
        "latency_s": quantiles(late_s, ("p50", "p99")),
        **(judged if len(late_s) else dict.fromkeys(judged)),
    }


def _latency(block: Messages) -> NDArray[np.float32]:
    """Return the time from sent to seen of each heartbeat that was seen, s."""
    seen = (block.kind == Kind.HEARTBEAT) & ~np.isnan(block.arrived_s)
    late_s: NDArray[np.float32] = (block.arrived_s[seen] - block.sent_s[seen]).astype(np.float32)
    return late_s


def quantiles(values: NDArray[Any], names: Sequence[str]) -> dict[str, float | None]:
    """Return quantiles by their names, such as p99 and max; None where there is no value."""
    shares = [1.0 if name == "max" else float(name[1:]) / 100 for name in names]
    found = np.quantile(values, shares).tolist() if len(values) else [None] * len(names)
    return dict(zip(names, found, strict=True))


def said_by_hub(run: RunDirectory, duration_s: float) -> dict[str, Any]:
    """Return what the hub of a live run itself said: stale and falsely so, flaps, flashes."""
    said = read_transitions(run.transitions)
    status = said[said.reason.isin(STATUS_REASONS)]
    stale = said[said.reason == "silence"]
    flashes = int((~status.flapping).sum())
    return {
        "stale": len(stale),
        "false_stale": int((~_down(run, stale)).sum()),
        "flaps": int(said.reason.isin(["silence"]).sum() + _returns(status)),
        "flashes": flashes,
        "flashes_per_hour": flashes / (duration_s / 3600) if duration_s else None,
    }


def _returns(status: pd.DataFrame) -> int:
    """Changes from stale back to online; that of a node which was stale before the run is none of the run's."""
    before = status.groupby("node").status.shift()
    return int(((status.reason == "heard") & (before == "stale")).sum())


def _down(run: RunDirectory, stale: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each node was without power when it was called stale."""
    down = np.zeros(len(stale), bool)
    node, at_s = stale.node.to_numpy(), stale.at_s.to_numpy()
    for lost, from_s, to_s in zip(*power_losses(read_truth(run.truth)), strict=True):
        down |= (node == lost) & (from_s <= at_s) & (at_s < to_s)
    return down
