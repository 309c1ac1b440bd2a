"""Every detector in a hub that is paused and restarted, against the same over arrays."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from tests.analysis.test_absences import END_S, RealHub, Spans, absences, changes_of, counted, judge, node_lives
from tests.analysis.test_qos import trace

from heartbench.analysis.absences import ALWAYS_THERE
from heartbench.analysis.gaps import NO_LOSSES, find_gaps
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.node import Hello
from heartbench.mesh.kinds import Kind

DETECTORS = (
    "chen margin=2s window=3 interval=4s",
    "two-window margin=2s short=1 long=4 interval=4s",
    "bertier window=3 min_margin=1s interval=4s",
    "phi threshold=2 window=4 min_deviation=0.5s interval=4s",
    "phi-exponential threshold=1 window=4 interval=4s",
)


class NumberingHub(RealHub):
    """The same, of a node that numbers its heartbeats; `heard` has its messages."""

    def __init__(self, hub: HubSettings) -> None:
        self.heard: list[tuple[float, Kind]] = []
        super().__init__(hub)

    def hear(self) -> None:
        now, number = self.clock.now_s, len(self.heard)
        if self.session is None:
            self.heard.append((now, Kind.HELLO))
            self.connection += 1
            self.session, _ = self.hub.hello(Hello("n", 1, self.connection), now)
        else:
            self.heard.append((now, Kind.HEARTBEAT))
            self.hub.heartbeat(self.session, now, number, 0.0)


def has_pause_after_restart(heard_s: list[float], spans: Spans) -> bool:
    """Return whether the hub is paused after a restart, before the node is heard again: see `absences`."""
    back_s = [to_s for _, to_s, is_restart in spans if is_restart]
    pauses_s = [from_s for from_s, _, is_restart in spans if not is_restart]
    return any(a <= b and not any(a <= at <= b for at in heard_s) for a in back_s for b in pauses_s)


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=15, deadline=None)
@given(node_lives())
def test_judges_as_a_hub_does_that_is_away_at_times(detector: str, life: tuple[list[float], Spans]) -> None:
    heard_s, spans = life
    assume(not has_pause_after_restart(heard_s, spans))
    hub = HubSettings.of(detector=detector, stale_after_s=5.0, restart_grace_s=7.0, mass_silence_fraction=0)
    real = NumberingHub(hub)
    said = counted(changes_of(real, heard_s, spans), spans)
    away = absences(*spans) if spans else ALWAYS_THERE
    gaps = find_gaps(trace(real.heard), NO_LOSSES, END_S, away, interval_s=np.zeros(1))
    found = judge(gaps, hub)
    assert found.mistakes.sum() == said.mistakes
    assert found.mistake_s[0] == pytest.approx(said.mistake_s, abs=1e-6)
    assert (found.flaps[0], found.flashes[0], found.entries[0]) == (said.flaps, said.flashes, said.entries)
