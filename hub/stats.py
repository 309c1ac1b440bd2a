"""The hub's figures, as GetStats answers them and as the summary line in the log shows them.

Computing them takes the same time for ten nodes and for a million: whatever changes a figure counts it.
"""

from dataclasses import dataclass
from typing import Any

from heartbench.hub import logs
from heartbench.hub.core import Hub
from heartbench.hub.liveness.rules import Status
from heartbench.hub.store.writer import WriterStats
from heartbench.hub.work.executor import BoundedExecutor, ExecutorStats
from heartbench.hub.work.histogram import Histogram

SUMMARISED = (
    *("online", "stale", "offline", "connected", "flapping", "flaps", "flashes", "throttled", "heap"),
    *("pauses", "mass_silence", "events_lost", "history_bytes"),
    *("log_lines_lost", "observer_records_lost", "trace_messages_lost"),
)


@dataclass(frozen=True, slots=True)
class AccessStats:
    """Calls without a valid credential, calls that a credential does not allow, and TLS handshakes begun."""

    unauthenticated: int = 0
    not_allowed: int = 0
    tls_handshakes: int = 0


@dataclass(frozen=True, slots=True)
class HubStats:
    """Figures of one moment; totals count from the hub's start, times are in s."""

    epoch: int  # number of this opening of the store
    up_s: float
    online: int
    stale: int
    offline: int
    connected: int  # nodes with an open Connect stream
    flapping: int
    heartbeats: int
    latency: Histogram  # of heartbeats, from the node's clock to the hub's, s
    clock_errors: int  # heartbeats whose latency cannot be true
    chunks: int
    hellos: int
    throttled: int  # Hellos that were answered with a delay after which to retry
    flaps: int  # changes between online and stale
    flashes: int  # changes of status of nodes that were not flapping
    heap: int  # entries in the heap of deadlines
    loop_lag_p50_s: float  # of the tick, over the last minute
    loop_lag_max_s: float
    pauses: int
    paused_s: float
    mass_silence: bool  # whether the hub suspects its own network
    subscribers: int
    events: int
    events_lost: int  # that subscribers missed
    commands_waiting: int  # without an answer
    commands_bytes: int  # that those hold
    contested: int  # names that more than one node seems to use
    commands_refused: int  # because too many or too large ones were waiting
    uploads: int  # open Upload streams
    history_bytes: int
    log_lines_lost: int  # that could not be written to the log
    observer_records_lost: int  # that could not be written to the observer's file
    trace_messages_lost: int  # that could not be written to HUB_TRACE_DIR
    store: WriterStats
    executor: ExecutorStats | None  # None if the hub accepts no files
    access: AccessStats


def stats_of(hub: Hub, now: float, uploads: int, executor: BoundedExecutor | None, access: AccessStats) -> HubStats:
    """Return all figures at `now` (s, monotonic)."""
    registry, pauses = hub.registry, hub.pauses
    return HubStats(
        epoch=hub.epoch,
        up_s=now - hub.began_s,
        online=registry.count[Status.ONLINE],
        stale=registry.count[Status.STALE],
        offline=registry.count[Status.OFFLINE],
        connected=registry.connected,
        flapping=registry.flapping,
        heartbeats=hub.heartbeats,
        latency=hub.latency.seconds.copy(),
        clock_errors=hub.latency.clock_errors,
        chunks=hub.chunks,
        hellos=hub.hellos,
        throttled=hub.throttled,
        flaps=registry.flaps,
        flashes=hub.effects.flashes,
        heap=registry.heap_size,
        loop_lag_p50_s=pauses.lag_s.quantile(0.5),
        loop_lag_max_s=pauses.lag_s.quantile(1.0),
        pauses=pauses.pauses,
        paused_s=pauses.paused_s,
        mass_silence=hub.mass_silence.open is not None,
        subscribers=len(hub.fanout),
        events=hub.fanout.seq,
        events_lost=hub.fanout.lost,
        commands_waiting=len(hub.commands),
        commands_bytes=hub.commands.size_bytes,
        contested=len(hub.takeovers.contested),
        commands_refused=hub.commands.refused,
        uploads=uploads,
        history_bytes=hub.history_bytes.total,
        log_lines_lost=logs.lost(),
        observer_records_lost=hub.effects.records_lost,
        trace_messages_lost=hub.effects.messages_lost,
        store=hub.writer.stats(),
        executor=executor.stats() if executor else None,
        access=access,
    )


def summary(now: HubStats, before: HubStats | None) -> dict[str, Any]:
    """Return the keys and values of one log line; rates are since the line of `before` (None: since the start)."""
    interval_s = max(1e-9, now.up_s - before.up_s if before else now.up_s)
    heartbeats = now.heartbeats - before.heartbeats if before else now.heartbeats
    return {name: getattr(now, name) for name in SUMMARISED} | {
        "heartbeats_per_s": round(heartbeats / interval_s, 1),
        "loop_lag_p50_ms": round(now.loop_lag_p50_s * 1000, 1),
        "loop_lag_max_ms": round(now.loop_lag_max_s * 1000, 1),
        "unauthenticated": now.access.unauthenticated,
        "not_allowed": now.access.not_allowed,
        "store": now.store.health.state,
        "store_queue": now.store.queued_chunks,
        "commit_p99_ms": round(now.store.commit_p99_s * 1000, 1),
        "executor_queue": now.executor.queued if now.executor else 0,
        "executor_wait_p99_ms": round(now.executor.wait_p99_s * 1000, 1) if now.executor else 0.0,
    }
