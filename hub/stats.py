"""How the hub is, in figures: what GetStats answers, and what the summary line in the log is made of."""

from collections import Counter
from typing import Any

from heartbench.hub.core import Hub
from heartbench.hub.liveness.rules import Status
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.mesh.v1 import mesh_pb2 as pb


def stats_of(hub: Hub, uploads: int, executor: BoundedExecutor | None) -> pb.HubStats:
    """All figures now; costs a look at every node."""
    nodes = hub.registry.nodes.values()
    statuses = Counter(node.status for node in nodes)
    return pb.HubStats(
        epoch=hub.epoch,
        up_s=hub.clock.monotonic() - hub.began_s,
        online=statuses[Status.ONLINE],
        stale=statuses[Status.STALE],
        offline=statuses[Status.OFFLINE],
        connected=sum(node.connected for node in nodes),
        flapping=sum(node.flapping for node in nodes),
        heartbeats=hub.counters.heartbeats,
        chunks=hub.counters.chunks,
        hellos=hub.counters.hellos,
        throttled=hub.admission.refused,
        flaps=hub.registry.flaps,
        flashes=hub.chronicle.flashes,
        heap=hub.registry.heap_size,
        loop_lag_p50_s=hub.attention.lag_s.quantile(0.5),
        loop_lag_max_s=hub.attention.lag_s.quantile(1.0),
        pauses=hub.attention.lapses,
        paused_s=hub.attention.lapsed_s,
        mass_silence=hub.silence.open is not None,
        subscribers=len(hub.bus),
        events=hub.bus.seq,
        events_lost=hub.bus.lost,
        commands_waiting=len(hub.commands),
        uploads=uploads,
        history_bytes=sum(history.size_bytes for history in hub.histories.values()),
        store=store_stats(hub),
        executor=executor_stats(executor) if executor else None,
    )


def store_stats(hub: Hub) -> pb.StoreStats:
    """The queue in front of the store, and how long its commits take."""
    stats = hub.writer.stats()
    return pb.StoreStats(
        state=stats.health.state,
        error=stats.health.error,
        queued_chunks=stats.queued_chunks,
        queued_bytes=stats.queued_bytes,
        waiting=stats.waiting,
        commits=stats.commits,
        failures=stats.failures,
        commit_p50_s=stats.commit_p50_s,
        commit_p99_s=stats.commit_p99_s,
    )


def executor_stats(executor: BoundedExecutor) -> pb.ExecutorStats:
    """How busy the threads are that write files."""
    stats = executor.stats()
    return pb.ExecutorStats(
        workers=stats.workers,
        running=stats.running,
        queued=stats.queued,
        waiting=stats.waiting,
        completed=stats.completed,
        failed=stats.failed,
        rejected=stats.rejected,
        wait_p50_s=stats.wait_p50_s,
        wait_p99_s=stats.wait_p99_s,
    )


def summary(now: pb.HubStats, before: pb.HubStats | None) -> dict[str, Any]:
    """The figures of one line: how things stand, and what came since the summary `before` (None: since the start)."""
    interval_s = max(1e-9, now.up_s - before.up_s if before else now.up_s)
    heartbeats = now.heartbeats - before.heartbeats if before else now.heartbeats
    return {
        "online": now.online,
        "stale": now.stale,
        "offline": now.offline,
        "connected": now.connected,
        "flapping": now.flapping,
        "heartbeats_per_s": round(heartbeats / interval_s, 1),
        "flaps": now.flaps,
        "flashes": now.flashes,
        "throttled": now.throttled,
        "heap": now.heap,
        "loop_lag_p50_ms": round(now.loop_lag_p50_s * 1000, 1),
        "loop_lag_max_ms": round(now.loop_lag_max_s * 1000, 1),
        "pauses": now.pauses,
        "mass_silence": now.mass_silence,
        "events_lost": now.events_lost,
        "history_bytes": now.history_bytes,
        "store": now.store.state,
        "store_queue": now.store.queued_chunks,
        "commit_p99_ms": round(now.store.commit_p99_s * 1000, 1),
        "executor_queue": now.executor.queued,
        "executor_wait_p99_ms": round(now.executor.wait_p99_s * 1000, 1),
    }
