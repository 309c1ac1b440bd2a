"""The table of metrics covers the hub's figures."""

import asyncio
import dataclasses

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.operations.metrics import METRICS
from heartbench.hub.stats import AccessStats, HubStats, stats_of
from heartbench.hub.store.writer import WriterStats
from heartbench.hub.work.executor import BoundedExecutor, ExecutorStats

PARTS = {"store": WriterStats, "executor": ExecutorStats, "access": AccessStats}


def stats() -> HubStats:
    async def read() -> HubStats:
        clock = ManualClock(100.0)
        return stats_of(open_hub(HubSettings.of(), clock), 160.0, 2, None, AccessStats())

    return asyncio.run(read())


def test_each_figure_has_a_metric() -> None:
    figures = {field.name for field in dataclasses.fields(HubStats)} - PARTS.keys()
    for part, type_ in PARTS.items():
        figures |= {f"{part}.{field.name}" for field in dataclasses.fields(type_)}
    shown = {path for metric in METRICS for path in metric.fields.values()}
    without = figures - {path.removesuffix(".state") for path in shown}
    assert not without, f"add a line to METRICS in hub/operations/metrics.py for: {', '.join(sorted(without))}"


def test_names_are_unique_and_end_as_prometheus_wants() -> None:
    names = [metric.full_name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("heartbench_hub_") for name in names)
    assert not [name for name in names if name.endswith(("_s", "_ms", "_count", "_sum", "_bucket"))]


def test_values_are_read_by_label() -> None:
    values = {metric.name: metric.values(stats()) for metric in METRICS}
    assert values["nodes"] == {"online": 0, "stale": 0, "offline": 0}
    assert values["uptime_seconds"] == {"": 60}
    assert values["store_state"] == {"ok": 1, "unavailable": 0, "fenced": 0}


@pytest.mark.parametrize("takes_files", [False, True])
def test_a_hub_that_takes_no_files_has_no_metrics_of_the_executor(takes_files: bool) -> None:
    async def read() -> HubStats:
        executor = BoundedExecutor(3, 5) if takes_files else None
        return stats_of(open_hub(HubSettings.of(), ManualClock(100.0)), 160.0, 2, executor, AccessStats())

    now = asyncio.run(read())
    workers = next(metric for metric in METRICS if metric.name == "executor_workers")
    assert workers.values(now) == ({"": 3} if takes_files else None)
