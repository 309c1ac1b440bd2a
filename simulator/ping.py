"""Ping on a modelled link: repeats on the model the measurement that its profile was made from.

`survey` asks many links, and knows their outages; `record` keeps what the probes of one link saw, as a log would.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import DOWN, OWN, UP, Link, make_link, next_outage, rewind, transmit
from heartbench.simulator.outages import HOUR_S
from heartbench.simulator.profile import Profile
from heartbench.simulator.recordings import Recording


@dataclass(frozen=True, slots=True)
class Survey:
    """What pings and the observation of outages found, over all nodes.

    Sorted: the round-trip time of each ping that was answered, and the length of each outage that began.
    """

    rtt_s: NDArray[np.float64]
    sent: int
    outages_s: NDArray[np.float64]
    hours: float

    def outages_per_hour(self, at_least_s: float) -> float:
        """Return how many outages of at least `at_least_s` began per node-hour."""
        return float(len(self.outages_s) - np.searchsorted(self.outages_s, at_least_s)) / self.hours

    @property
    def lost(self) -> float:
        """Share of pings that were not answered."""
        return 1 - len(self.rtt_s) / self.sent


def survey(profile: Profile, duration_s: float, nodes: int = 100, seed: int = 1) -> Survey:
    """Ping once per second over the links of `nodes` nodes, for `duration_s`.

    Raises:
        SimulatorError: there is nothing to measure in so short a time.
    """
    if duration_s < 1 or nodes < 1:
        raise SimulatorError(f"to measure a profile takes a second and a node at least, not {duration_s} s and {nodes}")
    up, down = (make_link(profile.to_link(), (), seed, 0) for _ in (UP, DOWN))
    rtt = np.full((nodes, int(duration_s)), np.nan)
    outages: list[float] = []
    for node in range(nodes):
        rewind(up, seed, node)
        rewind(down, seed, node)
        _ping(up, down, 1.0, rtt[node])
        rewind(up, seed, node)
        outages.extend(_outages(up, duration_s))
    answered = np.sort(rtt[~np.isnan(rtt)])
    return Survey(answered, rtt.size, np.sort(outages), nodes * duration_s / HOUR_S)


def dropping(profile: Profile) -> Profile:
    """Return the profile with outages that drop all packets, so that none holds a ping."""
    return profile.model_copy(update={"outage": profile.outage.model_copy(update={"hold": 0.0})})


def record(profile: Profile, duration_s: float, seed: int = 1, step_s: float = 1.0) -> Recording:
    """Return a recording of pings `step_s` apart over the link of node 0."""
    up, down = (make_link(profile.to_link(), (), seed, 0) for _ in (UP, DOWN))
    rtt_s = np.full(round(duration_s / step_s), np.nan)
    _ping(up, down, step_s, rtt_s)
    return Recording(
        source=profile.summary,
        sent_s=np.arange(len(rtt_s), dtype=np.float64) * step_s,
        rtt_s=rtt_s,
        up_s=None,
        down_s=None,
        stretch=np.zeros(len(rtt_s), np.int32),
        interval_s=step_s,
    )


@kernel
def _ping(up: Link, down: Link, step_s: float, rtt: NDArray[np.float64]) -> None:
    """Record the round-trip times of pings `step_s` apart; a ping lost either way leaves none.

    `up` and `down` are the same link, once for each direction: a ping that an outage holds is answered after later ones
    were sent, and `transmit` is called in the order of time.
    """
    for i in range(len(rtt)):
        sent = i * step_s
        there = transmit(up, UP, sent)
        if not np.isnan(there):
            rtt[i] = transmit(down, DOWN, there) - sent


def _outages(link: Link, duration_s: float) -> Iterator[float]:
    """Yield the length of each outage that begins within `duration_s`."""
    start, end, _, _ = next_outage(link, OWN, 0.0)
    while start < duration_s:
        yield end - start
        start, end, _, _ = next_outage(link, OWN, end)
