"""Engine `live`: a real hub, real gRPC nodes in as many processes as there are cores, and the model's network between.

Time 0 is agreed when hub and shards are ready. The model runs on its own schedule: what the simulator does late is its
own lag (`sim_lag`), never fed back and never counted as the hub's. At the end the nodes fall silent first, then an own
hub is stopped; at one that runs on, the nodes say Goodbye when it is no longer listened to. What it says after the end
of the run, because of that, is no part of the run.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.live import record
from heartbench.simulator.engines.live.faults import HubFaults
from heartbench.simulator.engines.live.hub import ExternalHub, Hub, HubProcess
from heartbench.simulator.engines.live.shard import Start, Task
from heartbench.simulator.engines.live.shards import Shards
from heartbench.simulator.engines.live.world import advance, make_actions, make_sent, make_world
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.interrupts import raised
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario

HEAD_START_S = 0.25  # from the agreement on time 0 to time 0
END_AHEAD_S = 0.1  # an early end is agreed on so long before
LOOK_S = 0.2
OVERDUE_S = 60.0


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What a live run did.

    `lag_s` is how late the simulator wrote each message, s. `stale_after_s` is what the hub told its nodes (0:
    nothing), `files` how many of their files it has verified. `deadline_moves` are deadlines that the hub moved because
    it doubted itself. `origin_s` is time 0, on the monotonic clock; `hub_down_s` is when a fault first ended the hub, s
    since then (inf: never). `events_lost` is how many things a running hub said that did not reach us,
    `events_heard_s` for how long it was heard, s since time 0: less than `duration_s` where its events ended before.
    """

    nodes: int
    heartbeats: int
    messages: int
    duration_s: float
    compile_s: float
    write_s: float
    interrupted: bool
    arrived_by: str
    lag_s: NDArray[np.float64]
    stale_after_s: float
    files: int
    deadline_moves: int
    events_lost: int
    events_heard_s: float
    origin_s: float
    hub_down_s: float


def simulate(
    scenario: Scenario,
    directory: RunDirectory,
    workers: int | None = None,
    hub: ExternalHub | None = None,
    progress: Callable[[float], None] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> LiveResult:
    """Run a scenario for real, and write trace, truth, names and transitions into `directory`.

    Args:
        scenario: what to run.
        directory: an empty run directory.
        workers: processes for the nodes; None: one a core.
        hub: one that runs already; None: an own one, with the scenario's settings, is started and stopped.
        progress: called with the seconds that have passed since its last call.
        interrupted: says whether the run is to end now; what was measured until then is written.

    Until time 0 is agreed on, Ctrl-C raises KeyboardInterrupt. From then on signals are the caller's affair.
    """
    with ExitStack() as stack:
        with raised():
            files = directory.path / "files"
            stack.callback(shutil.rmtree, files, ignore_errors=True)
            driven, faults = _hub_of(scenario, directory, hub, files)
            stack.callback(driven.stop)
            stack.callback(faults.close)
            compile_s = _compile(scenario)
            driven.wait_until_ready()
            boot_base = int(time.time() * 1000) << 16
            shards = stack.enter_context(Shards(_tasks(scenario, workers, driven.address, boot_base)))
            shards.wait_until_ready(driven.check)
        start = Start(time.monotonic() + HEAD_START_S, time.time() + HEAD_START_S)
        shards.start(start)
        faults.begin(start.origin_s)
        end_s = _pass_time(shards, start.origin_s, scenario.duration_s, faults, interrupted, progress)
        faults.close()
        driven.stop()
        if hub is not None:
            shards.leave()
        results = shards.results()
    ended = time.monotonic()
    names, heard = record.numbers_by_name(scenario), driven.heard()
    rows = record.rows_of(results, start.origin_s)
    arrived_s = record.arrivals(rows, heard, names, boot_base, start, end_s)
    record.write_trace(directory, rows, arrived_s)
    record.write_nodes(directory, scenario)
    started_s = [at_s - start.origin_s for at_s in heard.started_s]
    record.write_truth(directory, scenario, results, faults.happened, started_s, end_s)
    record.write_transitions(directory, heard.changes, names, start.origin_s, end_s)
    late_s = (rows.begun_s - rows.due_s).to_numpy()
    return LiveResult(
        nodes=scenario.nodes,
        heartbeats=int((rows.kind == Kind.HEARTBEAT).sum()),
        messages=len(rows),
        duration_s=end_s,
        compile_s=compile_s,
        write_s=time.monotonic() - ended,
        interrupted=end_s < scenario.duration_s,
        arrived_by="node" if heard.receipts is None else "hub",
        lag_s=late_s[~np.isnan(late_s)],
        stale_after_s=max((result.stale_after_s for result in results), default=0.0),
        files=sum(result.files for result in results),
        deadline_moves=int((heard.deadlines.at_s <= start.origin_s + end_s).sum()),
        events_lost=heard.events_lost,
        events_heard_s=min(max(heard.until_s - start.origin_s, 0.0), end_s),
        origin_s=start.origin_s,
        hub_down_s=faults.down_s,
    )


def _hub_of(
    scenario: Scenario, directory: RunDirectory, running: ExternalHub | None, files: Path
) -> tuple[Hub, HubFaults]:
    """The hub that is driven, and what is to happen to it; one that may be started again has a store that lasts.

    Unless the scenario says where files go, they go to `files`.
    """
    if running is None:
        store = directory.path / "hub.db" if scenario.hub_fault else None
        settings = scenario.hub_settings()
        if settings.files_dir is None and any(group.file_bytes for group in scenario.group):
            settings = settings.changed(files_dir=files)
        own = HubProcess(settings, directory, store)
        return own, HubFaults(scenario.hub_fault, own, store)
    if scenario.hub_fault:
        raise SimulatorError("hub_fault: a hub that runs already is not ours to harm; allowed with an own one")
    return running, HubFaults()


def _compile(scenario: Scenario) -> float:
    """Have the kernels compiled, or read from disk, once for all shards; return how long it took, s."""
    began = time.monotonic()
    advance(make_world([], scenario.seed, 0, 1), make_sent(0), make_actions(0), 0.0)
    return time.monotonic() - began


def _tasks(scenario: Scenario, workers: int | None, address: str, boot_base: int) -> list[Task]:
    shards = min(workers or os.cpu_count() or 1, scenario.nodes)
    return [Task(scenario, shard, shards, address, boot_base) for shard in range(shards)]


def _pass_time(
    shards: Shards,
    origin_s: float,
    duration_s: float,
    faults: HubFaults,
    interrupted: Callable[[], bool],
    progress: Callable[[float], None] | None,
) -> float:
    """Wait for the end of the run, which an interrupt brings forward; return when it was, s since time 0.

    Meanwhile happens to the hub what is to happen to it.
    """
    end_s, told_s = duration_s, 0.0
    while not shards.finished(min(LOOK_S, max(origin_s + faults.next_s - time.monotonic(), 0.0))):
        faults.act()
        faults.check()
        now = time.monotonic() - origin_s
        if interrupted() and end_s == duration_s:
            end_s = min(max(now, 0.0) + END_AHEAD_S, duration_s)
            shards.end(end_s)
        if now > end_s + OVERDUE_S:
            raise SimulatorError("the nodes did not come to an end; is the machine out of memory?")
        if progress is not None and told_s < now < duration_s:
            progress(now - told_s)
            told_s = now
    return end_s
