"""Engine `virtual`: the whole fleet in simulated time, block by block, as fast as the machine goes.

Nodes do not know of each other, so each is run from its start to the end of the scenario before the next begins, in
one compiled loop; a block of nodes fills one part of the trace. Blocks are cut by the scenario alone and every draw is
counted, so that any number of workers writes the same bytes. Workers are threads: the loops hold no interpreter lock.

There is no hub, only what its kernel does with connections and messages, and when its process reads them: a message
that comes while the hub is paused has arrived when it runs again.
"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.connection import CONNECTION, Connection
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.interrupts import raised
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import LINK_STATE, MAX_PARTITIONS, rewind
from heartbench.simulator.node import NODE, Events, Node, switch_off
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import HubFaultKind, Scenario
from heartbench.simulator.session import FILE_PIECE_BYTES, Rows, follow, make_rows, run
from heartbench.simulator.trace import Kind, Messages, NodesWriter, TraceWriter, Truth, TruthWriter
from heartbench.simulator.truth import hub_spans, truth_of, truth_of_hub

BLOCK_ROWS = 1_000_000  # about so many messages to a part of the trace
MOST_ROWS_A_NODE = 100_000_000  # a node is whole in memory: 4 GB


@dataclass(frozen=True, slots=True)
class VirtualResult:
    """What a virtual run did. `simulate_s` is the time in the compiled loops, summed over workers, divided by them."""

    nodes: int
    heartbeats: int
    messages: int
    compile_s: float
    simulate_s: float
    write_s: float
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes of one group, run one after the other; they fill one part of the trace."""

    index: int
    squad: Squad
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class _Done:
    block: Block
    truth: Truth
    nodes: int
    heartbeats: int
    messages: int
    simulate_s: float
    write_s: float


class _World:
    """Room for one node at a time, its connection and its link (twice: an old connection is followed on a copy)."""

    def __init__(self, squad: Squad) -> None:
        self.node = np.zeros(1, NODE).view(np.recarray)[0]
        self.node.behaviour = squad.behaviour[0]
        self.connection = np.zeros(1, CONNECTION).view(np.recarray)[0]
        self.connection.rules = self.node.behaviour.rules
        self.links = np.zeros(2, LINK_STATE).view(np.recarray)
        self.links["profile"] = squad.link[0]


def simulate(
    scenario: Scenario,
    directory: RunDirectory,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> VirtualResult:
    """Run a scenario and write trace, truth and names into `directory`.

    Args:
        scenario: what to run.
        directory: an empty run directory.
        workers: threads; None: one a core.
        progress: called with the number of nodes done since its last call.

    Ctrl-C ends it after the blocks under way; what is finished is written, whole nodes only.
    """
    began = time.perf_counter()
    with raised():
        _compile()
    compiled = time.perf_counter() - began
    todo = list(blocks(scenario))
    threads = min(workers or os.cpu_count() or 1, len(todo))
    trace, stop = TraceWriter(directory.trace), threading.Event()
    done: list[_Done] = []
    interrupted = False
    with TruthWriter(directory.truth) as truth, ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(_run_block, scenario, block, trace, stop) for block in todo]
        if scenario.hub_fault:  # an empty table has bytes too
            truth.write(truth_of_hub(hub_spans(scenario)))
        try:
            with _stopping(stop):
                for block in waiting:
                    _take(block, truth, done, progress)
        except KeyboardInterrupt:
            interrupted = True
            for block in waiting[len(done) :]:
                _take(block, truth, done, None)
    _write_nodes(directory, [each.block for each in done])
    return VirtualResult(
        nodes=sum(block.nodes for block in done),
        heartbeats=sum(block.heartbeats for block in done),
        messages=sum(block.messages for block in done),
        compile_s=compiled,
        simulate_s=sum(block.simulate_s for block in done) / threads,
        write_s=sum(block.write_s for block in done) / threads,
        interrupted=interrupted,
    )


def _write_nodes(directory: RunDirectory, ran: list[Block]) -> None:
    with NodesWriter(directory.nodes) as writer:
        for block in ran:
            writer.write(block.squad.name, block.squad.names(block.first, block.count))


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Let no other block begin where something goes wrong."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


def _take(
    future: "Future[_Done | None]", truth: TruthWriter, done: list[_Done], progress: Callable[[int], None] | None
) -> None:
    block = future.result()
    if block is None:
        return
    truth.write(block.truth)
    done.append(block)
    if progress is not None:
        progress(block.nodes)


