"""The records of a link: what its group has in common, and the state of one node's link.

`simulator.link` is what happens to packets by them. They nest the records of each model and of what else a path does.
"""

from typing import Annotated

import numpy as np

from heartbench.simulator import cuts
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.path import Activity, PathTables
from heartbench.simulator.radio import Radio
from heartbench.simulator.record import Array, Record, dtype_of
from heartbench.simulator.recorded_link import RecordedState, RecordedTables
from heartbench.simulator.tunnel_state import Tunnel, TunnelSpec
from heartbench.simulator.uplink import UplinkTables

UP, DOWN, BOTH = 0, 1, 2  # node to hub, hub to node, and an outage of both
OWN, SITE = 0, 1  # outages of the node alone, and of its whole site

# Tables hold quantiles at these normal and exponential scores (−ln of the survival), so that a draw is a look-up.
JITTER_Z, JITTER_FINE_Z = np.linspace(-4.0, 4.0, 33), np.linspace(-4.0, 4.0, 513)
OUTAGE_E = np.linspace(0.0, 24.0, 97)

MAX_PARTITIONS = 16


class LinkTables(Record):
    """What a profile says about a link, the same for all nodes of a group. Pairs are (UP, DOWN)."""

    base_s: Annotated[Array[float], 2]
    # Extra delay at equal steps of score from -4 to 4, s, not falling; how many steps: as of JITTER_Z or JITTER_FINE_Z.
    jitter_s: Annotated[Array[Array[float]], (2, len(JITTER_FINE_Z))]
    jitter_cells: Annotated[Array[int], 2]
    jitter_correlation_s: float
    jitter_slow_correlation_s: float
    jitter_fast: float  # weights of the two states of the radio; their squares add up to 1
    jitter_slow: float  # 0: there is no slow one
    loss_good: Annotated[Array[float], 2]  # probability of losing a packet
    loss_bad: Annotated[Array[float], 2]
    good_mean_s: Annotated[Array[float], 2]  # mean length of a good period; 0: there are no bad ones
    bad_mean_s: Annotated[Array[float], 2]
    outage_gap_mean_s: float  # mean time from the end of an outage to the next; 0: there are none
    outage_s: Annotated[Array[float], len(OUTAGE_E)]  # duration at OUTAGE_E, s, not falling
    mss_bytes: int  # TCP payload of a full packet
    alone: Annotated[Array[float], 2]  # share of the outages that cut this direction alone; the rest cut both
    hold: float  # share of the outages that hold packets instead of dropping them
    site_gap_mean_s: float  # as outage_gap_mean_s, for the outages that a whole site shares
    site_nodes: int  # nodes of a site, by consecutive numbers; 0: there are no sites
    first_node: int  # number of the first node of the first site
    uplink: UplinkTables
    path: PathTables
    recorded: RecordedTables  # if the link was recorded, only this and mss_bytes count
    tunnel: TunnelSpec  # of the group, not of the profile


class Link(Record):
    """One node's link: its tables, its draws, and its position in its own history. The cursors only move forward."""

    profile: LinkTables
    draws: Annotated[Array[np.uint64], len(Purpose) + 1]  # the link's sequences, by Purpose
    partitions: Annotated[Array[Array[float]], (MAX_PARTITIONS, cuts.COLUMNS)]  # ordered by the scenario, see `cuts`
    partition_count: int
    fast: Radio
    slow: Radio
    outage: Annotated[Array[int], 2]  # OWN and SITE: number of the current or next outage, -1: none was drawn yet
    outage_from: Annotated[Array[float], 2]
    outage_to: Annotated[Array[float], 2]
    bursts: Annotated[Array[int], 2]
    bad_from: Annotated[Array[float], 2]
    bad_to: Annotated[Array[float], 2]
    last_arrival: Annotated[Array[float], 2]
    sent_packets: Annotated[Array[int], 2]  # IP packets given to the link, lost ones too,
    sent_bytes: Annotated[Array[int], 2]  # and their bytes
    activity: Activity
    recorded: RecordedState
    tunnel: Tunnel  # between the transport and the link; `simulator.tunnel` drives it


LINK, LINK_STATE = dtype_of(LinkTables), dtype_of(Link)
