"""A link profile: what a network does to packets, in figures that can be measured, each with its source beside it.

A profile is a TOML file. Of both directions it gives the base delay, the jitter as a quantile function (pairs of
probability and extra one-way delay) and Gilbert–Elliott loss; of the link as a whole the outages, as rates by least
length and shares by direction and kind, and how long the radio's state lasts. What such a link then does to a packet is
`simulator.link`'s affair.

    jitter       linear in the normal score between the pairs, constant outside them
    outages      S(d) = rate of outages of at least d s: log-linear between the knots given, and beyond the last a
                 generalised Pareto tail (`simulator.tail`), whose shape and scale are stated or fitted to the
                 observed lengths. What is neither stated nor can be fitted is refused.
"""

import enum
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import DOWN, JITTER_Z, LINK, OUTAGE_E, UP
from heartbench.simulator.tail import FEWEST_LENGTHS, LEAST_SHAPE, MOST_SHAPE, Tail, fit
from heartbench.simulator.tomlfile import (
    SHORTEST_S,
    Catalog,
    Duration,
    Fraction,
    Interval,
    PositiveDuration,
    PositiveInterval,
    Table,
    parse_toml,
    validate,
)

PROFILES = Catalog("profile")
_NORMAL = NormalDist()
HOUR_S = 3600.0


class Loss(Table):
    """Gilbert–Elliott loss in continuous time: good and bad periods of exponential length."""

    good: Fraction = Field(0.0, description="probability of losing a packet in a good period")
    bad: Fraction = Field(0.0, description="the same in a bad one")
    good_mean_s: Interval = Field(0.0, description="mean length of a good period; 0: there are no bad ones")
    bad_mean_s: Interval = Field(0.0, description="mean length of a bad period")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.good_mean_s > 0) != (self.bad_mean_s > 0):
            raise ValueError("good_mean and bad_mean must both be 0 or both be longer")
        return self


class Direction(Table):
    """What happens to packets one way."""

    base_delay_s: Duration = Field(description="least one-way delay")
    jitter: tuple[tuple[Annotated[float, Field(gt=0, lt=1)], Duration], ...] = Field(
        (), description="pairs (probability, delay beyond base_delay that is not exceeded with it), rising"
    )
    loss: Loss = Loss()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for (p, extra), (q, more) in zip(self.jitter, self.jitter[1:], strict=False):
            if q <= p or more < extra:
                raise ValueError(f"jitter must rise; after ({p}, {extra} s) comes ({q}, {more} s)")
        return self

    def jitter_s(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the extra delay, s, at normal scores."""
        if not self.jitter:
            return np.zeros_like(score)
        return np.interp(score, *self._pairs())

    def table_s(self) -> NDArray[np.float64]:
        """Return the extra delay, s, at the normal scores JITTER_Z, such that looking up a pair gives that pair."""
        return through(JITTER_Z, self.jitter_s(JITTER_Z), *self._pairs())

    def _pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scores = [_NORMAL.inv_cdf(probability) for probability, _ in self.jitter]
        return np.array(scores), np.array([extra for _, extra in self.jitter])


class OutageDirections(Table):
    """Shares of the outages that cut one direction alone, or both."""

    up: Fraction = Field(0.0, description="share that cuts the way from node to hub alone")
    down: Fraction = Field(0.0, description="share that cuts the way from hub to node alone")
    both: Fraction = Field(description="share that cuts both; default: the rest")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in the rest; what is no number is refused where its key is checked."""
        if not isinstance(data, dict) or "both" in data:
            return data
        alone = [data.get(key, 0.0) for key in ("up", "down")]
        rest = 1.0 - sum(share for share in alone if isinstance(share, int | float))
        return {**data, "both": min(max(round(rest, 12), 0.0), 1.0)}

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.up + self.down + self.both - 1.0) > 1e-9:
            raise ValueError(f"up {self.up:g}, down {self.down:g} and both {self.both:g} must add up to 1")
        return self


class Lengths(enum.StrEnum):
    """How outages come by their lengths."""

    DRAWN = "drawn"
    FIXED = "fixed"


class Observed(Table):
    """The outages that were seen, one by one: what the tail is fitted to, and what tells how sure it is."""

    hours: float = Field(
        gt=0, description="time for which the network was watched, h; of one link, or of several added up"
    )
    from_s: PositiveDuration = Field(alias="from", description="least length that was counted")
    resolution_s: Duration | None = Field(
        None, description="step in which lengths were measured, 0: exactly; each is taken at the middle of its step"
    )
    lengths_s: tuple[PositiveDuration, ...] = Field(description="length of each outage of at least `from`")

    @model_validator(mode="after")
    def _none_shorter(self) -> Self:
        if self.lengths_s and min(self.lengths_s) < self.from_s:
            raise ValueError(f"lengths: {min(self.lengths_s):g} s: must be at least {self.from_s:g} s, which is `from`")
        return self

    @model_validator(mode="after")
    def _resolution_is_known(self) -> Self:
        if self.lengths_s and not self.resolution_s and max(self.lengths_s) == self.from_s:
            raise ValueError("lengths: all equal `from`: give the resolution with which they were measured")
        if self.resolution_s is None and self.lengths_s and all(length.is_integer() for length in self.lengths_s):
            raise ValueError('lengths: all whole seconds: give resolution = "1s", or "0s" if they are exact')
        return self

    @property
    def step_s(self) -> float:
        """The step in which lengths were measured, s."""
        return self.resolution_s or 0.0

    @property
    def per_hour(self) -> float:
        """Return how many outages of at least `from` were seen in an hour."""
        return len(self.lengths_s) / self.hours


