"""What happened to some nodes, added up block by block: one pass over a trace, and of each block only sums stay.

Latency is the exception, 4 bytes for each heartbeat that was received, because quantiles cannot be added up.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.benchmarks.thresholds.gaps import Gaps
from heartbench.benchmarks.thresholds.intervals import rate_interval
from heartbench.benchmarks.thresholds.qos import DAY_S, judge
from heartbench.benchmarks.thresholds.sites import Cells
from heartbench.hub.config import HubSettings
from heartbench.simulator.trace import Kind, Messages

JUDGED = ("false_stale", "false_stale_per_node_day", "false_stale_ci", "flaps_per_node_hour", "flashes_per_hour")


class Tally:
    """The figures of some nodes under one hub."""

    def __init__(self, cells: Cells, hub: HubSettings, duration_s: float) -> None:
        self.nodes = len(cells.node)
        self.duration_s = duration_s
        self._cells, self._hub = cells, hub
        self._late_s = [np.zeros(0, np.float32)]
        self._up_s = np.zeros((cells.rows, cells.blocks))
        self._mistakes = np.zeros((*self._up_s.shape, 1), np.int64)
        self._heartbeats = self._flaps = self._flashes = 0

    def add(self, messages: Messages, gaps: Gaps) -> None:
        """Add some of the nodes, whole: their messages and the gaps between them."""
        self._heartbeats += int((messages.kind == Kind.HEARTBEAT).sum())
        self._late_s.append(latency(messages))
        qos = judge(gaps, [self._hub], self.duration_s, self._cells)
        self._up_s += qos.up_s
        self._mistakes += qos.mistakes
        self._flaps += int(qos.flaps[0])
        self._flashes += int(qos.flashes[0])

    def figures(self) -> dict[str, Any]:
        """Return the figures; None for what no heartbeat was received to tell from."""
        return figures_of_all([self])


def figures_of_all(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Return the figures of the nodes of all `tallies` together, which are of one run."""
    late_s = np.concatenate([np.zeros(0, np.float32), *(part for each in tallies for part in each._late_s)])
    return {
        "nodes": sum(each.nodes for each in tallies),
        "heartbeats": sum(each._heartbeats for each in tallies),
        "latency_s": quantiles(late_s, ("p50", "p99")),
        **(_judged(tallies) if len(late_s) else dict.fromkeys(JUDGED)),
    }


def _judged(tallies: Sequence[Tally]) -> dict[str, Any]:
    up_s, mistakes = _joined(each._up_s for each in tallies), _joined(each._mistakes for each in tallies)
    independent = all(each._cells.independent for each in tallies)
    watched_s, duration_s, false_stale = float(up_s.sum()), tallies[0].duration_s, int(mistakes.sum())
    flaps, flashes = sum(each._flaps for each in tallies), sum(each._flashes for each in tallies)
    return {
        "false_stale": false_stale,
        "false_stale_per_node_day": false_stale / (watched_s / DAY_S) if watched_s else 0.0,
        "false_stale_ci": rate_interval(mistakes, up_s / DAY_S, independent=independent)[0].tolist(),
        "flaps_per_node_hour": flaps / (watched_s / 3600) if watched_s else 0.0,
        "flashes_per_hour": flashes / (duration_s / 3600) if duration_s else 0.0,
    }


def _joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(list(parts))


def latency(block: Messages) -> NDArray[np.float32]:
    """Return the time from sent to received of each heartbeat that was received, s."""
    seen = (block.kind == Kind.HEARTBEAT) & ~np.isnan(block.arrived_s)
    late_s: NDArray[np.float32] = (block.arrived_s[seen] - block.sent_s[seen]).astype(np.float32)
    return late_s


def quantiles(values: NDArray[Any], names: Sequence[str]) -> dict[str, float | None]:
    """Return quantiles by their names, such as p99 and max; None where there is no value."""
    shares = [1.0 if name == "max" else float(name[1:]) / 100 for name in names]
    found = np.quantile(values, shares).tolist() if len(values) else [None] * len(names)
    return dict(zip(names, found, strict=True))
