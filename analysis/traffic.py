"""What a fleet sends over its links, in bytes of IP packets: counted in the model, not added up from parts.

The model gives each packet to the link with its size: heartbeats, acknowledgements, keepalive pings and their answers,
retransmissions and probes, SYNs and the HTTP/2 preface of every attempt to connect, and with `tunnel` also WireGuard's
headers, handshakes and keepalives. A packet counts where it is sent, even if it is then lost.

    headers     52 bytes a packet: IPv4 (RFC 791) 20, TCP (RFC 9293) 20, its timestamps (RFC 7323) 12
    HTTP/2      9 bytes a frame (RFC 9113, 4.1), 5 a gRPC message, and the message: `simulator.connection` has the sizes

Without `tunnel`, it is what passes inside a VPN: WireGuard adds 60 bytes to a packet, and up to 15 of padding. TLS is
not modelled. `python -m heartbench.benchmarks.hub.message_sizes` compares the sizes with a real connection.

Some nodes of each group are run again for it, alone (`explain.rerun`), because a run's record has messages and no
packets. Nodes that share a queue cannot be run alone, and are not counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.explain.rerun import Rerun, only
from heartbench.analysis.qos import DAY_S
from heartbench.simulator.engines.turns import crew_size
from heartbench.simulator.engines.virtual import rows_a_node
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.scenario import Scenario

MOST_NODES = 30
"""Nodes of a group that are counted. On wireguard-5g they give the mean to about 0.2% (95%)."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Mean bytes and packets per node-day of the simulated time, up (node to hub) and down; NaN if not counted.

    The time in which a node is off counts too, unlike in the rate of false stales, which is per node-day up.
    """

    up_bytes: float
    down_bytes: float
    up_packets: float
    down_packets: float

    @property
    def bytes_per_node_day(self) -> float:
        """Bytes in both directions."""
        return self.up_bytes + self.down_bytes


NOT_COUNTED = Traffic(nan, nan, nan, nan)


def is_counted(scenario: Scenario) -> bool:
    """Return whether the traffic of a scenario can be counted: no nodes share a queue."""
    return not any(crew_size(squad) for squad in squads(scenario))


def traffic_of(scenario: Scenario, nodes: int = MOST_NODES) -> Traffic:
    """Return what the nodes of a scenario send and are sent, the mean of all groups by their numbers of nodes.

    `nodes` is how many of each group are counted, spread evenly over its numbers.
    """
    if not is_counted(scenario):
        return NOT_COUNTED
    days, weights, sums = scenario.duration_s / DAY_S, 0, np.zeros(4)
    for squad in squads(scenario):
        mean = np.mean([sent_by(scenario, squad, node) for node in _sample(squad, nodes)], axis=0)
        sums, weights = sums + squad.count * mean, weights + squad.count
    return Traffic(*(sums / weights / days).tolist())


def sent_by(scenario: Scenario, squad: Squad, node: int) -> NDArray[np.int64]:
    """Return the bytes up and down and the packets up and down of one node in the whole run; shape (4,)."""
    rows = rows_a_node(squad, scenario.duration_s)
    while True:
        rerun = Rerun(scenario, only(squad, node), rows)
        try:
            rerun.go(scenario.duration_s)
        except AnalysisError:  # more reconnects than estimated
            rows *= 2
        else:
            return np.concatenate([rerun.sent_bytes, rerun.sent_packets])


def _sample(squad: Squad, nodes: int) -> Iterator[int]:
    for place in range(min(nodes, squad.count)):
        yield squad.first + place * squad.count // min(nodes, squad.count)
