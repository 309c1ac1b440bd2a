"""A hub that is stopped, or held up, for longer than its threshold: real processes, real gRPC, real time.

The whole of it, 45 s with 300 nodes, a heartbeat every 10 s and pings that give up after 10 s:
`python -m pytest tests/hub/test_pause.py --long-pauses`.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.hub.events.replay import read_records, recorded_changes, replay

from heartbench.hub.config import HubSettings
from heartbench.hub.events.observer_file import DeadlineMoved
from heartbench.hub.liveness.rules import Change, MoveReason, Reason
from heartbench.hub.rpc.server import HubServer

pytestmark = pytest.mark.slow

Told = subprocess.Popen[str]


@dataclass(frozen=True)
class Case:
    """Nodes and hub, and how long the hub hears nothing, s."""

    nodes: int
    interval_s: float
    stale_after_s: float
    pause_s: float
    ping_s: float


SHORT = Case(nodes=30, interval_s=0.5, stale_after_s=2.0, pause_s=3.0, ping_s=1.0)
LONG = Case(nodes=300, interval_s=10.0, stale_after_s=30.0, pause_s=45.0, ping_s=10.0)


@pytest.fixture(params=[False, True], ids=["keepalive off", "nodes that ping"])
def case(request: pytest.FixtureRequest) -> Case:
    whole = LONG if request.config.getoption("--long-pauses") else SHORT
    return whole if request.param else replace(whole, ping_s=0.0)


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
def nodes_at(address: str, case: Case) -> Iterator[Told]:
    script = str(Path(__file__).with_name("live_nodes.py"))
    with started([script, address, str(case.nodes), str(case.interval_s), str(case.ping_s), "1.0"]) as nodes:
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


def judge(observed: Path, dead: str, awake_s: float, case: Case) -> None:
    """Only the dead node may have left online, and it in time; and what was said follows from what was heard."""
    header, lines = read_records(observed)
    records = list(lines)
    said = recorded_changes(records)
    gone = [change for change in said if change.reason is Reason.SILENCE]
    assert [change.node_id for change in gone] == [dead]
    print(f"\n{case}: {dead} stale {gone[0].at_s - awake_s:.1f} s after the hub went on, nobody else")
    assert gone[0].at_s <= awake_s + case.stale_after_s + 2
    assert Counter(map(key, replay(header, records))) == Counter(map(key, said))
    assert any(isinstance(record, DeadlineMoved) and record.reason is MoveReason.PAUSE for record in records)


def key(change: Change) -> tuple[object, ...]:
    return change.node_id, change.reason, round(change.at_s, 3)


def test_a_hub_that_was_stopped_calls_nobody_stale_but_who_died(tmp_path: Path, case: Case) -> None:
    observed = tmp_path / "observer.jsonl"
    settings = {
        "HUB_LISTEN": "127.0.0.1:0",
        "HUB_STORE_URL": "memory:",
        "HUB_STALE_AFTER_S": str(case.stale_after_s),
        "HUB_OBSERVE_FILE": str(observed),
    }
    program = ["-c", "from heartbench.cli.app import main; main()", "hub"]
    with started(program, **settings) as hub, nodes_at(line_of(hub), case) as nodes:
        time.sleep(2 * case.interval_s)
        hub.send_signal(signal.SIGSTOP)
        silence(nodes, "n3")
        time.sleep(case.pause_s)
        hub.send_signal(signal.SIGCONT)
        awake_s = time.monotonic()
        time.sleep(case.stale_after_s + 2.5)
        hub.terminate()
        assert hub.wait(timeout=5) == 0
        opened = streams_opened(nodes)
    judge(observed, "n3", awake_s, case)
    assert (opened > case.nodes) == (case.ping_s > 0), "who pings closes and reconnects, who does not stays"


def test_a_hub_whose_event_loop_is_held_up_calls_nobody_stale_but_who_died(tmp_path: Path, case: Case) -> None:
    observed = tmp_path / "observer.jsonl"
    settings = HubSettings.of(
        listen="127.0.0.1:0", store_url="memory:", stale_after_s=case.stale_after_s, observe_file=observed
    )

    async def scene() -> float:
        async with HubServer(settings) as server:
            with ExitStack() as stack:
                nodes = await asyncio.to_thread(stack.enter_context, nodes_at(server.address, case))
                await asyncio.sleep(2 * case.interval_s)
                silence(nodes, "n3")
                time.sleep(case.pause_s)  # noqa: ASYNC251  (that is the fault)
                awake_s = time.monotonic()
                await asyncio.sleep(case.stale_after_s + 2.5)
                server.hub.end(time.monotonic())
                return awake_s

    judge(observed, "n3", asyncio.run(scene()), case)
