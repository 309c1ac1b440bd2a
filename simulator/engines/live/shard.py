"""A process in which some of the nodes live: one scheduler, and the wires of its nodes.

    engine    Task ─▶         Start ─▶  [End ─▶]            [LEAVE ─▶          ]  closes the pipe
    shard            ◀─ READY                     ◀─ Result [         ◀─ LEAVE ]                   gone

What is in brackets need not be. With a shard its connections are gone, so nothing outlives the engine, however that
ends; at LEAVE the nodes say Goodbye first, which a hub that runs on is told.

The scheduler wakes when the model has something due, advances all nodes to the present time, and hands to the wires
what has to happen for real. It is woken by time alone: no node has a timer of its own.
"""

import asyncio
import gc
import os
import signal
import sys
import time
import traceback
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import isnan, nan
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.v1.mesh_pb2 import Chunk, Heartbeat, Hello, NodeMessage
from heartbench.simulator.connection import CHUNK, HEARTBEAT
from heartbench.simulator.engines.live.files import pieces_of
from heartbench.simulator.engines.live.grpc_connection import Log, Wire
from heartbench.simulator.engines.live.world import CLOSED, OPENED, advance, grow, make_actions, make_sent, make_world
from heartbench.simulator.fleet import node_name, squads
from heartbench.simulator.scenario import Group, Scenario
from heartbench.simulator.session import Rows

LONGEST_NAP_S = 0.05  # what the hub or the engine does is noticed within it
FLUSH_S = 0.5  # for what is still to be written at the end
CONNECTING_AT_ONCE = 50
FIRST_ROWS = 1 << 14
FIRST_TOLD = 1 << 13
LEAVE_WITHIN_S = 2.0  # that nodes get to say Goodbye
READY = "ready"
LEAVE = "leave"  # said to a shard that has handed over what it did, and by it when its nodes have left


@dataclass(frozen=True)
class Task:
    """What a shard is to do. `boot_base` is added to the model's boots, so that a hub that knows the nodes goes on."""

    scenario: Scenario
    shard: int
    shards: int
    address: str
    boot_base: int


@dataclass(frozen=True)
class Start:
    """Time 0 of the run, on the monotonic clock that all processes share and on the wall clock, s."""

    origin_s: float
    unix_s: float


@dataclass(frozen=True)
class End:
    """The run ends at this time of its own, s."""

    at_s: float


@dataclass(frozen=True)
class Result:
    """What a shard did: its rows in the order of sending, and which node each is of.

    `begun_s` is when a row was really given to gRPC, `written_s` when gRPC had written it, s on the monotonic clock
    (NaN: it was not). `closes` are as for `truth_of`. `stale_after_s` is what the hub told a node (0: nothing), `files`
    how many it has whole and verified.
    """

    node: NDArray[np.int64]
    rows: Rows
    begun_s: NDArray[np.float64]
    written_s: NDArray[np.float64]
    closes: NDArray[np.float64]
    stale_after_s: float
    files: int


def group_of_each(scenario: Scenario) -> list[Group]:
    """Return the group of each node, by number."""
    return [group for group in scenario.group for _ in range(group.nodes)]


