"""Every metric of the hub, in one table: a new figure of `HubStats` is one line here.

The endpoint (`exposition.py`) and the dashboard (`scripts/dashboard.py`) are made from the table. Names follow
Prometheus's rules: base units, `_total` for counters, which count from the hub's start. Sums over labels make sense:
statuses add up to all nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from heartbench.hub.stats import HubStats
from heartbench.hub.store.writer import StoreState
from heartbench.hub.work.histogram import Histogram

PREFIX = "heartbench_hub_"

Values = Mapping[str, float] | Histogram
"""By the value of the metric's label (empty if it has none); or a histogram."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric without its value. `fields` are figures of HubStats, such as `store.commits`, by the label's value."""

    panel: str  # of the dashboard
    name: str
    help: str
    fields: Mapping[str, str]
    label: str = ""
    states: tuple[str, ...] = ()  # the figure is one of these: 1 for it, 0 for the others
    is_histogram: bool = False

    @property
    def full_name(self) -> str:
        """The name as it is exposed; of a histogram, without its suffixes."""
        return PREFIX + self.name

    @property
    def is_counter(self) -> bool:
        """Whether the value only grows while the hub runs."""
        return self.name.endswith("_total")

    def values(self, stats: HubStats) -> Values | None:
        """Return the values now; None if the hub lacks the part that has them."""
        found = {value: figure(stats, path) for value, path in self.fields.items()}
        first = next(iter(found.values()))
        if first is None or isinstance(first, Histogram):
            return first
        if self.states:
            return {state: float(state == str(first)) for state in self.states}
        return {value: float(number) for value, number in found.items()}  # type: ignore[arg-type]


def figure(stats: HubStats, path: str) -> object:
    """Return a figure by its dotted path; None if a part of the path is None."""
    head, _, rest = path.partition(".")
    value = attrgetter(head)(stats)
    return figure(value, rest) if rest and value is not None else value


def one(panel: str, name: str, path: str, text: str) -> Metric:
    """Return a metric without labels."""
    return Metric(panel, name, text, {"": path})


def percentiles(panel: str, name: str, path: str, text: str, *percents: int) -> Metric:
    """Return a metric over the figures `path` with `{}` in place of p50, p99 or (for 100) max."""
    fields = {str(percent): path.format("max" if percent == 100 else f"p{percent}") for percent in percents}
    return Metric(panel, name, text, fields, "percentile")


METRICS = (
    Metric(
        "Nodes", "nodes", "Known nodes, by status.",
        {"online": "online", "stale": "stale", "offline": "offline"}, "status",
    ),
    one("Nodes", "connected_nodes", "connected", "Nodes with an open Connect stream."),
    one("Nodes", "flapping_nodes", "flapping", "Nodes that are marked as flapping."),
    one("Nodes", "mass_silence", "mass_silence", "1 while the hub suspects its own network and marks no node stale."),
    one("Nodes", "contested_names", "contested", "Names that more than one node seems to use."),
    one("Flaps", "flaps_total", "flaps", "Changes of nodes between online and stale."),
    one("Flaps", "flashes_total", "flashes", "Changes of status of nodes that were not flapping."),
    one("Messages", "heartbeats_total", "heartbeats", "Heartbeats received."),
    one("Messages", "chunks_total", "chunks", "Chunks of terminal output received."),
    one("Messages", "hellos_total", "hellos", "Streams of nodes that began."),
    one("Messages", "throttled_total", "throttled", "Hellos that were answered with a time after which to retry."),
    Metric(
        "Heartbeat latency", "heartbeat_latency_seconds",
        "Time from a node's clock when it sent a heartbeat to the hub's when it read it; with the error of both.",
        {"": "latency"}, is_histogram=True,
    ),
    one(
        "Clock errors", "heartbeat_clock_errors_total", "clock_errors",
        "Heartbeats whose latency would be negative or over 600 s: the clocks of node and hub differ.",
    ),
    percentiles("Event loop", "loop_lag_seconds", "loop_lag_{}_s", "Lateness of the hub's tick in the last minute.",
                50, 100),
    one("Pauses", "pauses_total", "pauses", "Times in which the hub did not run and gave all nodes longer."),
    one("Time paused", "paused_seconds_total", "paused_s", "Time in which the hub did not run."),
    one("Events", "events_total", "events", "Events published."),
    one("Events", "events_lost_total", "events_lost", "Events that subscribers lost because they read too slowly."),
    one("Subscribers and uploads", "subscribers", "subscribers", "Open WatchEvents streams."),
    one("Subscribers and uploads", "uploads", "uploads", "Open Upload streams."),
    one("Subscribers and uploads", "commands_waiting", "commands_waiting", "Commands without an answer."),
    one("Commands refused", "commands_refused_total", "commands_refused", "Commands for which there was no room."),
    one("Memory", "commands_bytes", "commands_bytes", "Commands without an answer."),
    one("Memory", "history_bytes", "history_bytes", "Terminal output held in memory."),
    one("Memory", "store_queue_bytes", "store.queued_bytes", "Chunks that wait for the store."),
    one("Deadlines", "deadlines", "heap", "Entries in the heap of deadlines, outdated ones included."),
    Metric(
        "Store", "store_state", "1 for the state that the store is in.", {"": "store.health.state"}, "state",
        tuple(StoreState),
    ),
    one("Store queue", "store_queue_chunks", "store.queued_chunks", "Chunks that wait for the store."),
    one("Store queue", "store_unsaved_nodes", "store.unsaved_nodes", "Nodes with anything that waits for the store."),
    one("Store queue", "store_waiting_streams", "store.waiting", "Streams that wait for room in that queue."),
    one("Store writes", "store_commits_total", "store.commits", "Batches written."),
    one("Store writes", "store_failures_total", "store.failures", "Batches that could not be written and are retried."),
    one("Store writes", "store_chunks_total", "store.chunks", "Chunks written."),
    percentiles("Store commits", "store_commit_seconds", "store.commit_{}_s", "Duration of the last 512 commits.",
                50, 99),
    one("Executor", "executor_workers", "executor.workers", "Threads that write files."),
    one("Executor", "executor_running", "executor.running", "Threads that are writing."),
    one("Executor", "executor_queue", "executor.queued", "File chunks that wait for a thread."),
    one("Executor", "executor_waiting", "executor.waiting", "Streams that wait for room in that queue."),
    Metric(
        "Executor calls", "executor_calls_total", "File chunks by what became of them.",
        {
            "completed": "executor.completed", "failed": "executor.failed",
            "rejected": "executor.rejected", "cancelled": "executor.cancelled",
        },
        "outcome",
    ),
    percentiles("Executor times", "executor_wait_seconds", "executor.wait_{}_s",
                "Wait of the last 512 file chunks for a thread.", 50, 99),
    percentiles("Executor times", "executor_run_seconds", "executor.run_{}_s",
                "Duration of the last 512 writes of file chunks.", 50, 99),
    Metric(
        "Calls refused", "calls_refused_total", "Calls by what was wrong with their credential.",
        {"missing or not valid": "access.unauthenticated", "not allowed": "access.not_allowed"}, "credential",
    ),
    one("TLS handshakes", "tls_handshakes_total", "access.tls_handshakes", "TLS handshakes that began."),
    one("Log", "log_lines_lost_total", "log_lines_lost", "Lines that could not be written to the log."),
    one(
        "Log", "observer_records_lost_total", "observer_records_lost",
        "Records that could not be written to the observer's file.",
    ),
    one(
        "Log", "trace_messages_lost_total", "trace_messages_lost",
        "Messages that could not be written to HUB_TRACE_DIR.",
    ),
    one("Uptime", "uptime_seconds", "up_s", "Time since the hub started."),
    one("Starts", "epoch", "epoch", "Number of this start of the hub on its store."),
)  # fmt: skip
