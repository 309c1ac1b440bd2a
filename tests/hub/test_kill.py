"""`kill -9` of the hub in the middle of writes: nothing that it acknowledged is missing after the restart, nothing is
there twice, and order is kept, within the last 150 chunks and the byte budget of each node.

Nodes speak real gRPC to a real hub. What a history must hold is computed from what the nodes sent. The long form:
`python -m pytest tests/hub/test_kill.py --kills 100`.
"""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from heartbench.hub.store.history import START, History, Position, StoredChunk
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import hello, upload_metadata
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

SEED = 20_240_607
NODES = 5
MAX_CHUNKS, MAX_BYTES = 150, 16_384
IN_FLIGHT = 40
LONGEST_LIFE_S = 0.4
REBOOT = 0.1
"""Share of the hub's restarts at which a node restarts too."""


class Node:
    """Sends what is not acknowledged until it is, and knows what the hub's history of it must hold."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name, self.chance = name, chance
        self.boot_id, self.connection, self.seq = 1, 0, 0
        self.unacknowledged: list[StoredChunk] = []
        self.unchecked: list[StoredChunk] = []
        self.acknowledged: Position = START
        self.acknowledgements = 0
        self.stored = History(MAX_CHUNKS, MAX_BYTES)

    async def live(self, address: str) -> None:
        """Be connected and write, as long as the hub lives."""
        with gone_with_the_hub():
            async with open_aio_channel(address) as channel:
                connect = NodeMeshStub(channel).Connect()
                await self._introduce(connect)
                upload = NodeMeshStub(channel).Upload(metadata=upload_metadata(self.name))
                for chunk in self.unacknowledged:
                    await upload.write(as_message(chunk))
                await self._converse(upload)

    async def _introduce(self, connect: "grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]") -> None:
        await connect.write(hello(self.name, self.boot_id, self.connection))
        self.connection += 1
        welcome = (await connect.read()).welcome
        if self.acknowledged[0] == self.boot_id:
            assert welcome.last_chunk_seq >= self.acknowledged[1]

    async def _converse(self, upload: "grpc.aio.StreamStreamCall[pb.Chunk, pb.ChunkAck]") -> None:
        while True:
            while len(self.unacknowledged) < IN_FLIGHT:
                await upload.write(as_message(self._speak()))
            ack = await upload.read()
            if ack is grpc.aio.EOF:
                return
            self.acknowledged = (ack.boot_id, ack.seq)
            waiting = len(self.unacknowledged)
            self.unacknowledged = [chunk for chunk in self.unacknowledged if chunk.position > self.acknowledged]
            self.acknowledgements += waiting - len(self.unacknowledged)

    def _speak(self) -> StoredChunk:
        self.seq += 1
        text = f"{self.name}/{self.boot_id}/{self.seq} ".encode()
        chunk = StoredChunk(self.boot_id, self.seq, 0.0, text * self.chance.randint(1, 20))
        self.unacknowledged.append(chunk)
        self.unchecked.append(chunk)
        return chunk

    def check(self, held: list[StoredChunk]) -> None:
        """The history is that of all chunks up to its newest, which is one that was acknowledged or a later one."""
        newest = held[-1].position if held else START
        assert newest >= self.acknowledged
        for chunk in self.unchecked:
            if chunk.position <= newest:
                self.stored.append(chunk)
        self.unchecked = [chunk for chunk in self.unchecked if chunk.position > newest]
        assert held == list(self.stored)

    def reboot(self) -> None:
        """What the node did not get rid of is gone with its process."""
        self.boot_id, self.connection, self.seq = self.boot_id + 1, 0, 0
        self.unacknowledged, self.unchecked = [], []


def as_message(chunk: StoredChunk) -> pb.Chunk:
    return pb.Chunk(boot_id=chunk.boot_id, seq=chunk.seq, sent_unix_s=chunk.sent_unix_s, data=chunk.data)


@contextmanager
def gone_with_the_hub() -> Iterator[None]:
    """Ignore how a call ends whose hub is killed, and nothing else."""
    try:
        yield
    except asyncio.InvalidStateError:
        pass  # it ended between two of our steps
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):  # (INTERNAL: amid a write)
            raise


async def start_hub(store_url: str) -> tuple[Process, str]:
    settings = {
        "HUB_LISTEN": "127.0.0.1:0",
        "HUB_STORE_URL": store_url,
        "HUB_STORE_DURABILITY": "committed",
        "HUB_HISTORY_CHUNKS": str(MAX_CHUNKS),
        "HUB_HISTORY_BYTES": str(MAX_BYTES),
        "HUB_LOG_LEVEL": "error",
    }
    command = Path(sys.executable).with_name("heartbench")
    hub = await asyncio.create_subprocess_exec(command, "hub", "--json", stdout=PIPE, env={**os.environ, **settings})
    assert hub.stdout is not None
    return hub, json.loads(await hub.stdout.readline())["address"]


async def history_of(node_id: str, admin: Any) -> list[StoredChunk]:
    try:
        history = await admin.GetHistory(pb.GetHistoryRequest(node_id=node_id))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:  # killed before it stored anything of the node
            return []
        raise
    return [StoredChunk(one.boot_id, one.seq, one.sent_unix_s, one.data) for one in history.chunks]


async def live_and_die(nodes: list[Node], store_url: str, life_s: float) -> None:
    hub, address = await start_hub(store_url)
    try:
        async with open_aio_channel(address) as channel:
            for node in nodes:  # none of them is back
                node.check(await history_of(node.name, HubAdminStub(channel)))
                if node.chance.random() < REBOOT:
                    node.reboot()
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(node.live(address))
            await asyncio.sleep(life_s)
            hub.kill()
    finally:
        if hub.returncode is None:
            hub.kill()
        await hub.wait()


def test_killing_the_hub_loses_nothing_that_it_acknowledged(
    store_url: str, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    nodes = [Node(f"edge-{number}", chance) for number in range(NODES)]

    async def scenario() -> int:
        with_unacknowledged = 0
        for _ in range(kills):
            await live_and_die(nodes, store_url, chance.uniform(0.03, LONGEST_LIFE_S))
            with_unacknowledged += any(node.unacknowledged for node in nodes)
        await live_and_die(nodes, store_url, 0.0)
        return with_unacknowledged

    with_unacknowledged = asyncio.run(scenario())
    acknowledged = sum(node.acknowledgements for node in nodes)
    with capsys.disabled():
        print(f"\n{store_url.partition(':')[0]}: {kills=} seed={SEED} {with_unacknowledged=} {acknowledged=}")
    assert with_unacknowledged >= 0.3 * kills
    assert acknowledged > 0