class Shard:
    """Lives through one task."""

    def __init__(self, task: Task, pipe: Connection) -> None:
        self._task = task
        self._pipe = pipe
        self._world = make_world(squads(task.scenario), task.scenario.seed, task.shard, task.shards)
        self._sent = make_sent(FIRST_ROWS)
        self._told = make_actions(FIRST_TOLD)
        groups = group_of_each(task.scenario)
        self._group = [groups[number] for number in self._world.number]
        self._name = [node_name(groups[number].name, number) for number in self._world.number]
        self._output = {group.name: bytes(group.chunk_bytes) for group in task.scenario.group}
        self._files = {group.name: pieces_of(group.name, group.file_bytes) for group in task.scenario.group}
        self._file_begins: dict[tuple[int, float], int] = {}  # node and time of writing -> row of the first piece
        self._wires: dict[int, Wire] = {}
        self._log = Log()
        self._started: asyncio.Future[Start] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()
        self._start = Start(0.0, 0.0)
        self._now_s = 0.0
        self._end_s = task.scenario.duration_s
        advance(self._world, self._sent, self._told, -1.0)  # compiled before time matters

    async def live(self) -> None:
        """Connect, run from start to end, hand over what was done, leave if told to, and wait for the pipe to close."""
        async with asyncio.TaskGroup() as self._tasks:
            asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)
            await self._connect_all()
            gc.collect()
            gc.freeze()
            self._pipe.send(READY)
            self._start = await self._started
            await self._run()
            await self._flush()
            self._pipe.send(self._result())
            await self._leaving.wait()
            await self._leave()
            self._pipe.send(LEAVE)
            await asyncio.Event().wait()  # the pipe closes

    async def _connect_all(self) -> None:
        """Make the first connection of each node before time 0, when nobody minds that it takes a while."""
        for begin in range(0, len(self._name), CONNECTING_AT_ONCE):
            wires = [self._open(i, i) for i in range(begin, min(begin + CONNECTING_AT_ONCE, len(self._name)))]
            await asyncio.gather(*(wire.ready() for wire in wires))

    async def _run(self) -> None:
        while self._now_s < self._end_s:
            self._now_s = max(self._now_s, min(time.monotonic() - self._start.origin_s, self._end_s))
            soonest = min(self._advance(self._now_s), self._end_s)
            self._carry_out()
            wait_s = soonest - (time.monotonic() - self._start.origin_s)
            await asyncio.sleep(min(max(wait_s, 0.0), LONGEST_NAP_S))

    def _advance(self, now: float) -> float:
        """Advance the model to `now`; return when something is due next."""
        while isnan(soonest := advance(self._world, self._sent, self._told, now)):
            self._world, self._sent, self._told = grow(self._world, self._sent, self._told)
        return soonest

    def _carry_out(self) -> None:
        """Do for real what the model says."""
        told = self._told
        count = int(told.used[0])
        columns = (column[:count].tolist() for column in told[1:])
        for what, number, node, row in zip(*columns, strict=True):
            if what == OPENED:
                if number not in self._wires:
                    self._open(number, node)
            elif wire := self._wires.get(number):
                if what == CLOSED:
                    wire.close()
                    del self._wires[number]
                else:
                    self._say(wire, node, row)
        told.used[0] = 0

    def _open(self, number: int, node: int) -> Wire:
        wire = Wire(node, self._name[node], self._task.address, self._log, self._lost(number))
        self._wires[number] = wire
        self._tasks.create_task(wire.live())
        return wire

    def _lost(self, number: int) -> Callable[[Wire, float, bool], None]:
        def lost(wire: Wire, away_s: float, refused: bool) -> None:
            self._wires.pop(number, None)
            if self._world.ties.wire[wire.node] == number:  # else the node has left that connection already
                self._world.cut[wire.node] = True
                self._world.nodes.is_refused[wire.node] = refused
                self._world.away_s[wire.node] = away_s
                self._world.next_s[wire.node] = min(self._world.next_s[wire.node], self._now_s)

        return lost

    def _say(self, wire: Wire, node: int, row: int) -> None:
        rows, group = self._sent.rows, self._group[node]
        kind, seq = int(rows.kind[row]), int(rows.seq[row])
        boot = self._task.boot_base + int(rows.boot[row])
        sent_unix_s = self._start.unix_s + float(rows.sent_s[row])
        if kind == CHUNK and seq == 0:
            piece = self._files[group.name][self._piece(node, row)]
            wire.put_out(row, Chunk(boot_id=boot, sent_unix_s=sent_unix_s, file=piece))
        elif kind == CHUNK:
            data = self._output[group.name]
            wire.put_out(row, Chunk(boot_id=boot, seq=seq, sent_unix_s=sent_unix_s, data=data))
        elif kind == HEARTBEAT:
            heartbeat = Heartbeat(seq=seq, sent_unix_s=sent_unix_s, ack=group.heartbeat_ack)
            wire.say(row, NodeMessage(heartbeat=heartbeat))
        else:
            hello = Hello(
                node_id=self._name[node],
                boot_id=boot,
                connection=int(rows.connection[row]),
                heartbeat_interval_s=group.heartbeat_interval_s,
                sent_unix_s=sent_unix_s,
                labels={"group": group.name},
            )
            wire.say(row, NodeMessage(hello=hello))

    def _piece(self, node: int, row: int) -> int:
        """Which piece of its file a row is: they stand in a row, and the first comes first."""
        written = (node, float(self._sent.rows.sent_s[row]))
        return row - self._file_begins.setdefault(written, row)

    def _hear(self) -> None:
        """The engine says something, or is gone."""
        try:
            said = self._pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        if isinstance(said, Start):
            self._started.set_result(said)
        elif said == LEAVE:
            self._leaving.set()
        else:
            self._end_s = said.at_s

    async def _flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await asyncio.gather(*(wire.flushed() for wire in self._wires.values()))

    async def _leave(self) -> None:
        """Have the nodes say Goodbye on the streams that they have."""
        wires = list(self._wires.values())
        for wire in wires:
            wire.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN_S):
                await asyncio.gather(*(wire.gone() for wire in wires))

    def _result(self) -> Result:
        sent: Any = self._sent.rows
        used = int(sent.used[0])
        rows = Rows(sent.used, *(column[:used] for column in sent[1:]))
        return Result(
            node=self._world.number[self._sent.node[:used]],
            rows=rows,
            begun_s=self._by_row(self._log.begun_s, used),
            written_s=self._by_row(self._log.written_s, used),
            closes=self._world.closes[: self._world.counts[1]],
            stale_after_s=self._log.stale_after_s,
            files=self._log.files,
        )

    def _by_row(self, logged: "array[float]", used: int) -> NDArray[np.float64]:
        column = np.full(used, nan)
        column[np.frombuffer(self._log.row, np.int64)] = np.frombuffer(logged)
        return column


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine decides when it ends
    pipe = Connection(int(sys.argv[1]))
    try:
        asyncio.run(_live(pipe.recv(), pipe))
    except EOFError:
        return  # the engine is gone
    except BaseException:
        pipe.send(traceback.format_exc())
        raise


async def _live(task: Task, pipe: Connection) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: _fail(pipe, context.get("exception")))
    await Shard(task, pipe).live()


def _fail(pipe: Connection, error: BaseException | None) -> None:
    """Say what went wrong where nobody awaits it, and end: a shard that goes on half would measure nothing."""
    pipe.send("".join(traceback.format_exception(error)))
    os._exit(1)
