"""Real nodes in a process of their own: `live_nodes.py ADDRESS COUNT INTERVAL_S [PING_S [BACKOFF_CAP_S]]`.

Each has its own connection, sends a heartbeat every INTERVAL_S, and reconnects when its stream ends, with a backoff
that doubles from 0.1 s to BACKOFF_CAP_S with jitter. With PING_S > 0 it pings that often, with the same timeout. Prints
`up` when each node was welcomed once, and on SIGTERM the number of streams opened. The name of node 7 is `n7`; a node
whose name comes on standard input, one per line, falls silent without closing anything.
"""

import asyncio
import random
import signal
import sys

import grpc
import grpc.aio

from heartbench.mesh import encoding
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub


class Node:
    def __init__(self, address: str, name: str, interval_s: float, ping_s: float, cap_s: float) -> None:
        options = [("grpc.max_reconnect_backoff_ms", round(cap_s * 1000))]
        if ping_s:
            names = "grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"
            options += [(option, round(ping_s * 1000)) for option in names]
        self.address, self.name, self.interval_s, self.cap_s = address, name, interval_s, cap_s
        self.options = options
        self.streams = 0
        self.seq = 0
        self.silent = False
        self.welcomed = asyncio.Event()

    async def live(self) -> None:
        backoff_s = 0.1
        while True:
            began = asyncio.get_running_loop().time()
            retry_after_s = 0.0
            try:
                async with open_aio_channel(self.address, options=self.options) as channel:
                    retry_after_s = await self.speak(NodeMeshStub(channel).Connect())
            except grpc.aio.AioRpcError:
                pass
            if asyncio.get_running_loop().time() - began > self.cap_s:
                backoff_s = 0.1
            await asyncio.sleep(retry_after_s or backoff_s * random.uniform(0.8, 1.2))
            backoff_s = min(2 * backoff_s, self.cap_s)

    async def speak(self, stream: "grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]") -> float:
        """Serve one stream until it ends; return how long the hub asks this node to stay away, 0 if it does not ask."""
        connection, self.streams = self.streams, self.streams + 1
        await stream.write(encoding.hello(self.name, 1, connection, self.interval_s))
        beating = asyncio.create_task(self.beat(stream))
        try:
            async for message in stream:
                match encoding.body_of(message):
                    case pb.Welcome():
                        self.welcomed.set()
                    case pb.Throttle(retry_after_s=away_s) | pb.Drain(reconnect_after_s=away_s):
                        return float(away_s)
            return 0.0
        finally:
            beating.cancel()
            await asyncio.wait([beating])
            if not beating.cancelled():
                beating.exception()

    async def beat(self, stream: "grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]") -> None:
        await asyncio.sleep(self.interval_s * random.random())
        while True:
            if not self.silent:
                self.seq += 1
                await stream.write(encoding.heartbeat(self.seq))
            await asyncio.sleep(self.interval_s)


async def main(address: str, count: int, interval_s: float, ping_s: float = 0.0, cap_s: float = 10.0) -> None:
    nodes = {f"n{number}": Node(address, f"n{number}", interval_s, ping_s, cap_s) for number in range(count)}
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin, lambda: silence(nodes, sys.stdin.readline().strip()))
    lives = [asyncio.create_task(node.live()) for node in nodes.values()]
    for node in nodes.values():
        await node.welcomed.wait()
    print("up", flush=True)
    await stop.wait()
    print(sum(node.streams for node in nodes.values()), flush=True)
    for life in lives:
        life.cancel()
    await asyncio.wait(lives)


def silence(nodes: dict[str, Node], name: str) -> None:
    if name in nodes:
        nodes[name].silent = True
    else:
        asyncio.get_running_loop().remove_reader(sys.stdin)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *(float(word) for word in sys.argv[3:])))
