"""A node behind a tunnel that sends heartbeats through one outage, and what became of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.simulator.test_link import profile

from heartbench.mesh.kinds import Kind
from heartbench.simulator.connection import make_connection
from heartbench.simulator.link import UP, make_link
from heartbench.simulator.node import BEHAVIOUR, START, Events, make_node
from heartbench.simulator.session import make_rows, run
from heartbench.simulator.tunnel.handshake import REKEY_JITTER_S, REKEY_TIMEOUT_S
from heartbench.simulator.tunnel.wireguard import step, transmit_data
from heartbench.simulator.tunnel_state import EXPIRED, GIVEN_UP, WIREGUARD

RTT_S = 0.02  # of the link that tests use
CONNECTED_S = 1.0  # the tunnel has a key by then


def tunnelled(
    *cuts: tuple[float, float], kind: int = WIREGUARD, persistent_keepalive_s: float = 0.0, seed: int = 1, **fields: Any
) -> Any:
    """Return the link of a node behind a tunnel, cut from and to times in s."""
    tables = profile(**fields).view(np.recarray)
    tables[0].tunnel.kind, tables[0].tunnel.persistent_keepalive_s = kind, persistent_keepalive_s
    return make_link(tables, cuts, seed, 0)


def run_tunnel(on: Any, until: float) -> list[float]:
    """Run a tunnel without a transport and return the times of its events."""
    times = []
    while on.tunnel.next_s <= until:
        times.append(float(on.tunnel.next_s))
        step(on, times[-1])
    return times


def notes(on: Any) -> list[tuple[int, float]]:
    """Return what the tunnel has noted, in order of time."""
    tunnel = on.tunnel
    return sorted(((int(tunnel.note[i]), float(tunnel.note_s[i])) for i in range(tunnel.noted)), key=lambda it: it[1])


@dataclass(frozen=True)
class Passage:
    """Heartbeats through an outage."""

    arrived_s: list[float]
    notes: list[tuple[int, float]]
    to_s: float  # end of the outage
    key_age_s: float  # of the node's, when it ends

    @property
    def first_after_s(self) -> float:
        """First arrival after the outage began to be over, s after its end."""
        return min(at - self.to_s for at in self.arrived_s if at >= self.to_s)

    @property
    def waited(self) -> bool:
        """Whether packets of the node were staged when the outage was over, for a handshake that went on."""
        before = [what for what, at in self.notes if at < self.to_s and what in (EXPIRED, GIVEN_UP)]
        soon = [what for what, at in self.notes if self.to_s <= at <= self.to_s + REKEY_TIMEOUT_S + REKEY_JITTER_S]
        return before[-1:] == [EXPIRED] and GIVEN_UP not in soon


def passage(
    from_s: float, length_s: float, interval_s: float = 10.0, jitter: float = 0.0, kind: int = WIREGUARD, seed: int = 1
) -> Passage:
    """Return what becomes of heartbeats if the link is cut from `from_s` on for `length_s`.

    The tunnel has its first key when the node connects, so that TCP knows the same RTT with it as without it.
    """
    on, to_s = tunnelled((from_s, from_s + length_s), kind=kind, seed=seed), from_s + length_s
    if kind:
        transmit_data(on, UP, 0.0)
        run_tunnel(on, CONNECTED_S)
    behaviour = np.zeros(1, BEHAVIOUR).view(np.recarray)
    behaviour[0].heartbeat_interval_s, behaviour[0].heartbeat_jitter = interval_s, jitter
    behaviour[0].backoff_initial_s, behaviour[0].rules.ping_timeout_s = 1.0, 60.0
    node, made, rows = make_node(behaviour, seed, 0), make_connection(behaviour["rules"]), make_rows(2000)
    events = Events(np.array([CONNECTED_S]), np.array([START]))
    assert run(node, made, on, events, rows, to_s) == to_s
    key_age_s = to_s - float(on.tunnel.ends[UP].current_s)
    end_s = to_s + 1.2 * length_s + 60.0
    assert run(node, made, on, events, rows, end_s) == end_s
    used = int(rows.used[0])
    heartbeats = rows.arrived_s[:used][rows.kind[:used] == Kind.HEARTBEAT]
    return Passage(heartbeats[~np.isnan(heartbeats)].tolist(), notes(on), to_s, key_age_s)
