"""What Locust counted in a test, as `heartbench load --json` prints it."""

from typing import Any

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def figures_of(stats: Any, options: Any, hub: str, status: int) -> dict[str, Any]:
    """Return the figures of a test.

    Args:
        stats: Locust's `RequestStats`.
        options: Locust's parsed options.
        hub: the hub's address.
        status: exit status of the process.
    """
    return {
        "schema": "heartbench.load/1",
        "scenario": options.scenario,
        "seed": int(options.seed) if options.seed else None,
        "hub": hub,
        "status": status,
        "rows": [row_of(entry) for entry in stats.entries.values() if entry.num_requests],
        "failures": [
            {"type": error.method, "name": error.name, "reason": error.to_name(), "count": error.occurrences}
            for error in stats.errors.values()
        ],
    }


def row_of(entry: Any) -> dict[str, Any]:
    """Return the figures of one kind of request, including failed ones; Locust counts in ms and rounds quantiles."""
    quantiles = {name: entry.get_response_time_percentile(share) for name, share in SHARES.items()}
    times_ms = {"min": entry.min_response_time, **quantiles, "max": entry.max_response_time}
    return {
        "type": entry.method,
        "name": entry.name,
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "per_s": entry.total_rps,
        "latency_s": {name: ms / 1000 for name, ms in times_ms.items()},
    }
