"""Engine `virtual`: the whole fleet in simulated time, block by block, as fast as the machine goes.

Nodes do not know of each other, so each is run from its start to the end of the scenario before the next begins, in
one compiled loop; those that share a queue are run in turns (`turns`). Blocks are cut by the scenario alone and every
draw is counted, so that any number of workers makes the same blocks. Workers are threads, because the loops hold no
interpreter lock, or those of any other executor.

There is no hub, only what its kernel does with connections and messages, and when its process reads them: a message
that comes while the hub is paused has arrived when it runs again.
"""

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from operator import add
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator.connection import Connection
from heartbench.simulator.cuts import COLUMNS
from heartbench.simulator.engines.contract import UNCONTROLLED, Block, Conditions, Control, RunSummary, Sink
from heartbench.simulator.engines.turns import Record, by_node, crew_size, run_in_turns
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fault import HubFaultKind
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.interrupts import raised
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import LINK_STATE, MAX_PARTITIONS, partition, rewind
from heartbench.simulator.node import Events, Node, switch_off
from heartbench.simulator.record import new
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.session import FILE_PIECE_BYTES, Rows, follow, make_rows, run
from heartbench.simulator.trace import Messages
from heartbench.simulator.truth import hub_spans, truth_of, truth_of_hub
from heartbench.simulator.tunnel_state import NOTES, collect_notes

BLOCK_ROWS = 1_000_000  # messages of a block, about
MOST_ROWS_A_NODE = 100_000_000  # a node is whole in memory: 4 GB
AHEAD = 1  # blocks that wait for a worker, so that none waits for a block

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The nodes of a block, to be run one after the other: small, and picklable for a worker elsewhere."""

    index: int
    scenario: Scenario
    squad: Squad


class Counts(NamedTuple):
    """What blocks of nodes did, and how long their workers took."""

    nodes: int = 0
    heartbeats: int = 0
    messages: int = 0
    simulate_s: float = 0.0
    extract_s: float = 0.0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sum of both."""
        return Counts(*map(add, self, other))


@dataclass(frozen=True, slots=True)
class VirtualEngine:
    """Runs a scenario in simulated time.

    Attributes:
        workers: number of blocks that run at once; None: one per core.
        executor: runs `run_block` for each block; None: threads of its own. Set `workers` to what it has: the times of
            the summary are divided by it.
        fleet: squads to run; None: those of the scenario.
    """

    workers: int | None = None
    executor: Executor | None = None
    fleet: Iterable[Squad] | None = None

    def run(self, scenario: Scenario, sink: Sink[Any], control: Control = UNCONTROLLED) -> RunSummary:
        """Run a scenario and hand its blocks to `sink`; once it is interrupted, no other block begins.

        Raises:
            SimulatorError: a node would send more than memory holds.
            KeyboardInterrupt: a signal came while the loops were compiled.
        """
        plans = list(blocks(scenario, self.fleet))
        began = time.perf_counter()
        with raised():
            _compile(plans[0])
        compile_s = time.perf_counter() - began
        workers = min(self.workers or os.cpu_count() or 1, len(plans))
        hub = scenario.hub_settings()
        hub_truth = truth_of_hub(hub_spans(scenario)) if scenario.hub_fault else None
        sink.begin(Conditions(scenario.duration_s, hub, hub_truth))
        done = self._run_all(plans, workers, sink, control)
        return RunSummary(
            nodes=done.nodes,
            duration_s=scenario.duration_s,
            heartbeats=done.heartbeats,
            messages=done.messages,
            compile_s=compile_s,
            simulate_s=done.simulate_s / workers,
            write_s=done.extract_s / workers,
            interrupted=done.nodes < sum(plan.squad.count for plan in plans),
            hub=hub,
        )

    def _run_all(self, plans: Sequence[BlockPlan], workers: int, sink: Sink[Any], control: Control) -> Counts:
        """Run the plans, as many at once as there are workers, and take what comes of them in order."""
        extract, total = sink.extract, Counts()
        with ExitStack() as stack:
            executor = self.executor or stack.enter_context(ThreadPoolExecutor(workers))
            running: deque[Future[tuple[Any, Counts]]] = deque()
            stack.callback(_cancel, running)  # of a run that fails no other block begins
            rest = iter(plans)
            while True:
                running.extend(
                    executor.submit(run_block, plan, extract) for plan in islice(rest, workers + AHEAD - len(running))
                )
                if control.interrupted():
                    rest = iter(())
                    _cancel(running)
                if not running:
                    return total
                kept, counts = running.popleft().result()
                sink.add(kept)
                total = total.plus(counts)
                control.advance(counts.nodes)