class Outages(Table):
    """When the link passes no packet, in one direction or in both."""

    rates: tuple[tuple[PositiveDuration, Annotated[float, Field(gt=0)]], ...] = Field(
        (), description="pairs (length, outages per hour of at least this length), lengths rising; none: no outages"
    )
    rate_factor: float = Field(1.0, ge=0, description="multiplies all rates; lengths stay as they are")
    observed: Observed | None = Field(None, description="the outages that were seen; they continue `rates`")
    shape: Annotated[float, Field(ge=LEAST_SHAPE, lt=MOST_SHAPE)] | None = Field(
        None, description="shape of the tail beyond the last length; with `observed`, fitted to it if not given"
    )
    scale_s: PositiveDuration | None = Field(None, description="scale of the tail; given or fitted with the shape")
    lengths: Lengths = Field(Lengths.DRAWN, description="fixed: all outages have the one length in `rates`")
    directions: OutageDirections = Field(
        OutageDirections(both=1.0), description="shares of the outages that cut the way up, the way down, both"
    )
    hold: Fraction = Field(0.0, description="share that holds packets until it ends, instead of dropping them")

    @model_validator(mode="after")
    def _observed_beyond_the_rates(self) -> Self:
        if self.observed and self.rates and self.observed.from_s <= self.rates[-1][0]:
            raise ValueError(
                f"observed.from: {self.observed.from_s:g} s: must be over the last of rates, {self.rates[-1][0]:g} s"
            )
        return self

    @model_validator(mode="after")
    def _falling(self) -> Self:
        for (length, rate), (longer, fewer) in zip(self.knots, self.knots[1:], strict=False):
            if longer <= length or fewer >= rate:
                raise ValueError(
                    f"rates: longer outages must be rarer; after ({length} s, {rate:g}) comes ({longer} s, {fewer:g})"
                )
        return self

    @model_validator(mode="after")
    def _lengths_are_known(self) -> Self:
        if self.lengths is Lengths.FIXED:
            if len(self.rates) != 1 or self.observed or self.shape is not None or self.scale_s is not None:
                raise ValueError('lengths: "fixed" needs one pair in rates, and no observed, shape or scale')
        elif (self.shape is None) != (self.scale_s is None):
            raise ValueError("shape and scale need each other")
        elif self.knots and self.shape is None and len(self.observed_s) < FEWEST_LENGTHS:
            raise ValueError(
                "the longest outages are not known: give shape and scale, or observed hours and at least"
                f' {FEWEST_LENGTHS} lengths to fit them to, or lengths = "fixed"'
            )
        return self

    @model_validator(mode="after")
    def _leave_time(self) -> Self:
        if self.per_hour * SHORTEST_S > HOUR_S:
            raise ValueError("rates and rate_factor make more than an outage a millisecond; lower one of them")
        if self.out_fraction >= 1:
            raise ValueError("rates and rate_factor leave no time in which the link is up; lower one of them")
        return self

    @property
    def observed_s(self) -> tuple[float, ...]:
        """Return the lengths that were seen, s."""
        return self.observed.lengths_s if self.observed else ()

    @property
    def knots(self) -> tuple[tuple[float, float], ...]:
        """Return pairs (length in s, outages per hour of at least this length); the tail begins at the last."""
        seen = ((self.observed.from_s, self.observed.per_hour),) if self.observed and self.observed_s else ()
        return (*self.rates, *seen)

    @property
    def tail(self) -> Tail:
        """Return the distribution of the outages beyond the last knot, as stated or as fitted."""
        from_s = self.knots[-1][0]
        if self.shape is not None and self.scale_s is not None:
            return Tail(from_s, self.shape, self.scale_s)
        if self.observed is None:
            raise SimulatorError("outages of one length have no tail")
        return _fitted(self.observed_s, from_s, self.observed.step_s)

    @property
    def per_hour(self) -> float:
        """Return how many outages of any length begin in an hour."""
        return self.knots[0][1] * self.rate_factor if self.knots else 0.0

    @property
    def tail_per_hour(self) -> float:
        """Return how many outages begin in an hour that are at least as long as the last knot."""
        return self.knots[-1][1] * self.rate_factor if self.knots else 0.0

    @property
    def out_fraction(self) -> float:
        """Return the share of time in which the link is out."""
        return self.per_hour / HOUR_S * self.mean_s if self.knots else 0.0

    @property
    def gap_mean_s(self) -> float:
        """Return the mean time from the end of an outage to the next, s; 0 if there are none."""
        return self.gap_mean_of(1.0)

    def gap_mean_of(self, share: float) -> float:
        """Return what `gap_mean_s` would be if only this share of the outages happened, s; 0: there are none."""
        per_hour = self.per_hour * share
        return HOUR_S / per_hour - self.mean_s if per_hour else 0.0

    @property
    def mean_s(self) -> float:
        """Return the mean length, s: as the link draws it, linear between the entries of `lengths_s()`."""
        return table_mean_s(self.lengths_s())

    def lengths_s(self) -> NDArray[np.float64]:
        """Return the length, s, that is exceeded by a share exp(−OUTAGE_E) of all outages."""
        if not self.knots:
            return np.zeros_like(OUTAGE_E)
        if self.lengths is Lengths.FIXED:
            return np.full_like(OUTAGE_E, self.rates[0][0])
        lengths = np.array([length for length, _ in self.knots])
        scores = -np.log(np.array([rate for _, rate in self.knots]) / self.knots[0][1])
        inside = np.interp(OUTAGE_E, scores, lengths)
        beyond = self.tail.quantile_s(np.maximum(OUTAGE_E - scores[-1], 0))
        return through(OUTAGE_E, np.where(scores[-1] < OUTAGE_E, beyond, inside), scores, lengths)


