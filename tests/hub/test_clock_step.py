"""The machine's wall clock is set (NTP, resume, by hand) while the hub runs: no status and no deadline moves."""

import asyncio
from collections.abc import Callable

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.rpc import protobuf_mapping as mapping

DAY_S = 86_400.0
SETTINGS = HubSettings.of(stale_after_s=30, flap_window_s=120, forget_after=600)


def live(step: Callable[[ManualClock], None]) -> tuple[list[tuple[str, Status, float, bool]], list[Change], Hub]:
    """Return the nodes (name, status, deadline, flapping) and all changes of a hub whose clock is stepped midway."""

    async def scene() -> tuple[list[tuple[str, Status, float, bool]], list[Change], Hub]:
        clock = ManualClock(100.0)
        hub = open_hub(SETTINGS, clock, seed=1)
        sessions = {name: hub.hello(Hello(name, 1, 0), clock.now_s)[0] for name in ("beats", "flaps", "dies", "leaves")}
        left = sessions["leaves"]
        assert left is not None
        hub.goodbye(left, clock.now_s)
        for second in range(1, 300):
            clock.now_s = 100.0 + second / 2
            if second == 250:
                step(clock)
            for name, every in (("beats", 20), ("flaps", 70)):
                session = sessions[name]
                if second % every == 0 and session is not None:
                    hub.heartbeat(session, clock.now_s, second, clock.unix(clock.now_s))
            hub.tick(clock.now_s)
            assert hub.expired_nodes(clock.now_s) == []
        log = hub.fanout._log
        changes = [event.body for event in log if isinstance(event.body, Change)]
        assert len(changes) == len(log)  # no pause, no mass silence
        nodes = hub.registry.nodes.values()
        return [(node.node_id, node.status, node.deadline_s, node.flapping) for node in nodes], changes, hub

    return asyncio.run(scene())


def step_by(seconds: float) -> Callable[[ManualClock], None]:
    def step(clock: ManualClock) -> None:
        clock.unix_offset_s += seconds

    return step


@pytest.mark.parametrize("seconds", [-365 * DAY_S, -DAY_S, -1.0, 1.0, DAY_S, 365 * DAY_S])
def test_a_step_of_the_clock_moves_nothing(seconds: float) -> None:
    nodes, changes, hub = live(step_by(seconds))
    undisturbed, expected, _ = live(step_by(0.0))
    assert nodes == undisturbed
    assert changes == expected
    assert [change.node_id for change in changes if change.reason is Reason.FLAPS_ENTRY] == ["flaps"]
    assert hub.pauses.pauses == 0


def test_times_are_shown_on_the_new_clock() -> None:
    clock = ManualClock(100.0, unix_offset_s=0.0)

    async def scene() -> None:
        hub = open_hub(SETTINGS, clock, seed=1)
        hub.hello(Hello("n", 1, 0), clock.now_s)
        clock.now_s = 110.0
        clock.unix_offset_s += 3600.0
        info = mapping.node_info(hub, hub.node("n"), clock)
        assert (info.silent_s, info.changed_unix_s) == (10.0, 3700.0)

    asyncio.run(scene())
