"""A link profile: what a network does to packets, in figures that can be measured, each with its source beside it.

A profile is a TOML file. For each direction it states the base delay, the jitter as a quantile function (pairs of
probability and extra one-way delay) and Gilbert–Elliott loss; for the link as a whole its outages (`simulator.outages`)
and how long the radio's state lasts, in one time scale or two. Jitter is linear in the normal score between the pairs,
and constant outside them.
`simulator.link` models what such a link does to a packet.
"""

from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from heartbench.simulator.delay_table import delay_table
from heartbench.simulator.link_records import DOWN, JITTER_Z, LINK, UP
from heartbench.simulator.outages import Outages
from heartbench.simulator.path import Disorder, Nat, Radio, fill_path
from heartbench.simulator.tomlfile import (
    Catalog,
    Duration,
    Fraction,
    Interval,
    PositiveInterval,
    Table,
    parse_toml,
    validate,
)
from heartbench.simulator.uplink import Uplink

PROFILES = Catalog("profile")
_NORMAL = NormalDist()


class Loss(Table):
    """Gilbert–Elliott loss in continuous time: good and bad periods of exponential length."""

    good: Fraction = Field(0.0, description="probability of losing a packet in a good period")
    bad: Fraction = Field(0.0, description="probability of losing a packet in a bad period")
    good_mean_s: Interval = Field(0.0, description="mean length of a good period; 0: no bad periods")
    bad_mean_s: Interval = Field(0.0, description="mean length of a bad period")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.good_mean_s > 0) != (self.bad_mean_s > 0):
            raise ValueError("good_mean and bad_mean must both be 0, or both be positive")
        return self


class Direction(Table):
    """What happens to packets in one direction."""

    base_delay_s: Duration = Field(description="shortest one-way delay")
    jitter: tuple[tuple[Annotated[float, Field(gt=0, lt=1)], Duration], ...] = Field(
        (), description="pairs (probability, quantile of the delay beyond base_delay), rising"
    )
    loss: Loss = Loss()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for (p, extra), (q, more) in zip(self.jitter, self.jitter[1:], strict=False):
            if q <= p or more < extra:
                raise ValueError(f"jitter must rise; ({p}, {extra} s) precedes ({q}, {more} s)")
        return self

    def jitter_s(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the extra delay, s, at normal scores."""
        if not self.jitter:
            return np.zeros_like(score)
        return np.interp(score, *self._pairs())

    def table_s(self) -> NDArray[np.float64]:
        """Return the extra delay, s, at equal steps of normal score from -4 to 4: see `simulator.delay_table`."""
        if not self.jitter:
            return np.zeros_like(JITTER_Z)
        return delay_table(*self._pairs(), self.base_delay_s)

    def _pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scores = [_NORMAL.inv_cdf(probability) for probability, _ in self.jitter]
        return np.array(scores), np.array([extra for _, extra in self.jitter])


class Profile(Table):
    """What a network does to packets."""

    summary: str = Field("", description="the profile in one line")
    mss_bytes: int = Field(1448, ge=88, le=65483, description="TCP payload of a full packet, bytes")
    jitter_correlation_s: PositiveInterval = Field(
        1.0, description="time between the moments among which the radio's state is interpolated"
    )
    jitter_slow_share: Fraction = Field(
        0.0, description="share of the variance of the radio's state that changes slowly; 0: none"
    )
    jitter_slow_correlation_s: PositiveInterval | None = Field(
        None, description="as jitter_correlation, for the slow part"
    )
    up: Direction = Field(description="from node to hub")
    down: Direction = Field(description="from hub to node")
    outage: Outages = Outages()
    nat: Nat | None = Field(None, description="a NAT that forgets idle connections; default: none")
    radio: Radio | None = Field(None, description="a radio that becomes idle; default: it never does")
    disorder: Disorder | None = Field(None, description="packets that come twice or out of order; default: none")
    address_changes: float | None = Field(
        None, gt=0, le=3600, description="changes of the node's address per hour, at random times; default: none"
    )
    uplink: Uplink | None = Field(None, description="queue of a slow way up, one for each node; default: none")

    @model_validator(mode="after")
    def _slow_part_is_slow(self) -> Self:
        slow_s = self.jitter_slow_correlation_s
        if (self.jitter_slow_share > 0) != (slow_s is not None):
            raise ValueError("jitter_slow_share and jitter_slow_correlation need each other")
        if slow_s is not None and slow_s <= self.jitter_correlation_s:
            raise ValueError(
                f"jitter_slow_correlation: {slow_s:g} s: must be longer than jitter_correlation, "
                f"{self.jitter_correlation_s:g} s"
            )
        return self

    @property
    def rtt_s(self) -> float:
        """Median round-trip time, s."""
        return float(self.rtt_quantile(np.array([0.5]))[0])

    def rtt_quantile(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantiles of the round-trip time that the profile states, s."""
        score = np.array([_NORMAL.inv_cdf(p) for p in probability])
        base = self.up.base_delay_s + self.down.base_delay_s
        return base + self.up.jitter_s(score) + self.down.jitter_s(score)

    def to_link(self, site_share: float = 0.0, site_nodes: int = 0, first_node: int = 0) -> NDArray[np.void]:
        """Return the tables of `simulator.link`: an array of one LINK record.

        Sites of `site_nodes` nodes share `site_share` of their outages; the first begins at node `first_node`.
        """
        record = np.zeros(1, LINK).view(np.recarray)
        link = record[0]
        for index, way in ((UP, self.up), (DOWN, self.down)):
            link.base_s[index] = way.base_delay_s
            table_s = way.table_s()
            link.jitter_s[index][: len(table_s)], link.jitter_cells[index] = table_s, len(table_s) - 1
            link.loss_good[index], link.loss_bad[index] = way.loss.good, way.loss.bad
            link.good_mean_s[index], link.bad_mean_s[index] = way.loss.good_mean_s, way.loss.bad_mean_s
        link.jitter_correlation_s = self.jitter_correlation_s
        link.jitter_slow_correlation_s = self.jitter_slow_correlation_s or 0.0
        link.jitter_fast, link.jitter_slow = sqrt(1.0 - self.jitter_slow_share), sqrt(self.jitter_slow_share)
        link.outage_s = self.outage.lengths_s()
        link.outage_gap_mean_s = self.outage.gap_mean_s(1.0 - site_share)
        link.site_gap_mean_s = self.outage.gap_mean_s(site_share)
        link.site_nodes, link.first_node = site_nodes, first_node
        link.alone[UP], link.alone[DOWN] = self.outage.directions.up, self.outage.directions.down
        link.hold = self.outage.hold
        link.mss_bytes = self.mss_bytes
        fill_path(link.path, self.nat, self.radio, self.disorder)
        if self.uplink is not None:
            self.uplink.fill(link.uplink, is_shared=False)
        return record


def read_profile(name_or_path: str, folder: Path = Path()) -> dict[str, Any]:
    """Return the checked data of a profile by its shipped name or its path (relative to `folder`)."""
    _, source, text = PROFILES.find(name_or_path, folder)
    data = parse_toml(text, source)
    validate(Profile, data, source)
    return data


def load_profile(name_or_path: str, folder: Path = Path()) -> Profile:
    """Return a profile by its shipped name or its path.

    Raises:
        SimulatorError: there is no such profile or it is invalid; the message is one line.
    """
    return Profile.model_validate(read_profile(name_or_path, folder))
