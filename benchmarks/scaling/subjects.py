"""What is measured at each size: the operation, ready to be called, and how many operations one call makes.

Each is made once for a size and then called some times; what it needs is made before. Orders are random where a hub's
are: an order that the memory can foresee would hide what large fleets cost.
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps
from heartbench.analysis.qos import judge
from heartbench.benchmarks.history.baseline import SplicedHistory
from heartbench.hub import Hello, HubSettings, Registry
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.events.fanout import EventFanout
from heartbench.hub.events.types import Change
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.store.history import History, StoredChunk
from heartbench.simulator.engines.virtual import blocks, run_nodes
from heartbench.simulator.scenario import load_scenario

HEARTBEATS = 2000
APPENDS = 200
HOUR_S = 3600.0

Work = tuple[Callable[[], object], int]
"""A call, and how many operations it makes."""


def a_heartbeat(nodes: int) -> Work:
    """A heartbeat in the registry, among so many nodes in random order."""
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
    """A heartbeat through all of the hub but its connections: pause detector, registry, effects."""
    clock = ManualClock(1000.0)
    hub = open_hub(HubSettings.of(admit_per_s=0, max_nodes=nodes), clock, seed=1)
    said = [hub.hello(Hello(f"node-{number:07d}", 1, 0), clock.now_s)[0] for number in range(nodes)]
    order = random.Random(1).choices([each for each in said if each is not None], k=HEARTBEATS * 8)
    turn = count()

    def beat() -> None:
        clock.now_s += 1e-3
        at = next(turn) % 8 * HEARTBEATS
        for session in order[at : at + HEARTBEATS]:
            hub.heartbeat(session, clock.now_s, 1, 0.0)

    return beat, HEARTBEATS


def an_event(subscribers: int) -> Work:
    """An event handed to so many subscribers who do not read."""
    bus = EventFanout(queue_limit=5, most=subscribers)
    listening = ExitStack()
    for _ in range(subscribers):
        listening.enter_context(bus.subscribe())
    change = Change(1.0, "node-1", Status.STALE, True, False, Reason.SILENCE)
    keep = listening.pop_all()  # those who listen must not end with this call

    def publish() -> ExitStack:
        bus.publish(1.0, change)
        return keep

    for _ in range(6):
        publish()
    return publish, 1


def an_append(chunks: int) -> Work:
    """A chunk more in the hub's history that holds so many."""
    return appends(History(chunks, 1 << 60), chunks)


def a_spliced_append(chunks: int) -> Work:
    """A chunk more in a list that holds so many and is copied each time."""
    keeper = SplicedHistory(chunks)
    keeper.chunks = [StoredChunk(1, seq, 0.0, b"") for seq in range(1, chunks + 1)]
    return appends(keeper, 0, chunks + 1)


def appends(keeper: History | SplicedHistory, filled: int, first: int = 1) -> Work:
    """So many appends to a history that is filled first; their chunks exist before."""
    seqs = count(first)
    waiting: deque[list[StoredChunk]] = deque()
    for _ in range(filled):
        keeper.append(StoredChunk(1, next(seqs), 0.0, b""))
    for _ in range(64):
        waiting.append([StoredChunk(1, next(seqs), 0.0, b"") for _ in range(APPENDS)])

    def append() -> None:
        for chunk in waiting.popleft():
            keeper.append(chunk)

    return append, APPENDS


def a_simulated_hour(nodes: int) -> Work:
    """An hour of so many nodes on 5G behind WireGuard, simulated; in blocks, as the virtual engine does it."""
    scenario = load_scenario("wireguard-5g").with_nodes(nodes).model_copy(update={"duration_s": HOUR_S})
    run_nodes(next(blocks(scenario.with_nodes(1))))

    def run() -> None:
        for plan in blocks(scenario):
            run_nodes(plan)

    return run, 1


def a_judgement(gaps: int) -> Work:
    """So many gaps judged under 23 thresholds."""
    nodes = max(1, gaps // 8640)
    each = gaps // nodes
    policies = [HubSettings.for_stale_after(float(seconds)).policy for seconds in range(10, 121, 5)]
    made = some_gaps(nodes, each)
    judge(made, policies, 86_400.0)
    return lambda: judge(made, policies, 86_400.0), 1


def some_gaps(nodes: int, each: int) -> Gaps:
    """Gaps of about ten seconds, one in five hundred of them long."""
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
"""By name: what makes it, what its size counts, the sizes."""
