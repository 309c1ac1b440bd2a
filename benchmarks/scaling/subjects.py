"""The operations that are measured at each size: a call, and the number of operations that one call makes.

Each is prepared once for a size and then called repeatedly. Orders are random if a hub's are: a predictable order would
let the memory prefetch, and hide the cost of large fleets.
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps
from heartbench.analysis.qos import judge
from heartbench.benchmarks.history.baseline import SplicedHistory
from heartbench.hub import Change, Hello, HubSettings, Reason, Registry, Status
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.events.fanout import EventFanout
from heartbench.hub.store.history import History, StoredChunk
from heartbench.simulator.engines.virtual import blocks, run_nodes
from heartbench.simulator.scenario import load_scenario

HEARTBEATS = 2000
APPENDS = 200
HOUR_S = 3600.0

Work = tuple[Callable[[], object], int]
"""A call, and the number of operations that it makes."""


def a_heartbeat(nodes: int) -> Work:
    """Return a heartbeat in the registry, with the nodes in random order."""
    registry = Registry(HubSettings.of().policy)
    sessions = [registry.hello(Hello(f"node-{number:07d}", 1, 0), 0.0)[0] for number in range(nodes)]
    order = random.Random(1).choices(sessions, k=HEARTBEATS * 8)
    clock, turn = count(1), count()

    def beat() -> None:
        at, now = next(turn) % 8 * HEARTBEATS, next(clock) * 1e-3
        for session in order[at : at + HEARTBEATS]:
            registry.heartbeat(session, now)

    return beat, HEARTBEATS


def a_heartbeat_in_the_hub(nodes: int) -> Work:
    """Return a heartbeat through the hub without its connections: pause detector, registry, effects."""
    clock = ManualClock(1000.0)
    hub = open_hub(HubSettings.of(admit_per_s=0, max_nodes=nodes), clock, seed=1)
    sessions = [hub.hello(Hello(f"node-{number:07d}", 1, 0), clock.now_s)[0] for number in range(nodes)]
    order = random.Random(1).choices([each for each in sessions if each is not None], k=HEARTBEATS * 8)
    turn = count()

    def beat() -> None:
        clock.now_s += 1e-3
        at = next(turn) % 8 * HEARTBEATS
        for session in order[at : at + HEARTBEATS]:
            hub.heartbeat(session, clock.now_s, 1, 0.0)

    return beat, HEARTBEATS


def an_event(subscribers: int) -> Work:
    """Return an event for subscribers that do not read."""
    bus = EventFanout(queue_limit=5, most=subscribers)
    listening = ExitStack()
    for _ in range(subscribers):
        listening.enter_context(bus.subscribe())
    change = Change(1.0, "node-1", Status.STALE, True, False, Reason.SILENCE)
    keep = listening.pop_all()  # the subscriptions must outlive this call

    def publish() -> ExitStack:
        bus.publish(1.0, change)
        return keep

    for _ in range(6):
        publish()
    return publish, 1


def an_append(chunks: int) -> Work:
    """Return an append to a full history of the hub."""
    return appends(History(chunks, 1 << 60), chunks)


def a_spliced_append(chunks: int) -> Work:
    """Return an append to a full list that is copied each time."""
    history = SplicedHistory(chunks)
    history.chunks = [StoredChunk(1, seq, 0.0, b"") for seq in range(1, chunks + 1)]
    return appends(history, 0, chunks + 1)


def appends(history: History | SplicedHistory, filled: int, first: int = 1) -> Work:
    """Return appends to a history that is filled first; their chunks are created before."""
    seqs = count(first)
    for _ in range(filled):
        history.append(StoredChunk(1, next(seqs), 0.0, b""))
    waiting = deque([StoredChunk(1, next(seqs), 0.0, b"") for _ in range(APPENDS)] for _ in range(64))

    def append() -> None:
        for chunk in waiting.popleft():
            history.append(chunk)

    return append, APPENDS


def a_simulated_hour(nodes: int) -> Work:
    """Return a simulated hour of nodes on 5G behind WireGuard, in blocks as the virtual engine simulates it."""
    scenario = load_scenario("wireguard-5g").with_nodes(nodes).model_copy(update={"duration_s": HOUR_S})
    run_nodes(next(blocks(scenario.with_nodes(1))))

    def run() -> None:
        for plan in blocks(scenario):
            run_nodes(plan)

    return run, 1


def a_judgement(gaps: int) -> Work:
    """Return the evaluation of gaps under 23 thresholds."""
    nodes = max(1, gaps // 8640)
    each = gaps // nodes
    policies = [HubSettings.for_stale_after(float(seconds)).policy for seconds in range(10, 121, 5)]
    made = some_gaps(nodes, each)
    judge(made, policies, 86_400.0)
    return lambda: judge(made, policies, 86_400.0), 1


def some_gaps(nodes: int, each: int) -> Gaps:
    """Return gaps of about ten seconds, of which one in five hundred is long."""
    scenario = load_scenario("wireguard-5g").with_nodes(nodes)
    scenario = scenario.model_copy(update={"duration_s": each * 10.0})
    parts = [run_nodes(plan)[0] for plan in blocks(scenario)]
    found = [find_gaps(part, NO_LOSSES, scenario.duration_s) for part in parts]
    return join_gaps(found)


SUBJECTS: dict[str, tuple[Callable[[int], Work], str, tuple[int, ...]]] = {
    "heartbeat in the registry": (a_heartbeat, "nodes", (100, 1_000, 10_000, 100_000, 1_000_000)),
    "heartbeat in the hub": (a_heartbeat_in_the_hub, "nodes", (100, 1_000, 10_000, 100_000)),
    "event to all subscribers": (an_event, "subscribers", (100, 1_000, 10_000, 100_000)),
    "append, the hub's ring": (an_append, "chunks", (100, 1_000, 10_000, 100_000, 1_000_000)),
    "append, spliced list": (a_spliced_append, "chunks", (100, 1_000, 10_000, 100_000)),
    "an hour simulated": (a_simulated_hour, "nodes", (100, 1_000, 10_000)),
    "judging 23 thresholds": (a_judgement, "gaps", (1_000, 10_000, 100_000, 1_000_000)),
}
"""By name: the function that prepares it, what its size counts, and the sizes."""
