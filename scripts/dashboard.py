"""Write docs/grafana-dashboard.json from the table of metrics; `--check` fails if it is out of date.

Metrics of one panel are shown together: counters as rates, histograms as percentiles, others as they are.
"""

import json
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from generated_page import write_or_check

from heartbench.hub.operations.metrics import METRICS, Metric

PAGE = Path(__file__).resolve().parent.parent / "docs" / "grafana-dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WHERE = '{job=~"$job",instance=~"$instance"}'
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
UNITS = {"_seconds": "s", "_bytes": "bytes", "_seconds_total": "s"}
RATE = "[$__rate_interval]"
OF_THE_PROCESS = {
    "gRPC calls that ended": (
        "ops",
        {
            f"sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{WHERE}{RATE}))": (
                "{{grpc_method}} {{grpc_code}}"
            )
        },
    ),
    "CPU of the process": ("percentunit", {f"rate(process_cpu_seconds_total{WHERE}{RATE})": "{{instance}}"}),
    "Memory of the process": ("bytes", {f"process_resident_memory_bytes{WHERE}": "{{instance}}"}),
    "Open files": ("short", {f"process_open_fds{WHERE}": "open", f"process_max_fds{WHERE}": "allowed"}),
}


def queries(metric: Metric) -> dict[str, str]:
    """Return the queries for a metric, with the legend of each."""
    name = metric.name.removesuffix("_total").replace("_", " ")
    if metric.is_histogram:
        by = f"sum by (le) (rate({metric.full_name}_bucket{WHERE}{RATE}))"
        return {f"histogram_quantile({q / 100:g}, {by})": f"p{q}" for q in (50, 99)}
    legend = f"{name} {{{{{metric.label}}}}}" if metric.label else name
    if metric.is_counter:
        return {f"rate({metric.full_name}{WHERE}{RATE})": legend}
    return {f"{metric.full_name}{WHERE}": legend}


def unit(metric: Metric) -> str:
    """Return Grafana's name of a metric's unit."""
    if metric.is_counter:
        return "percentunit" if metric.name.endswith("_seconds_total") else "ops"
    return next((unit for suffix, unit in UNITS.items() if metric.name.endswith(suffix)), "short")


def panel(number: int, title: str, its_unit: str, targets: dict[str, str], about: str = "") -> dict[str, Any]:
    """Return a panel at its place in the grid."""
    across, down = number % COLUMNS, number // COLUMNS
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"x": across * WIDTH, "y": down * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": its_unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(targets.items())
        ],
    }


def panels() -> list[dict[str, Any]]:
    """Return all panels: one for each name of a panel in the table, then those of the process."""
    made: list[dict[str, Any]] = []
    for title, group in groupby(METRICS, key=attrgetter("panel")):
        metrics = list(group)
        targets = {query: legend for metric in metrics for query, legend in queries(metric).items()}
        about = "\n".join(f"{metric.name}: {metric.help}" for metric in metrics)
        made.append(panel(len(made), title, unit(metrics[0]), targets, about))
    for title, (its_unit, targets) in OF_THE_PROCESS.items():
        made.append(panel(len(made), title, its_unit, targets))
    return made


def variable(name: str) -> dict[str, Any]:
    """Return a choice of one label's values."""
    query = f"label_values(heartbench_hub_uptime_seconds, {name})"
    return {
        "name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "includeAll": True,
        "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def dashboard() -> str:
    """Return the dashboard as Grafana imports it."""
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source"}
    whole = {
        "title": "Heartbench hub",
        "uid": "heartbench-hub",
        "tags": ["heartbench"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, variable("job"), variable("instance")]},
        "panels": panels(),
    }
    return json.dumps(whole, indent=1) + "\n"


def main() -> None:
    """`dashboard.py [--check]`."""
    write_or_check(PAGE, dashboard())


if __name__ == "__main__":
    main()
