"""Engine `live`: a real hub, real gRPC nodes in one process per core, and the model's network between them.

Time 0 is agreed when hub and shards are ready. The model runs on its own schedule: what the simulator does late is its
own lag (`lag_s`), never fed back and never counted as the hub's. At the end the nodes fall silent first, then a managed
hub is stopped; at an external hub the nodes say Goodbye once the engine has stopped listening. What the hub reports
after the end of the run, because of that, is not part of the run.
"""

import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.hub import HubSettings
from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.contract import UNCONTROLLED, Conditions, Control, LiveSummary, RunSummary, Sink
from heartbench.simulator.engines.live import record
from heartbench.simulator.engines.live.faults import HubFaults
from heartbench.simulator.engines.live.hub import ExternalHub, Hub, HubProcess, HubRecord
from heartbench.simulator.engines.live.shard import Result, Start, Task
from heartbench.simulator.engines.live.shards import Shards
from heartbench.simulator.engines.live.world import Model, make_world
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import check_runs_alone
from heartbench.simulator.interrupts import raised
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario

HEAD_START_S = 0.25  # from the agreement on time 0 to time 0
END_AHEAD_S = 0.1  # an early end is agreed on so long before
LOOK_S = 0.2
OVERDUE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Ran:
    """What is left of a run when its processes have ended: times in s, the end since time 0."""

    compile_s: float
    start: Start
    end_s: float
    results: list[Result]
    hub_record: HubRecord


