"""The nodes of the wave: `python -m ….wave_nodes ADDRESS NODES MEGABYTES` prints JSON when all files are handed over.

Each node has its own connection, with one heartbeat per second on `Connect` and one file on `Upload`, written as fast
as gRPC's flow control allows. A stream that breaks is reopened, and the file resumes at what the hub holds.
"""

import asyncio
import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import grpc.aio

from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import file_chunk, goodbye, heartbeat, hello, upload_metadata, upload_of
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

CHUNK_BYTES = 64 << 10
INTERVAL_S = 1.0
RETRY_S = 0.5
PATH = "wave.bin"

ConnectStream = grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]
UploadStream = grpc.aio.StreamStreamCall[pb.Chunk, pb.ChunkAck]


class Payload:
    """The file of each node: the same random bytes, followed by the node's name."""

    def __init__(self, megabytes: float) -> None:
        self._body = random.Random(0).randbytes(round(megabytes * 1_000_000))
        self._hash_of_body = hashlib.sha256(self._body)
        self._chunks = {
            offset: file_chunk(PATH, offset, self._body[offset : offset + CHUNK_BYTES])
            for offset in range(0, len(self._body), CHUNK_BYTES)
        }

    def sha256(self, name: str) -> "hashlib._Hash":
        """Return the hash of a node's whole file."""
        whole = self._hash_of_body.copy()
        whole.update(name.encode())
        return whole

    def chunks_from(self, held_bytes: int, name: str) -> Iterator[pb.FileChunk]:
        """Yield the chunks of a node's file that the hub does not hold; the last one carries the name."""
        for offset, body in self._chunks.items():
            if offset >= held_bytes:
                yield body
        yield file_chunk(PATH, len(self._body), name.encode(), self.sha256(name).digest())


@dataclass(slots=True)
class Node:
    """One node, and how much of its file the hub holds."""

    name: str
    payload: Payload
    held_bytes: int = 0
    complete: bool = False
    broken: int = 0
    heartbeats: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, address: str) -> None:
        """Send heartbeats and the file until the hub has it complete."""
        async with open_aio_channel(address) as channel:
            connect = NodeMeshStub(channel).Connect()
            await connect.write(hello(self.name, sent_unix_s=time.time()))
            await connect.read()
            beating = asyncio.create_task(self._beat(connect))
            while not self.complete:
                try:
                    await self._hand_over(channel)
                except grpc.aio.AioRpcError:
                    self.broken += 1
                    await asyncio.sleep(RETRY_S)
            self.done.set()
            await beating
            await connect.write(goodbye())
            await connect.read()  # returns when the hub has read all and ends the stream

    async def _beat(self, connect: ConnectStream) -> None:
        wait_s = INTERVAL_S * random.random()
        while not self.done.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.done.wait()
            self.heartbeats += 1
            await connect.write(heartbeat(self.heartbeats, time.time()))
            wait_s = INTERVAL_S

    async def _hand_over(self, channel: grpc.aio.Channel) -> None:
        stream = NodeMeshStub(channel).Upload(metadata=upload_metadata(self.name))
        sending = asyncio.create_task(self._send(stream))
        try:
            while not self.complete and isinstance(ack := await stream.read(), pb.ChunkAck):
                self.held_bytes, self.complete = ack.file.held_bytes, ack.file.complete
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        if not self.complete:
            none = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(await stream.code(), none, none, await stream.details())

    async def _send(self, stream: UploadStream) -> None:
        for chunk in self.payload.chunks_from(self.held_bytes, self.name):
            await stream.write(upload_of(chunk))


@dataclass(frozen=True, slots=True)
class Sent:
    """What all nodes together sent: heartbeats, complete files, and streams that broke."""

    heartbeats: int = 0
    complete: int = 0
    broken: int = 0


async def wave(address: str, count: int, megabytes: float) -> Sent:
    """Run all nodes at once; return what they sent."""
    payload = Payload(megabytes)
    nodes = [Node(f"n{number}", payload) for number in range(count)]
    await asyncio.gather(*(node.live(address) for node in nodes))
    counts = ((node.heartbeats, node.complete, node.broken) for node in nodes)
    return Sent(*map(sum, zip(*counts, strict=True)))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(wave(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))))  # noqa: T201
