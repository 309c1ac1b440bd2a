"""A connection to try on the kernel and on the model, what was seen of it, and the link that both get.

The link is a function of time (`simulator/link.py`), so that the kernel's packets and the model's meet the same delays
and losses though they leave some microseconds apart: independent loss is a link that passes nothing for a few
milliseconds every now and then. A loss drawn for each packet would be another one at each microsecond.
"""

from dataclasses import dataclass, field

import numpy as np

from heartbench.simulator.link import LINK, Link, make_link
from heartbench.simulator.profile import load_profile

MSS_BYTES = 1368


@dataclass(frozen=True, slots=True)
class Case:
    """A connection: `warmup` intervals, then an outage that begins at `phase` of the next one; 0 s: none."""

    rtt_s: float
    interval_s: float
    warmup: int
    outage_s: float
    phase: float
    user_timeout_s: float = 0.0
    hub_user_timeout_s: float = 0.0
    asks: bool = False  # the hub answers each heartbeat
    profile: str = ""  # the network profile whose delays the link has in place of `rtt_s`
    loss: float = 0.0  # share of the time in which the link passes nothing, in each direction by itself
    loss_s: float = 0.0  # mean length of such a time
    chunk_bytes: int = 0  # size of the messages that are sent beside the heartbeats; 0: none
    chunk_interval_s: float = 0.0
    draws: int = 0  # which of the links of this kind it is


@dataclass(slots=True)
class Seen:
    """What became of a connection. Times are s from `origin_s`, which is where the link's own time begins.

    `sent_s`, `sizes` (bytes) and `arrived_s` are of all messages of the node, preface and hello too.
    """

    origin_s: float  # on the monotonic clock
    out_from_s: float
    out_to_s: float
    start_s: float = 0.0
    min_rtt_s: float | None = None
    sent_s: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    node_closed_s: float | None = None
    hub_closed_s: float | None = None


def make_case_link(case: Case, rtt_s: float, out_s: tuple[float, float]) -> Link:
    """Return the link of a case at its time 0, with an outage from and to `out_s`; `rtt_s` counts without a profile."""
    record = np.zeros(1, LINK).view(np.recarray)
    link = record[0]
    link.base_s[:] = rtt_s / 2.0
    link.jitter_correlation_s = 1.0
    if case.profile:
        network = load_profile(case.profile).to_link()[0]
        for field in ("base_s", "jitter_s", "jitter_cells"):
            link[field] = network[field]
        link.jitter_correlation_s = network["jitter_correlation_s"]
    if case.loss > 0.0:
        link.loss_bad[:] = 1.0
        link.bad_mean_s[:] = case.loss_s
        link.good_mean_s[:] = case.loss_s * (1.0 - case.loss) / case.loss
    link.mss_bytes = MSS_BYTES
    return make_link(record, [out_s], 0, case.draws)
