"""A process that runs some of the nodes: one scheduler, and the real connections of its nodes.

    engine    Task ─▶         Start ─▶  [s ─▶]              [LEAVE ─▶          ]  closes the pipe
    shard            ◀─ READY                     ◀─ Result [         ◀─ LEAVE ]                   gone

Messages in brackets are optional; s is the time of the run, in s, at which it ends early. A shard's connections end
with its process, so nothing outlives the engine, however it ends; at LEAVE the nodes send Goodbye first, for a hub that
keeps running.

The scheduler wakes when an event of the model is due, advances all nodes to the present time, and hands to the
connections what has to happen for real. Only time wakes it: no node has a timer of its own.
"""

import asyncio
import gc
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.credentials import Credentials
from heartbench.mesh.encoding import upload_of
from heartbench.mesh.kinds import Kind
from heartbench.mesh.v1.mesh_pb2 import NodeMessage
from heartbench.simulator.engines.live.grpc_connection import Log, NodeConnection
from heartbench.simulator.engines.live.messages import file_chunks, message_of
from heartbench.simulator.engines.live.world import CLOSED, OPENED, Loss, Model, make_world
from heartbench.simulator.fleet import group_of_each, node_name, squads
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.session import Rows

LONGEST_NAP_S = 0.05  # within which an action of the hub or the engine is noticed
FLUSH_S = 0.5  # for writing the last messages
CONNECTING_AT_ONCE = 50
FIRST_ROWS = 1 << 14
FIRST_ACTIONS = 1 << 13
LEAVE_WITHIN_S = 2.0  # for sending Goodbye
READY = "ready"
LEAVE = "leave"  # to a shard that has sent its Result, and back when its nodes have left


@dataclass(frozen=True)
class Task:
    """The nodes of a shard: number `shard` of `shards`."""

    scenario: Scenario
    shard: int
    shards: int
    address: str
    credentials: Credentials | None = None


@dataclass(frozen=True)
class Start:
    """Time 0 of the run, on the monotonic clock that all processes share and on the wall clock, s.

    `boot_base` is added to the model's boots, so that a hub that knows the nodes accepts them.
    """

    origin_s: float
    unix_s: float
    boot_base: int


@dataclass(frozen=True)
class Result:
    """What a shard measured.

    Attributes:
        node: the number of each row's node.
        rows: the messages in the order of sending.
        closes, notes: as for `truth_of`.
        log: what the connections measured of these rows.
    """

    node: NDArray[np.int64]
    rows: Rows
    closes: NDArray[np.float64]
    notes: NDArray[np.float64]
    log: Log