@lru_cache(maxsize=64)
def _fitted(lengths_s: tuple[float, ...], from_s: float, resolution_s: float) -> Tail:
    return fit(np.array(lengths_s), from_s, resolution_s)


def table_mean_s(lengths_s: NDArray[np.float64]) -> float:
    """Return the mean of lengths drawn from a table over OUTAGE_E, linear between its entries, s."""
    weights = np.exp(-OUTAGE_E)
    step = OUTAGE_E[1] - OUTAGE_E[0]
    # ∫ (linear in e) exp(−e) de over each step, and what lies beyond the last.
    rise = np.diff(lengths_s) * (1 - (1 + step) * np.exp(-step)) / step
    inner = weights[:-1] * (lengths_s[:-1] * (1 - np.exp(-step)) + rise)
    return float(inner.sum() + weights[-1] * lengths_s[-1])


def through(
    grid: NDArray[np.float64], table: NDArray[np.float64], at: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shift a table over `grid` as little as possible so that looking up `at` gives `values`.

    Pairs seldom stand on the grid. Cutting the corners there made outages of 5 s 3% too many, and RTTs 5% too long.
    """
    inside = (at >= grid[0]) & (at <= grid[-1])
    at, values = at[inside], values[inside]
    cell = np.minimum(np.searchsorted(grid, at, "right") - 1, len(grid) - 2)
    part = (at - grid[cell]) / (grid[cell + 1] - grid[cell])
    weights = np.zeros((len(at), len(grid)))
    rows = np.arange(len(at))
    weights[rows, cell], weights[rows, cell + 1] = 1 - part, part
    shift = np.linalg.lstsq(weights, values - weights @ table)[0]
    return np.maximum.accumulate(np.maximum(table + shift, 0))


class Profile(Table):
    """What a network does to packets."""

    summary: str = Field("", description="the profile in one line")
    mss_bytes: int = Field(1448, ge=88, le=65483, description="TCP payload of a full packet, bytes")
    jitter_correlation_s: PositiveInterval = Field(
        1.0, description="distance of the moments between which the radio's state is interpolated"
    )
    up: Direction = Field(description="from node to hub")
    down: Direction = Field(description="from hub to node")
    outage: Outages = Outages()

    @property
    def rtt_s(self) -> float:
        """Return the median round-trip time, s."""
        return float(self.rtt_quantile(np.array([0.5]))[0])

    def rtt_quantile(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the round-trip times, s, that are not exceeded with these probabilities, as this file says them."""
        score = np.array([_NORMAL.inv_cdf(p) for p in probability])
        base = self.up.base_delay_s + self.down.base_delay_s
        return base + self.up.jitter_s(score) + self.down.jitter_s(score)

    def to_link(self) -> NDArray[np.void]:
        """Return the tables that `simulator.link` works with: one LINK record in an array."""
        record = np.zeros(1, LINK).view(np.recarray)
        link = record[0]
        for index, way in ((UP, self.up), (DOWN, self.down)):
            link.base_s[index] = way.base_delay_s
            link.jitter_s[index] = way.table_s()
            link.loss_good[index], link.loss_bad[index] = way.loss.good, way.loss.bad
            link.good_mean_s[index], link.bad_mean_s[index] = way.loss.good_mean_s, way.loss.bad_mean_s
        link.jitter_correlation_s = self.jitter_correlation_s
        link.outage_gap_mean_s, link.outage_s = self.outage.gap_mean_s, self.outage.lengths_s()
        link.alone[UP], link.alone[DOWN] = self.outage.directions.up, self.outage.directions.down
        link.hold = self.outage.hold
        link.mss_bytes = self.mss_bytes
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
        SimulatorError: there is none, or something in it is wrong: one line, with what is allowed.
    """
    _, source, text = PROFILES.find(name_or_path, folder)
    return validate(Profile, parse_toml(text, source), source)
