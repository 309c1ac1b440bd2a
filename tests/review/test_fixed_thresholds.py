"""Finding: the stale threshold of 30 s and the flap window of 60 s are fixed.

A node sends a heartbeat every 10 s over a mobile network whose outages come to it as TCP makes them. Time is told.
"""

from collections.abc import Iterable, Iterator

import pytest
from tests.review.conftest import Measured

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.rules import Status
from heartbench.hub.liveness.self_health import TICK_S

INTERVAL_S = 10.0
GAP_OF_20_S = 39.0
GAP_OF_40_S = 77.9
"""Longest gap at the hub, s, after an outage of 20 s and of 40 s: measured on the kernel's TCP at a round-trip time of
85 ms; `heartbench ladder` has more."""


class Scene:
    """A hub that is set as the environment says, and its only node."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.hub = open_hub(HubSettings.load(), self.clock)
        session, _ = self.hub.hello(Hello("n", 1, 0, INTERVAL_S), self.clock.now_s)
        assert session is not None
        self.session = session

    def pass_time(self, for_s: float) -> Iterator[float]:
        """Tick the hub; yield the time that has passed at each tick."""
        began_s = self.clock.now_s
        for beat in range(1, round(for_s / TICK_S) + 1):
            self.clock.now_s = began_s + beat * TICK_S
            self.hub.tick(self.clock.now_s)
            yield beat * TICK_S

    def hear(self, gaps_s: Iterable[float]) -> None:
        """Heartbeats, each so long after the one before."""
        for gap_s in gaps_s:
            for _ in self.pass_time(gap_s):
                pass
            self.hub.heartbeat(self.session, self.clock.now_s, 0, 0.0)

    def noticed_after_s(self, at_most_s: float = 300.0) -> float:
        """Time from the last heartbeat of a node that died to when the hub calls it stale."""
        stale = (at_s for at_s in self.pass_time(at_most_s) if self.session.node.status is Status.STALE)
        return next(stale, at_most_s)


def test_outages_that_end_within_the_threshold_that_was_set_flash_nobody(
    monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "90")
    monkeypatch.setenv("HUB_FLAP_WINDOW_S", "180")
    scene = Scene()
    outages = [GAP_OF_20_S] * 5 + [GAP_OF_40_S]
    scene.hear([gap_s for outage in outages for gap_s in (outage, *[INTERVAL_S] * 50)])
    measured(f"flashes of {len(outages)} outages in an hour, 90 s asked for", str(scene.hub.effects.flashes))
    assert scene.hub.effects.flashes == 0


def test_a_dead_node_is_noticed_within_the_threshold_that_was_set(
    monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "3")
    scene = Scene()
    scene.hear([1.0] * 10)
    noticed_s = scene.noticed_after_s()
    measured("s until a dead node is noticed, 3 s asked for", f"{noticed_s:.1f}")
    assert noticed_s == pytest.approx(3.0, abs=2 * TICK_S)


def test_a_node_that_flaps_within_the_window_that_was_set_is_marked_and_flashes_no_more(
    monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    monkeypatch.setenv("HUB_FLAP_WINDOW_S", "600")
    scene = Scene()
    scene.hear([GAP_OF_20_S, *[INTERVAL_S] * 8] * 30)
    measured("flashes of 30 outages in an hour, a window of 600 s asked for", str(scene.hub.effects.flashes))
    assert scene.hub.effects.flashes <= scene.hub.settings.flap_threshold
    assert scene.session.node.flapping
