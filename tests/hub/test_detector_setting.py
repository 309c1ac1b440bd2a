"""The hub judges by the detector that is set: over an in-memory transport, with no time but what is told."""

import asyncio
from collections.abc import Callable

import pytest
from tests.hub.rpc.test_connect import NODE, Line, settle

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.events.fanout import Subscription
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.mesh.encoding import heartbeat, hello

PHI = "phi threshold=8 window=5 min_deviation=0.5s"  # 5.61 deviations
LEARNED_S = 10 + 0.5 * 5.612


class Scene:
    """A hub with nodes whose heartbeats come every 10 s."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock()
        self.hub = open_hub(HubSettings.of(mass_silence_fraction=0, **settings), self.clock, MemoryStore(0.0))
        self.service = NodeService(self.hub, self.clock)
        self.lines: dict[str, Line] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, name: str, interval_s: float = 10.0, **labels: str) -> float:
        """Connect a node; return the silence that its Welcome announces."""
        line = self.lines[name] = Line().say(hello(name, heartbeat_interval_s=interval_s, labels=labels))
        self.tasks.append(asyncio.create_task(self.service.connect(NODE, aiter(line), line.send)))
        await settle()
        return line.answered[0].welcome.stale_after_s

    async def beat(self, count: int) -> None:
        for seq in range(1, count + 1):
            self.pass_time(10.0)
            for line in self.lines.values():
                line.say(heartbeat(seq))
            await settle()

    def pass_time(self, seconds: float) -> None:
        """Move the clock on, and run the hub's ticker meanwhile."""
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            self.clock.now_s = min(self.clock.now_s + 0.1, until_s)
            self.hub.tick(self.clock.now_s)

    def silence_of(self, name: str) -> float:
        """Return how long a node was online that is silent from now on, s."""
        node, silent_from_s = self.hub.registry.nodes[name], self.clock.now_s
        while node.status is Status.ONLINE:
            self.pass_time(0.1)
        return node.changed_s - silent_from_s


def reasons(events: Subscription) -> list[Reason]:
    """Return why what a subscriber has not yet read changed."""
    return [event.body.reason for event in iter(events.take, None) if event and isinstance(event.body, Change)]


def play(scene: Scene, act: Callable[[Scene], object]) -> None:
    async def play_it() -> None:
        await act(scene)  # type: ignore[misc]
        for task in scene.tasks:
            task.cancel()

    asyncio.run(asyncio.wait_for(play_it(), 30))


def test_a_node_is_stale_when_its_phi_reaches_the_threshold() -> None:
    async def act(scene: Scene) -> None:
        assert await scene.join("n") == pytest.approx(LEARNED_S, abs=0.01)
        await scene.beat(7)
        assert scene.silence_of("n") == pytest.approx(LEARNED_S, abs=0.01)

    play(Scene(detector=PHI), act)


def test_labels_choose_the_detector() -> None:
    async def act(scene: Scene) -> None:
        assert await scene.join("plain") == 30.0
        assert await scene.join("ship", site="ship") == pytest.approx(12.0)
        assert await scene.join("core", tier="core") == 15.0
        await scene.beat(3)
        assert scene.silence_of("ship") == pytest.approx(12.0, abs=0.01)
        node = scene.hub.registry.nodes["core"]
        assert node.status is Status.ONLINE
        assert node.threshold_s == pytest.approx(15.0)

    play(Scene(detector_by_label="site=ship: chen margin=2s; tier=core: fixed stale_after=15s"), act)


def test_a_change_of_labels_changes_the_detector() -> None:
    async def act(scene: Scene) -> None:
        assert await scene.join("n") == 30.0
        assert await scene.join("n", site="ship") == 12.0
        assert scene.hub.registry.nodes["n"].threshold_s == 12.0

    play(Scene(detector_by_label="site=ship: chen margin=2s"), act)


def test_another_threshold_keeps_what_was_learned_and_another_detector_begins_anew() -> None:
    async def act(scene: Scene) -> None:
        await scene.join("n")
        await scene.beat(7)
        node, settings = scene.hub.registry.nodes["n"], scene.hub.settings
        scene.hub.adopt(settings.changed(detector=PHI.replace("=8", "=2")), scene.clock.now_s)
        assert node.detector.deadline_after_restart(0.0) == pytest.approx(10 + 0.5 * 2.326, abs=0.01)
        scene.hub.adopt(settings.changed(detector="chen margin=3s"), scene.clock.now_s)
        assert node.detector.deadline_after_restart(0.0) == 13.0

    play(Scene(detector=PHI), act)


def test_another_flap_rule_leaves_the_detector_alone() -> None:
    async def act(scene: Scene) -> None:
        await scene.join("n", interval_s=9.0)
        await scene.beat(7)
        node, settings = scene.hub.registry.nodes["n"], scene.hub.settings
        before = node.detector
        assert before.deadline_after_restart(0.0) > 9 + 3
        scene.hub.adopt(settings.changed(flap_rule="decay", detector_by_label="site=ship: phi"), scene.clock.now_s)
        assert node.detector is before

    play(Scene(detector="chen margin=3s"), act)


def test_a_hold_down_delays_the_event_of_a_return_and_not_the_welcome() -> None:
    async def act(scene: Scene) -> None:
        await scene.join("n")
        scene.pass_time(31.0)
        with scene.hub.fanout.subscribe() as events:
            assert await scene.join("n") == 30.0
            assert reasons(events) == [Reason.REPLACED]
            await scene.beat(1)
            assert reasons(events) == [Reason.HEARD]

    play(Scene(hold_down="10s"), act)


def test_what_was_learned_survives_a_restart_of_the_hub() -> None:
    async def act(scene: Scene) -> None:
        await scene.join("n", interval_s=0.0)
        await scene.beat(7)
        before = scene.hub.registry.nodes["n"]
        stored = NodeRecord.from_json(record_of(before, scene.clock).to_json())
        after = node_of(stored, Registry(scene.hub.settings.policy), scene.clock, grace_s=180.0)
        assert after.detector.state(after.heard_s) == pytest.approx(before.detector.state(before.heard_s))
        assert after.threshold_s == pytest.approx(LEARNED_S, abs=0.01)

    play(Scene(detector=PHI), act)