def _cancel(running: "deque[Future[Any]]") -> None:
    """Take away the blocks that have not begun."""
    while running and running[-1].cancel():
        running.pop()


def run_block(plan: BlockPlan, extract: Callable[[Block], Kept]) -> tuple[Kept, Counts]:
    """Run the nodes of a block, and return what `extract` keeps of it; called in any thread or process."""
    began = time.perf_counter()
    messages, closes, notes = run_nodes(plan)
    simulated = time.perf_counter()
    squad, scenario = plan.squad, plan.scenario
    nodes = range(squad.first, squad.first + squad.count)
    truth = truth_of(squad, scenario.seed, nodes, closes, scenario.duration_s, notes)
    kept = extract(Block(plan.index, squad.name, squad.first, squad.count, messages, truth))
    heartbeats = int((messages.kind == Kind.HEARTBEAT).sum())
    took_s = simulated - began, time.perf_counter() - simulated
    return kept, Counts(squad.count, heartbeats, len(messages), *took_s)


def blocks(scenario: Scenario, fleet: Iterable[Squad] | None = None) -> Iterator[BlockPlan]:
    """Cut a scenario's nodes, or a `fleet` that was made of them, into blocks.

    Raises:
        SimulatorError: a node would send more than memory holds.
    """
    index = 0
    for squad in squads(scenario) if fleet is None else fleet:
        rows = rows_a_node(squad, scenario.duration_s)
        if rows > MOST_ROWS_A_NODE:
            raise SimulatorError(
                f"group {squad.name}: about {rows:,} messages a node; at most {MOST_ROWS_A_NODE:,} are allowed:"
                " make duration shorter, or heartbeat_interval longer"
            )
        crew = max(1, crew_size(squad))
        size = max(1, BLOCK_ROWS // rows // crew) * crew
        for begin in range(0, squad.count, size):
            yield BlockPlan(index, scenario, _part_of(squad, begin, min(begin + size, squad.count)))
            index += 1


def _part_of(squad: Squad, begin: int, end: int) -> Squad:
    """Return the nodes of a squad from place `begin` to `end`."""
    events = slice(squad.begin[begin], squad.begin[end])
    return replace(
        squad,
        first=squad.first + begin,
        count=end - begin,
        begin=squad.begin[begin : end + 1] - squad.begin[begin],
        at_s=squad.at_s[events],
        what=squad.what[events],
        partitions=tuple(replace(cut, hit=cut.hit[begin:end]) for cut in squad.partitions),
    )


def rows_a_node(squad: Squad, duration_s: float) -> int:
    """Return an upper estimate of how many messages a node sends."""
    b = squad.behaviour.view(np.recarray)[0]
    heartbeats = duration_s / (b.heartbeat_interval_s * (1.0 - b.heartbeat_jitter / 2.0))
    chunks = duration_s / b.chunk_interval_s if b.chunk_interval_s > 0.0 else 0.0
    pieces = duration_s / b.file_interval_s * ceil(b.file_bytes / FILE_PIECE_BYTES) if b.file_bytes else 0.0
    messages: float = 1.02 * (heartbeats + chunks + pieces)
    return ceil(messages) + 300


def run_nodes(plan: BlockPlan) -> tuple[Messages, NDArray[np.float64], NDArray[np.float64]]:
    """Run the nodes of a block from their start to the end of the scenario.

    Returns what they sent, for each stream that ended (node, when the node saw it, when the hub saw it), and for each
    event of a tunnel (node, what, when), in s.
    """
    squad, scenario = plan.squad, plan.scenario
    node, connection = new(Node), new(Connection)
    node.behaviour, connection.rules = squad.behaviour[0], squad.behaviour[0]["rules"]
    links: Any = np.zeros(2, LINK_STATE).view(np.recarray)  # an old connection is followed on a copy
    links.profile = squad.link[0]
    capacity = rows_a_node(squad, scenario.duration_s) * squad.count
    while True:
        rows, nodes, closes = make_rows(capacity), np.empty(capacity, np.int32), np.empty((capacity // 8 + 64, 3))
        notes, noted = np.empty((capacity // 8 + NOTES, 3)), np.zeros(1, np.int64)
        events, cuts = Events(squad.at_s, squad.what), _partitions(squad)
        if crew_size(squad):
            record = Record(rows, nodes, closes, notes, noted)
            finished, ended = run_in_turns(squad, events, cuts, scenario, record)
        else:
            finished, ended = _simulate_block(
                node,
                connection,
                links,
                *cuts,
                events,
                squad.begin,
                scenario.seed,
                squad.first,
                scenario.duration_s,
                rows,
                nodes,
                closes,
                notes,
                noted,
            )
        if finished == squad.count:
            _read_after_pauses(rows, scenario)
            used = int(rows.used[0])
            columns: Any = rows[1:]  # in the order of `Messages`
            messages = Messages(nodes[:used], *(column[:used] for column in columns))
            ordered = by_node(messages) if crew_size(squad) else messages
            return ordered, closes[:ended], notes[: noted[0]]
        capacity *= 2  # more reconnects than estimated


@kernel
def _simulate_block(
    node: Node,
    connection: Connection,
    links: NDArray[np.void],
    partitions: NDArray[np.float64],
    partition_counts: NDArray[np.int64],
    events: Events,
    begin: NDArray[np.int64],
    seed: int,
    first: int,
    duration: float,
    rows: Rows,
    nodes: NDArray[np.int32],
    closes: NDArray[np.float64],
    notes: NDArray[np.float64],
    noted: NDArray[np.int64],
) -> tuple[int, int]:
    """Run node after node; return how many were finished (fewer than asked if the room ends), and the closes.

    `closes` gets (node, when the node saw it, when the hub saw it) for each stream, `notes` noted[0] of `truth_of`'s.
    """
    link, ended = links[0], 0
    for i in range(len(begin) - 1):
        partition(link, partitions[i, : partition_counts[i]])
        rewind(link, seed, first + i)
        switch_off(node, seed, first + i)
        mine = Events(events.at_s[begin[i] : begin[i + 1]], events.what[begin[i] : begin[i + 1]])
        begun = rows.used[0]
        while True:
            reached = run(node, connection, link, mine, rows, duration)
            if len(notes) - noted[0] < NOTES:
                return i, ended
            had_notes = link.tunnel.noted > 0
            noted[0] = collect_notes(link.tunnel, first + i, notes, noted[0])
            if reached >= duration:
                break
            if had_notes and not node.ended:
                continue  # it stopped for them
            if not node.ended or ended == len(closes):
                return i, ended
            links[1] = links[0]
            follow(connection, links[1], rows, duration)
            closes[ended, 0] = first + i
            closes[ended, 1] = connection.node_closed_s
            closes[ended, 2] = connection.hub_closed_s
            ended += 1
        for row in range(begun, rows.used[0]):  # assigning to a slice takes Numba seconds to compile
            nodes[row] = first + i
    return len(begin) - 1, ended


def _compile(plan: BlockPlan) -> None:
    """Compile the loop, or read it from disk, by running no node, so that this is not timed as simulation."""
    run_nodes(replace(plan, squad=_part_of(plan.squad, 0, 0)))
    gc.collect()  # after compiling a quarter of a second, which a worker would lose in the middle of a block


def _partitions(squad: Squad) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what cuts each node off: (nodes, MAX_PARTITIONS, columns of a cut), and how many cuts each has."""
    spans, counts = np.zeros((squad.count, MAX_PARTITIONS, COLUMNS)), np.zeros(squad.count, np.int64)
    for i in range(squad.count if squad.partitions else 0):
        cuts = squad.partitions_of(squad.first + i)
        spans[i, : len(cuts)], counts[i] = cuts, len(cuts)
    return spans, counts


def _read_after_pauses(rows: Rows, scenario: Scenario) -> None:
    """Move arrivals during a pause of the hub to its end, or to never if the run has ended by then."""
    arrived_s = rows.arrived_s[: rows.used[0]]
    for fault in scenario.hub_fault:
        if fault.kind is HubFaultKind.PAUSE:
            until = fault.at_s + fault.duration_s
            waits = (fault.at_s <= arrived_s) & (arrived_s < until)
            arrived_s[waits] = until if until <= scenario.duration_s else np.nan
