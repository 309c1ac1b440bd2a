"""The nodes of the wave: `python -m ….wave_nodes ADDRESS NODES MEGABYTES` prints JSON when all files are handed over.

Each node has a connection of its own, with a heartbeat a second on `Connect` and one file on `Upload`, written as fast
as gRPC's flow control lets it. A stream that breaks is opened again, and the file goes on from where the hub holds it.
"""

import asyncio
import hashlib
import json
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from zlib import crc32

import grpc.aio

from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

PIECE_BYTES = 64 << 10
INTERVAL_S = 1.0
RETRY_S = 0.5
PATH = "wave.bin"
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]

ConnectStream = grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]
UploadStream = grpc.aio.StreamStreamCall[pb.Chunk, pb.ChunkAck]


class Payload:
    """A file of each node: the same random bytes, and the node's name behind them."""

    def __init__(self, megabytes: float) -> None:
        self._body = random.Random(0).randbytes(round(megabytes * 1_000_000))
        self._begun = hashlib.sha256(self._body)
        self._checksums = {offset: crc32(self._body[offset : offset + PIECE_BYTES]) for offset in self.offsets}

    @property
    def offsets(self) -> range:
        """Where the pieces before the last one begin."""
        return range(0, len(self._body), PIECE_BYTES)

    def sha256(self, name: str) -> "hashlib._Hash":
        """Of the whole file of a node."""
        whole = self._begun.copy()
        whole.update(name.encode())
        return whole

    def piece(self, name: str, offset: int) -> pb.FileChunk:
        """The piece that begins at an offset."""
        if offset >= len(self._body):
            data, whole = name.encode(), self.sha256(name).digest()
            return pb.FileChunk(path=PATH, offset=offset, data=data, crc32=crc32(data), last=True, sha256=whole)
        data = self._body[offset : offset + PIECE_BYTES]
        checksum = self._checksums.get(offset) or crc32(data)
        return pb.FileChunk(path=PATH, offset=offset, data=data, crc32=checksum)

    def pieces_from(self, held_bytes: int) -> list[int]:
        """Offsets of what is still to be sent where so much is held."""
        return [offset for offset in self.offsets if offset >= held_bytes] + [len(self._body)]


@dataclass(slots=True)
class Node:
    """One node, and how far its file is."""

    name: str
    payload: Payload
    held_bytes: int = 0
    complete: bool = False
    broken: int = 0
    heartbeats: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, address: str) -> None:
        """Until the hub has said that the file is complete."""
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            connect = NodeMeshStub(channel).Connect()
            await connect.write(pb.NodeMessage(hello=pb.Hello(node_id=self.name, boot_id=1, sent_unix_s=time.time())))
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
            await connect.write(pb.NodeMessage(goodbye=pb.Goodbye()))
            await connect.read()  # nothing: the hub has read all, and ends the stream

    async def _beat(self, connect: ConnectStream) -> None:
        wait_s = INTERVAL_S * random.random()
        while not self.done.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.done.wait()
            self.heartbeats += 1
            heartbeat = pb.Heartbeat(seq=self.heartbeats, sent_unix_s=time.time())
            await connect.write(pb.NodeMessage(heartbeat=heartbeat))
            wait_s = INTERVAL_S

    async def _hand_over(self, channel: grpc.aio.Channel) -> None:
        stream = NodeMeshStub(channel).Upload(metadata=(("node-id", self.name),))
        sending = asyncio.create_task(self._send(stream))
        try:
            while not self.complete and isinstance(ack := await stream.read(), pb.ChunkAck):
                self.held_bytes, self.complete = ack.file.held_bytes, ack.file.complete
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        if not self.complete:
            raise await stream_error(stream)

    async def _send(self, stream: UploadStream) -> None:
        for offset in self.payload.pieces_from(self.held_bytes):
            await stream.write(pb.Chunk(boot_id=1, file=self.payload.piece(self.name, offset)))


async def stream_error(stream: UploadStream) -> grpc.aio.AioRpcError:
    """What ended a stream before its file was complete."""
    code = await stream.code()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), await stream.details())


async def wave(address: str, count: int, megabytes: float) -> dict[str, float]:
    """All nodes at once; what they saw."""
    payload = Payload(megabytes)
    nodes = [Node(f"n{number}", payload) for number in range(count)]
    began_s = time.monotonic()
    await asyncio.gather(*(node.live(address) for node in nodes))
    return {
        "lasted_s": time.monotonic() - began_s,
        "heartbeats": sum(node.heartbeats for node in nodes),
        "complete": sum(node.complete for node in nodes),
        "broken": sum(node.broken for node in nodes),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(wave(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))  # noqa: T201
