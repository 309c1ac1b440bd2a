"""What credentials cost a heartbeat, and what refused callers do to the others.

    python -m heartbench.benchmarks.hub.credentials --nodes 100 --pairs 5
    python -m heartbench.benchmarks.hub.credentials --nodes 300 --attack-s 20

Pairs: CPU time of the hub per heartbeat and its memory per idle node, without TLS and with mutual TLS, alternating.
Attack: honest nodes with certificates send a heartbeat a second and time its acknowledgement, first alone and then
while a process of its own calls with another node's certificate, a stranger's and an expired one, without TLS, with
garbage, and HubAdmin with a node's certificate, each `--per-s` times a second.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import monotonic

import grpc.aio
import numpy as np

from heartbench.benchmarks.hub.ingest import HUB, connect, measure, server
from heartbench.hub.security.authority import Authority, Pair
from heartbench.hub.security.identity import Grant, Role
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.encoding import heartbeat
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

PROGRAM = "python -m heartbench.benchmarks.hub.credentials"
HOST = "localhost"
ALLOWED_P99_S = 0.050


@dataclass(frozen=True, slots=True)
class Clients:
    """Credentials by what is right or wrong with them."""

    honest: Credentials  # for the nodes n*
    other: Credentials
    stranger: Credentials
    expired: Credentials


def write_pki(folder: Path) -> tuple[dict[str, str], Clients]:
    """Write the hub's files; return its settings, and clients."""
    now = datetime.now(UTC)
    ours = Authority.new("benchmark", now)
    past = Authority.read(ours.pair, now - timedelta(days=9))
    pair = ours.hub([HOST], 1)
    files = {"ca": ours.pair.certificate, "cert": pair.certificate, "key": pair.key}
    for name, content in files.items():
        (folder / name).write_bytes(content)

    def client(pair: Pair) -> Credentials:
        return Credentials(ours.pair.certificate, pair.certificate, pair.key)

    grant = Grant(Role.NODE, "n*")
    clients = Clients(
        client(ours.client(grant, 1)),
        client(ours.client(Grant(Role.NODE, "other"), 1)),
        client(Authority.new("stranger", now).client(grant, 1)),
        client(past.client(grant, 1)),
    )
    names = {"HUB_TLS_CERT": "cert", "HUB_TLS_KEY": "key", "HUB_TLS_CLIENT_CA": "ca"}
    return {"HUB_LISTEN": f"{HOST}:0", **{key: str(folder / name) for key, name in names.items()}}, clients


def cost(nodes: int, heartbeats: int, pairs: int) -> dict[str, object]:
    """Measure without and with mutual TLS by turns; return medians of the pairs."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        settings, clients = write_pki(Path(folder))
        found = []
        for _ in range(pairs):
            with server(HUB) as (address, process):
                plain = loop.run(measure(address, process.pid, nodes, heartbeats, False))
            with server(HUB, **settings) as (address, process):
                tls = loop.run(measure(address, process.pid, nodes, heartbeats, False, clients.honest))
            found.append((plain, tls))
    ratio = median(tls.heartbeat_us / plain.heartbeat_us for plain, tls in found)
    return {
        "pairs": [{"plain": asdict(plain), "tls": asdict(tls)} for plain, tls in found],
        "heartbeat_cpu_ratio": ratio,
        "node_kib_more": median(tls.node_kib - plain.node_kib for plain, tls in found),
    }


async def delays(address: str, clients: Clients, nodes: int, seconds: float) -> list[float]:
    """Return how long each acknowledgement of the honest nodes took, s."""
    taken: list[float] = []

    async def live(number: int) -> None:
        async with open_aio_channel(address, clients.honest) as channel:
            stream = await connect(channel, f"n{number}")
            await ready.wait()
            await asyncio.sleep(number / nodes)
            for seq in range(1, round(seconds) + 1):
                began = monotonic()
                await stream.write(heartbeat(seq, ack=True))
                await stream.read()
                taken.append(monotonic() - began)
                await asyncio.sleep(max(0.0, began + 1 - monotonic()))

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(nodes):
            group.create_task(live(number))
        await asyncio.sleep(nodes / 50)
        ready.set()
    return taken


async def attack(address: str, clients: Clients, per_s: float) -> None:
    """Call wrongly in each way `per_s` times a second, until cancelled."""

    async def call(credentials: Credentials | None, name: str) -> None:
        async with open_aio_channel(address, credentials) as channel:
            with suppress(grpc.aio.AioRpcError):
                async with asyncio.timeout(5):
                    if name:
                        await connect(channel, name)
                    else:
                        await HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=5)

    async def garbage() -> None:
        _, writer = await asyncio.open_connection(HOST, int(address.rpartition(":")[2]))
        writer.write(b"\x00\xff" * 2000)
        writer.close()

    async with asyncio.TaskGroup() as group:
        while True:
            for credentials in (clients.other, clients.stranger, clients.expired, None):
                group.create_task(call(credentials, "n0"))
            group.create_task(call(clients.other, ""))
            group.create_task(garbage())
            await asyncio.sleep(1 / per_s)


@contextmanager
def attacker(address: str, clients: Clients, per_s: float) -> Iterator[None]:
    """Attack from a process of its own until the block ends."""
    given = {
        name: [value.decode() for value in (c.ca, c.certificate, c.key)] for name, c in clients_of(clients).items()
    }
    words = [sys.executable, "-m", "heartbench.benchmarks.hub.credentials", "--attack", address, "--per-s", str(per_s)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603
        try:
            assert process.stdin is not None  # noqa: S101
            process.stdin.write(json.dumps(given))
            process.stdin.close()
            yield
        finally:
            process.kill()


def clients_of(clients: Clients) -> dict[str, Credentials]:
    """Return the credentials by name."""
    return {name: getattr(clients, name) for name in Clients.__slots__}


def under_attack(nodes: int, seconds: float, per_s: float) -> dict[str, object]:
    """Measure honest heartbeats alone and beside an attack; return p50 and p99, s."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        settings, clients = write_pki(Path(folder))
        with server(HUB, **settings) as (address, _):
            alone = loop.run(delays(address, clients, nodes, seconds))
        with server(HUB, **settings) as (address, _), attacker(address, clients, per_s):
            beside = loop.run(delays(address, clients, nodes, seconds))
    quantiles = {
        name: np.quantile(taken, (0.5, 0.99)).tolist() for name, taken in (("alone", alone), ("beside", beside))
    }
    return {"p50_p99_s": quantiles, "calls_per_s": 6 * per_s, "holds": quantiles["beside"][1] < ALLOWED_P99_S}


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if honest heartbeats wait too long beside an attack."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--heartbeats", type=int, default=200, help="of each node, in a pair")
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--attack-s", type=float, default=0.0)
    parser.add_argument("--per-s", type=float, default=5.0, help="how often each wrong call is made")
    parser.add_argument("--attack", metavar="ADDRESS", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.attack:
        read = {name: Credentials(*(text.encode() for text in c)) for name, c in json.load(sys.stdin).items()}
        asyncio.run(attack(given.attack, Clients(**read), given.per_s))
    result: dict[str, object] = {}
    if given.pairs:
        result |= cost(given.nodes, given.heartbeats, given.pairs)
    if given.attack_s:
        result |= under_attack(given.nodes, given.attack_s, given.per_s)
    print(json.dumps(result, indent=2))  # noqa: T201
    return 0 if result.get("holds", True) else 1


if __name__ == "__main__":
    sys.exit(main())