@dataclass(frozen=True, slots=True)
class LiveEngine:
    """Runs a scenario in real time.

    Attributes:
        directory: where the hub's log, its observer file and its store go.
        workers: number of processes for the nodes; None: one per core.
        hub: an external hub; None: a hub with the scenario's settings is started and stopped.
    """

    directory: RunDirectory
    workers: int | None = None
    hub: ExternalHub | None = None

    def run(self, scenario: Scenario, sink: Sink[Any], control: Control = UNCONTROLLED) -> RunSummary:
        """Run a scenario, and hand its blocks to `sink` when it has ended.

        Raises:
            SimulatorError: only the virtual engine can run the scenario, the hub does not start, or ends by itself.
            KeyboardInterrupt: a signal came before time 0.
        """
        check_runs_alone(scenario)
        with ExitStack() as stack:
            with raised():
                files = self.directory.path / "files"
                stack.callback(shutil.rmtree, files, ignore_errors=True)
                driven, faults = self._hub_for(scenario, files)
                stack.callback(driven.stop)
                stack.callback(faults.close)
                compile_s = _compile(scenario)
                driven.wait_until_ready()
                workers = min(self.workers or os.cpu_count() or 1, scenario.nodes)
                tasks = [Task(scenario, shard, workers, driven.address, driven.credentials) for shard in range(workers)]
                shards = stack.enter_context(Shards(tasks))
                shards.wait_until_ready(driven.check)
            boot_base = int(time.time() * 1000) << 16
            start = Start(time.monotonic() + HEAD_START_S, time.time() + HEAD_START_S, boot_base)
            shards.start(start)
            faults.begin(start.origin_s)
            end_s = _pass_time(shards, start.origin_s, scenario, faults, control)
            faults.close()
            driven.stop()
            if self.hub is not None:
                shards.leave()
            results = shards.results()
        ran = _Ran(compile_s, start, end_s, results, driven.record())
        return self._hand_over(scenario, sink, ran, faults)

    def _hub_for(self, scenario: Scenario, files: Path) -> tuple[Hub, HubFaults]:
        """Return the hub that is driven, and its faults; a hub that may be restarted has a store on disk.

        Unless the scenario says where files go, they go to `files`.
        """
        if self.hub is None:
            store = self.directory.path / "hub.db" if scenario.hub_fault else None
            settings = scenario.hub_settings()
            if settings.files_dir is None and any(group.file_bytes for group in scenario.group):
                settings = settings.changed(files_dir=files)
            managed = HubProcess(settings, self.directory, store)
            return managed, HubFaults(scenario.hub_fault, managed, store)
        if scenario.hub_fault:
            raise SimulatorError(
                "hub_fault: an external hub is left as it is; hub faults need a hub that the run starts"
            )
        return self.hub, HubFaults()

    def _hand_over(self, scenario: Scenario, sink: Sink[Any], ran: _Ran, faults: HubFaults) -> RunSummary:
        """Hand what the shards sent and the hub recorded to the sink, and sum it up."""
        began = time.monotonic()
        hub_record, origin_s, end_s = ran.hub_record, ran.start.origin_s, ran.end_s
        until_s = origin_s + end_s
        deadline_moves = [(each.deadlines.at_s <= until_s).sum() for each in hub_record.observed]
        names = record.numbers_by_name(scenario)
        rows = record.rows_of(ran.results, origin_s)
        arrived_s = record.arrivals(rows, hub_record, names, ran.start, end_s)
        hub = self._judged_by(scenario, ran.results)
        started_s = [observed.header.monotonic_s - origin_s for observed in hub_record.observed]
        sink.begin(Conditions(end_s, hub, record.hub_truth(faults.happened, started_s)))
        extract = sink.extract
        closes = np.concatenate([np.zeros((0, 3)), *(result.closes for result in ran.results)])
        notes = np.concatenate([np.zeros((0, 3)), *(result.notes for result in ran.results)])
        for block in record.blocks_of(scenario, rows, arrived_s, closes, notes, end_s):
            sink.add(extract(block))
        sink.add_transitions(record.transitions_of(hub_record.changes, names, origin_s, end_s))
        late_s = (rows.begun_s - rows.due_s).to_numpy()
        return RunSummary(
            nodes=scenario.nodes,
            duration_s=end_s,
            heartbeats=int((rows.kind == Kind.HEARTBEAT).sum()),
            messages=len(rows),
            compile_s=ran.compile_s,
            simulate_s=end_s,
            write_s=time.monotonic() - began,
            interrupted=end_s < scenario.duration_s,
            hub=hub,
            live=LiveSummary(
                arrived_by="hub" if hub_record.observed else "node",
                lag_s=late_s[~np.isnan(late_s)],
                files=sum(result.log.files for result in ran.results),
                deadline_moves=int(sum(deadline_moves)),
                observed=next(iter(hub_record.observed), None),
                events_lost=hub_record.events_lost,
                events_heard_s=min(max(hub_record.until_s - origin_s, 0.0), end_s),
                origin_s=origin_s,
                hub_down_s=faults.down_s,
            ),
        )

    def _judged_by(self, scenario: Scenario, results: list[Result]) -> HubSettings:
        """Return the hub's settings; an external hub announces only its threshold."""
        settings = scenario.hub_settings()
        announced_s = max((result.log.stale_after_s for result in results), default=0.0)
        if self.hub is None or not announced_s:
            return settings
        return settings.for_stale_after(announced_s, settings)


def _compile(scenario: Scenario) -> float:
    """Compile the kernels, or read them from disk, once for all shards; return how long it took, s."""
    began = time.monotonic()
    Model(make_world([], scenario.seed, 0, 1), 0, 0).advance(0.0)
    return time.monotonic() - began


def _pass_time(shards: Shards, origin_s: float, scenario: Scenario, faults: HubFaults, control: Control) -> float:
    """Wait for the end of the run, which an interrupt brings forward, and carry out the hub's faults meanwhile.

    Returns when the run ended, s since time 0.
    """
    duration_s = scenario.duration_s
    end_s, shown_s = duration_s, 0.0
    while not shards.finished(min(LOOK_S, max(origin_s + faults.next_s - time.monotonic(), 0.0))):
        faults.act()
        faults.check()
        now = time.monotonic() - origin_s
        if control.interrupted() and end_s == duration_s:
            end_s = min(max(now, 0.0) + END_AHEAD_S, duration_s)
            shards.end(end_s)
        if now > end_s + OVERDUE_S:
            raise SimulatorError("the nodes did not come to an end; is the machine out of memory?")
        if shown_s < now < duration_s:
            control.advance(scenario.nodes * (now - shown_s) / duration_s)
            shown_s = now
    return end_s
