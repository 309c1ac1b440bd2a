"""The hub compared with a bare `grpc.aio` servicer, in one run: CPU time per heartbeat, memory per idle node."""

import asyncio
from statistics import median

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.benchmarks.hub.ingest import BARE, HUB, Cost, measure, server

PAIRS = 7


def cost(command: list[str], acked: bool, heartbeats: int) -> Cost:
    with server(command) as (address, process):
        return asyncio.run(measure(address, process.pid, 200, heartbeats, acked))


@pytest.mark.parametrize("acked", [False, True], ids=["not acknowledged", "acknowledged"])
def test_heartbeats_over_grpc(benchmark: BenchmarkFixture, acked: bool) -> None:
    """What does our hub cost compared with gRPC itself? The answer limits the nodes per core."""
    pairs: list[tuple[Cost, Cost]] = []
    heartbeats = 100 if benchmark.enabled else 5

    def one_pair() -> None:
        pairs.append((cost(BARE, acked, heartbeats), cost(HUB, acked, heartbeats)))

    benchmark.pedantic(one_pair, rounds=PAIRS)
    # By pairs, because noise on the machine affects neighbouring measurements alike.
    ingested = median(bare.heartbeat_us / hub.heartbeat_us for bare, hub in pairs)
    memory = median(hub.node_kib / bare.node_kib for bare, hub in pairs)
    benchmark.extra_info.update(
        bare_heartbeat_us=round(median(bare.heartbeat_us for bare, _ in pairs), 1),
        hub_heartbeat_us=round(median(hub.heartbeat_us for _, hub in pairs), 1),
        heartbeats_per_cpu_s_against_bare=round(ingested, 2),
        memory_per_idle_node_against_bare=round(memory, 2),
    )
    if benchmark.enabled:  # one pair on a busy machine proves nothing
        assert ingested >= 0.8
        assert memory <= 1.3
