"""A hub that is stopped, or held up, for longer than its threshold: real processes, real gRPC, real time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from heartbench.hub.config import HubSettings
from heartbench.hub.events import Change
from heartbench.hub.liveness import Reason
from heartbench.hub.replay import read_records, recorded_changes, replay
from heartbench.hub.server import HubServer

NODES = 30
INTERVAL_S, STALE_AFTER_S, PAUSE_S = 1.0, 3.0, 4.5
PINGS_S = 1.0

pytestmark = pytest.mark.slow

Told = subprocess.Popen[str]


def started(command: list[str], **environment: str) -> Told:
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def line_of(process: Told) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def nodes_at(address: str, ping_s: float) -> Iterator[Told]:
    script = str(Path(__file__).with_name("live_nodes.py"))
    with started([script, address, str(NODES), str(INTERVAL_S), str(ping_s), "1.0"]) as nodes:
        try:
            assert line_of(nodes) == "up"
            yield nodes
        finally:
            nodes.kill()


def silence(nodes: Told, name: str) -> None:
    assert nodes.stdin is not None
    print(name, file=nodes.stdin, flush=True)


def streams_opened(nodes: Told) -> int:
    nodes.terminate()
    return int(line_of(nodes))


def judge(observed: Path, dead: str, awake_s: float) -> None:
    """Only the dead node may have left online, and it in time; and what was said follows from what was heard."""
    records = list(read_records(observed))
    said = recorded_changes(records)
    gone = [change for change in said if change.reason is Reason.SILENCE]
    assert [change.node_id for change in gone] == [dead]
    assert gone[0].at_s <= awake_s + STALE_AFTER_S + 2
    assert Counter(map(key, replay(records))) == Counter(map(key, said))
    assert any(record[0] == "deadline" and record[4] == "pause" for record in records)


def key(change: Change) -> tuple[object, ...]:
    return change.node_id, change.reason, round(change.at_s, 3)


@pytest.mark.parametrize("ping_s", [0.0, PINGS_S], ids=["keepalive off", "nodes that close and reconnect"])
def test_a_hub_that_was_stopped_calls_nobody_stale_but_who_died(tmp_path: Path, ping_s: float) -> None:
    observed = tmp_path / "observer.jsonl"
    settings = {
        "HUB_LISTEN": "127.0.0.1:0",
        "HUB_STORE_URL": "memory:",
        "HUB_STALE_AFTER_S": str(STALE_AFTER_S),
        "HUB_OBSERVE_FILE": str(observed),
    }
    program = ["-c", "from heartbench.benchmarks.cli.app import main; main()", "hub"]
    with started(program, **settings) as hub, nodes_at(line_of(hub), ping_s) as nodes:
        time.sleep(2 * INTERVAL_S)
        hub.send_signal(signal.SIGSTOP)
        silence(nodes, "n3")
        time.sleep(PAUSE_S)
        hub.send_signal(signal.SIGCONT)
        awake_s = time.monotonic()
        time.sleep(STALE_AFTER_S + 2.5)
        hub.terminate()
        assert hub.wait(timeout=5) == 0
        opened = streams_opened(nodes)
    judge(observed, "n3", awake_s)
    assert (opened > NODES) == (ping_s > 0)


def test_a_hub_whose_event_loop_is_held_up_calls_nobody_stale_but_who_died(tmp_path: Path) -> None:
    observed = tmp_path / "observer.jsonl"
    settings = HubSettings.of(
        listen="127.0.0.1:0", store_url="memory:", stale_after_s=STALE_AFTER_S, observe_file=observed
    )

    async def scene() -> float:
        async with HubServer(settings) as server:
            with ExitStack() as stack:
                nodes = await asyncio.to_thread(stack.enter_context, nodes_at(server.address, 0.0))
                await asyncio.sleep(2 * INTERVAL_S)
                silence(nodes, "n3")
                time.sleep(PAUSE_S)  # noqa: ASYNC251  (that is the fault)
                awake_s = time.monotonic()
                await asyncio.sleep(STALE_AFTER_S + 2.5)
                server.hub.end()
                return awake_s

    judge(observed, "n3", asyncio.run(scene()))
