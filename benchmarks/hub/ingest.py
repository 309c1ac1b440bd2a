"""CPU time of a server per heartbeat, and its memory per idle node.

The load reads both from /proc, around the heartbeats alone. It is CPU time and not wall time, because the load shares
the machine with the server.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

BARE = ["-m", "heartbench.benchmarks.hub.bare"]
HUB = ["-m", "heartbench.hub"]
HUB_SETTINGS = {"HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:", "HUB_ADMIT_PER_S": "0"}

OPENED_AT_ONCE = 100  # gRPC refuses connections beyond about a thousand that are not accepted yet

Stream = grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of the server per heartbeat (µs), and its memory per connected idle node (KiB)."""

    heartbeat_us: float
    node_kib: float


@contextmanager
def server(command: list[str], **settings: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run a server with these settings in its own process; yield its address and the process."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, *command],
        env={**os.environ, **HUB_SETTINGS, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None  # noqa: S101
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


async def measure(
    address: str, pid: int, nodes: int, heartbeats: int, acked: bool, credentials: Credentials | None = None
) -> Cost:
    """Connect the nodes, leave them idle, and then send `heartbeats` from each as fast as possible."""
    before_kib = resident_kib(pid)
    channels = [open_aio_channel(address, credentials) for _ in range(nodes)]
    streams: list[Stream] = []
    for first in range(0, nodes, OPENED_AT_ONCE):
        some = enumerate(channels[first : first + OPENED_AT_ONCE], first)
        streams += await asyncio.gather(*(connect(channel, f"n{number}") for number, channel in some))
    await asyncio.sleep(0.5)
    node_kib = (resident_kib(pid) - before_kib) / nodes
    before_s = cpu_s(pid)
    await asyncio.gather(*(beat(stream, heartbeats, acked) for stream in streams))
    heartbeat_us = (cpu_s(pid) - before_s) / (nodes * heartbeats) * 1e6
    for channel in channels:
        await channel.close()
    return Cost(heartbeat_us, node_kib)


async def connect(channel: grpc.aio.Channel, node_id: str) -> Stream:
    """Return the stream of a welcomed node."""
    stream = NodeMeshStub(channel).Connect()
    await stream.write(hello(node_id))
    await stream.read()
    return stream


async def beat(stream: Stream, heartbeats: int, acked: bool) -> None:
    """Send heartbeats; the last one asks for an acknowledgement, so that all are read when this returns."""
    for seq in range(1, heartbeats + 1):
        ack = acked or seq == heartbeats
        await stream.write(heartbeat(seq, ack=ack))
        if ack:
            await stream.read()
        elif seq % 5 == 0:
            await asyncio.sleep(0.01)  # else the server reads many of one stream at once, unlike in practice


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, user and system, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process, KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