def blocks(scenario: Scenario, fleet: Iterable[Squad] | None = None) -> Iterator[Block]:
    """Cut a scenario's nodes, or a `fleet` that was made of them, into blocks.

    Raises:
        SimulatorError: a node would send more than memory holds.
    """
    index = 0
    for squad in squads(scenario) if fleet is None else fleet:
        rows = _rows_a_node(squad, scenario.duration_s)
        if rows > MOST_ROWS_A_NODE:
            raise SimulatorError(
                f"group {squad.name}: about {rows:,} messages a node; at most {MOST_ROWS_A_NODE:,} are allowed:"
                " make duration shorter, or heartbeat_interval longer"
            )
        size = max(1, BLOCK_ROWS // rows)
        for first in range(squad.first, squad.first + squad.count, size):
            yield Block(index, squad, first, min(size, squad.first + squad.count - first))
            index += 1


def _rows_a_node(squad: Squad, duration_s: float) -> int:
    """Estimate, rather high, how many messages a node sends."""
    b = squad.behaviour.view(np.recarray)[0]
    heartbeats = duration_s / (b.heartbeat_interval_s * (1.0 - b.heartbeat_jitter / 2.0))
    chunks = duration_s / b.chunk_interval_s if b.chunk_interval_s > 0.0 else 0.0
    pieces = duration_s / b.file_interval_s * ceil(b.file_bytes / FILE_PIECE_BYTES) if b.file_bytes else 0.0
    messages: float = 1.02 * (heartbeats + chunks + pieces)
    return ceil(messages) + 300


def _run_block(scenario: Scenario, block: Block, trace: TraceWriter, stop: threading.Event) -> _Done | None:
    if stop.is_set():
        return None
    with _stopping(stop):
        began = time.perf_counter()
        messages, closes = run_nodes(scenario, block)
        simulated = time.perf_counter()
        trace.write_part(block.index, messages)
        numbers = range(block.first, block.first + block.count)
        return _Done(
            block=block,
            truth=truth_of(block.squad, scenario.seed, numbers, closes, scenario.duration_s),
            nodes=block.count,
            heartbeats=int((messages.kind == Kind.HEARTBEAT).sum()),
            messages=len(messages),
            simulate_s=simulated - began,
            write_s=time.perf_counter() - simulated,
        )


def run_nodes(scenario: Scenario, block: Block) -> tuple[Messages, NDArray[np.float64]]:
    """Run the nodes of a block from their start to the end of the scenario.

    Returns what they sent, and for each stream that ended (node, when the node saw it, when the hub saw it), in s.
    """
    squad, capacity = block.squad, _rows_a_node(block.squad, scenario.duration_s) * block.count
    while True:
        rows, nodes, closes = make_rows(capacity), np.empty(capacity, np.int32), np.empty((capacity // 8 + 64, 3))
        world = _World(squad)
        finished, ended = _simulate_block(
            world.node,
            world.connection,
            world.links,
            *_partitions(squad, block),
            Events(squad.at_s, squad.what),
            squad.begin[block.first - squad.first :][: block.count + 1],
            scenario.seed,
            block.first,
            scenario.duration_s,
            rows,
            nodes,
            closes,
        )
        if finished == block.count:
            _read_after_pauses(rows, scenario)
            return _messages(rows, nodes), closes[:ended]
        capacity *= 2  # more reconnects than was guessed


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
) -> tuple[int, int]:
    """Run node after node. Return how many were finished, fewer than asked where there is no more room, and the closes.

    `closes` gets (node, when the node saw it, when the hub saw it) for each stream that ended.
    """
    link = links[0]
    ended = 0
    for i in range(len(begin) - 1):
        link.partition_count = partition_counts[i]
        for j in range(partition_counts[i]):
            link.partitions[j, 0] = partitions[i, j, 0]
            link.partitions[j, 1] = partitions[i, j, 1]
        rewind(link, seed, first + i)
        switch_off(node, seed, first + i)
        mine = Events(events.at_s[begin[i] : begin[i + 1]], events.what[begin[i] : begin[i + 1]])
        begun = rows.used[0]
        while run(node, connection, link, mine, rows, duration) < duration:
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


def _compile() -> None:
    """Have the loop compiled, or read from disk, before anything is timed: no node, no time."""
    node, connection = np.zeros(1, NODE).view(np.recarray)[0], np.zeros(1, CONNECTION).view(np.recarray)[0]
    links, rows = np.zeros(2, LINK_STATE).view(np.recarray), make_rows(0)
    none, nothing = np.zeros(0), np.zeros(0, np.int64)
    cuts, closes, begin = np.zeros((0, MAX_PARTITIONS, 2)), np.zeros((0, 3)), np.zeros(1, np.int64)
    events = Events(none, nothing)
    _simulate_block(node, connection, links, cuts, nothing, events, begin, 0, 0, 0.0, rows, rows.boot, closes)
    gc.collect()  # after compiling a quarter of a second, which a worker would lose in the middle of a block


def _partitions(squad: Squad, block: Block) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what cuts the nodes of a block off: (nodes, MAX_PARTITIONS, from and to in s), and how many each has."""
    spans, counts = np.zeros((block.count, MAX_PARTITIONS, 2)), np.zeros(block.count, np.int64)
    for i in range(block.count if squad.partitions else 0):
        own = squad.partitions_of(block.first + i)
        spans[i, : len(own)], counts[i] = np.reshape(own, (-1, 2)), len(own)
    return spans, counts


def _read_after_pauses(rows: Rows, scenario: Scenario) -> None:
    """Let what came while the hub was paused arrive when it reads again, or not at all if the run has ended by then."""
    arrived_s = rows.arrived_s[: rows.used[0]]
    for fault in scenario.hub_fault:
        if fault.kind is HubFaultKind.PAUSE:
            until = fault.at_s + fault.duration_s
            waits = (fault.at_s <= arrived_s) & (arrived_s < until)
            arrived_s[waits] = until if until <= scenario.duration_s else np.nan


def _messages(rows: Rows, nodes: NDArray[np.int32]) -> Messages:
    used = slice(int(rows.used[0]))
    return Messages(
        node=nodes[used],
        boot=rows.boot[used],
        connection=rows.connection[used],
        seq=rows.seq[used],
        kind=rows.kind[used],
        sent_s=rows.sent_s[used],
        arrived_s=rows.arrived_s[used],
    )