class Shard:
    """The nodes of one task, in the model and connected to the hub."""

    def __init__(self, task: Task, pipe: Connection) -> None:
        self._task = task
        self._pipe = pipe
        world = make_world(squads(task.scenario), task.scenario.seed, task.shard, task.shards)
        self._model = Model(world, FIRST_ROWS, FIRST_ACTIONS)
        groups = group_of_each(task.scenario)
        self._group = [groups[number] for number in world.number]
        self._name = [node_name(groups[number].name, number) for number in world.number]
        self._files = {group.name: file_chunks(group.name, group.file_bytes) for group in task.scenario.group}
        self._file_begins: dict[tuple[int, float], int] = {}  # node and time of writing -> row of the first chunk
        self._connections: dict[int, NodeConnection] = {}
        self._log = Log()
        self._started: asyncio.Future[Start] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()
        self._start = Start(0.0, 0.0, 0)
        self._now_s = 0.0
        self._end_s = task.scenario.duration_s
        self._model.advance(-1.0)  # compiled before time matters

    async def run(self) -> None:
        """Connect, run from start to end, send the result, leave if asked to, and wait for the pipe to close."""
        async with asyncio.TaskGroup() as self._tasks:
            asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._receive)
            await self._connect_all()
            gc.collect()
            gc.freeze()
            self._pipe.send(READY)
            self._start = await self._started
            await self._drive()
            await self._flush()
            self._pipe.send(self._result())
            await self._leaving.wait()
            await self._leave()
            self._pipe.send(LEAVE)
            await asyncio.Event().wait()  # the pipe closes

    async def _connect_all(self) -> None:
        """Open the first connection of each node before time 0, so that a slow start does not matter."""
        for begin in range(0, len(self._name), CONNECTING_AT_ONCE):
            opened = [self._open(i, i) for i in range(begin, min(begin + CONNECTING_AT_ONCE, len(self._name)))]
            await asyncio.gather(*(connection.ready() for connection in opened))

    async def _drive(self) -> None:
        while self._now_s < self._end_s:
            self._now_s = max(self._now_s, min(time.monotonic() - self._start.origin_s, self._end_s))
            soonest = min(self._model.advance(self._now_s), self._end_s)
            self._carry_out()
            wait_s = soonest - (time.monotonic() - self._start.origin_s)
            await asyncio.sleep(min(max(wait_s, 0.0), LONGEST_NAP_S))

    def _carry_out(self) -> None:
        """Do for real what the model asks for."""
        for what, number, node, row in self._model.take_actions():
            if what == OPENED:
                if number not in self._connections:
                    self._open(number, node)
            elif connection := self._connections.get(number):
                if what == CLOSED:
                    connection.close()
                    del self._connections[number]
                else:
                    self._send(connection, node, row)

    def _open(self, number: int, node: int) -> NodeConnection:
        connection = NodeConnection(
            number, node, self._name[node], self._task.address, self._log, self._lost, self._task.credentials
        )
        self._connections[number] = connection
        self._tasks.create_task(connection.run())
        return connection

    def _lost(self, connection: NodeConnection, loss: Loss) -> None:
        self._connections.pop(connection.number, None)
        self._model.end_stream(connection.node, connection.number, loss, self._now_s)

    def _send(self, connection: NodeConnection, node: int, row: int) -> None:
        rows, group = self._model.sent.rows, self._group[node]
        boot_base, unix_s = self._start.boot_base, self._start.unix_s
        if int(rows.kind[row]) == Kind.CHUNK and int(rows.seq[row]) == 0:
            file = self._files[group.name][self._file_chunk(node, row)]
            sent_unix_s = unix_s + float(rows.sent_s[row])
            connection.upload(row, upload_of(file, boot_base + int(rows.boot[row]), sent_unix_s))
            return
        message = message_of(rows, row, self._name[node], group, boot_base, unix_s)
        if isinstance(message, NodeMessage):
            connection.send(row, message)
        else:
            connection.upload(row, message)

    def _file_chunk(self, node: int, row: int) -> int:
        """Return which chunk of its file a row is; the rows of a file follow each other."""
        written = (node, float(self._model.sent.rows.sent_s[row]))
        return row - self._file_begins.setdefault(written, row)

    def _receive(self) -> None:
        """Receive a message of the engine; exit if the engine is gone."""
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        if isinstance(message, Start):
            self._started.set_result(message)
        elif message == LEAVE:
            self._leaving.set()
        else:
            self._end_s = message

    async def _flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await asyncio.gather(*(connection.flushed() for connection in self._connections.values()))

    async def _leave(self) -> None:
        """Send Goodbye on the open streams and close them."""
        connections = list(self._connections.values())
        for connection in connections:
            connection.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN_S):
                await asyncio.gather(*(connection.closed.wait() for connection in connections))

    def _result(self) -> Result:
        world, sent = self._model.world, self._model.sent
        columns: Any = sent.rows
        used = int(columns.used[0])
        rows = Rows(columns.used, *(column[:used] for column in columns[1:]))
        closes, notes = world.closes[: world.counts[1]], world.notes[: world.counts[2]]
        return Result(world.number[sent.node[:used]], rows, closes, notes, self._log)


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine decides when it ends
    pipe = Connection(int(sys.argv[1]))
    try:
        asyncio.run(_run(pipe.recv(), pipe))
    except EOFError:
        return  # the engine is gone
    except BaseException:  # whatever it is, the engine shows it; standard error leads nowhere
        pipe.send(traceback.format_exc())
        raise


async def _run(task: Task, pipe: Connection) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: _fail(pipe, context.get("exception")))
    await Shard(task, pipe).run()


def _fail(pipe: Connection, error: BaseException | None) -> None:
    """Report an error that no task awaits, and exit: half a shard would measure nothing."""
    pipe.send("".join(traceback.format_exception(error)))
    os._exit(1)
