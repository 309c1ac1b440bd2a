"""What a profile states of outages: how often they come, how long they last, and which direction they cut.

`simulator.link` draws them.

    S(d) = rate of outages of at least d s: log-linear between the given knots; beyond the last a generalised Pareto
           tail (`simulator.tail`), whose shape and scale are stated or fitted to the observed lengths

A profile that neither states its tail nor lets it be fitted is rejected.
"""

import enum
from functools import lru_cache
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.tail import FEWEST_LENGTHS, LEAST_SHAPE, MOST_SHAPE, Tail, fit
from heartbench.simulator.tomlfile import SHORTEST_S, Duration, Fraction, PositiveDuration, Table

HOUR_S = 3600.0
NO_TIME_BETWEEN = "rates and rate_factor leave no time in which the link is up; lower one of them"


class OutageDirections(Table):
    """Shares of the outages that cut only one direction, or both."""

    up: Fraction = Field(0.0, description="share that cuts only the direction from node to hub")
    down: Fraction = Field(0.0, description="share that cuts only the direction from hub to node")
    both: Fraction = Field(
        default_factory=lambda ways: min(max(round(1.0 - ways["up"] - ways["down"], 12), 0.0), 1.0),
        description="share that cuts both; default: the remainder",
    )

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.up + self.down + self.both - 1.0) > 1e-9:
            raise ValueError(f"up {self.up:g}, down {self.down:g} and both {self.both:g} must add up to 1")
        return self


class Lengths(enum.StrEnum):
    """How the lengths of outages are chosen."""

    DRAWN = "drawn"
    FIXED = "fixed"


class Observed(Table):
    """The outages that were observed, one by one: the tail is fitted to them, and its interval follows from them."""

    hours: float = Field(
        gt=0, description="time for which the network was observed, h; of one link, or the sum over several"
    )
    from_s: PositiveDuration = Field(alias="from", description="shortest length that was counted")
    resolution_s: Duration | None = Field(
        None, description="resolution of the lengths; 0: exact. Each length counts as the middle of its step"
    )
    lengths_s: tuple[PositiveDuration, ...] = Field(description="length of each outage of at least `from`")
    cut_s: tuple[PositiveDuration, ...] = Field(
        (),
        description="time for which each of the others was seen that was on when the observation began or ended: these "
        "were longer",
    )

    @model_validator(mode="after")
    def _none_shorter(self) -> Self:
        for name, lengths_s in (("lengths", self.lengths_s), ("cut", self.cut_s)):
            shortest_s = min(lengths_s, default=self.from_s)
            if shortest_s < self.from_s:
                raise ValueError(f"{name}: {shortest_s:g} s: must be at least {self.from_s:g} s, which is `from`")
        return self

    @model_validator(mode="after")
    def _resolution_is_known(self) -> Self:
        if self.lengths_s and not self.resolution_s and max(self.lengths_s) == self.from_s:
            raise ValueError("lengths: all equal `from`; set resolution to that of the measurement")
        if self.resolution_s is None and self.lengths_s and all(length.is_integer() for length in self.lengths_s):
            raise ValueError('lengths: all are whole seconds; set resolution = "1s", or "0s" if they are exact')
        return self

    @property
    def step_s(self) -> float:
        """Resolution of the lengths, s."""
        return self.resolution_s or 0.0

    @property
    def count(self) -> int:
        """Number of observed outages of at least `from`."""
        return len(self.lengths_s) + len(self.cut_s)

    @property
    def per_hour(self) -> float:
        """Observed outages of at least `from` per hour."""
        return self.count / self.hours


class Outages(Table):
    """The times in which the link passes no packet, in one direction or in both."""

    rates: tuple[tuple[PositiveDuration, Annotated[float, Field(gt=0)]], ...] = Field(
        (), description="pairs (length, outages per hour of at least this length), lengths rising; none: no outages"
    )
    rate_factor: float = Field(1.0, ge=0, description="multiplies all rates; lengths do not change")
    observed: Observed | None = Field(None, description="the observed outages; they continue `rates`")
    shape: Annotated[float, Field(ge=LEAST_SHAPE, lt=MOST_SHAPE)] | None = Field(
        None, description="shape of the tail beyond the last length; default: fitted to `observed`"
    )
    scale_s: PositiveDuration | None = Field(None, description="scale of the tail; set or fitted with the shape")
    lengths: Lengths = Field(Lengths.DRAWN, description="fixed: all outages have the single length in `rates`")
    directions: OutageDirections = Field(
        OutageDirections(both=1.0), description="shares of the outages that cut up only, down only, both"
    )
    hold: Fraction = Field(0.0, description="share that holds packets until the outage ends, instead of dropping them")

    @model_validator(mode="after")
    def _observed_beyond_the_rates(self) -> Self:
        if self.observed and self.rates and self.observed.from_s <= self.rates[-1][0]:
            raise ValueError(
                f"observed.from: {self.observed.from_s:g} s: must be longer than the last length in rates, "
                f"{self.rates[-1][0]:g} s"
            )
        return self

    @model_validator(mode="after")
    def _falling(self) -> Self:
        for (length, rate), (longer, fewer) in zip(self.knots, self.knots[1:], strict=False):
            if longer <= length or fewer >= rate:
                raise ValueError(
                    f"rates: longer outages must be rarer; ({length} s, {rate:g}) precedes ({longer} s, {fewer:g})"
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
                "the longest outages are not known; set shape and scale, or observed with at least"
                f' {FEWEST_LENGTHS} lengths, or lengths = "fixed"'
            )
        return self

    @model_validator(mode="after")
    def _leave_time(self) -> Self:
        if self.per_hour * SHORTEST_S > HOUR_S:
            raise ValueError("rates and rate_factor give more than one outage per millisecond; lower one of them")
        if self.out_fraction >= 1:
            raise ValueError(NO_TIME_BETWEEN)
        return self

    @property
    def observed_s(self) -> tuple[float, ...]:
        """Observed lengths, s."""
        return self.observed.lengths_s if self.observed else ()

    @property
    def knots(self) -> tuple[tuple[float, float], ...]:
        """Pairs (length in s, outages per hour of at least this length); the tail begins at the last."""
        seen = ((self.observed.from_s, self.observed.per_hour),) if self.observed and self.observed.count else ()
        return (*self.rates, *seen)

    @property
    def tail(self) -> Tail:
        """Distribution of the outages beyond the last knot, stated or fitted."""
        from_s = self.knots[-1][0]
        if self.shape is not None and self.scale_s is not None:
            return Tail(from_s, self.shape, self.scale_s)
        if self.observed is None:
            raise SimulatorError("outages of one length have no tail")
        return _fitted(self.observed_s, from_s, self.observed.step_s, self.observed.cut_s)

    @property
    def per_hour(self) -> float:
        """Outages of any length per hour."""
        return self.knots[0][1] * self.rate_factor if self.knots else 0.0

    @property
    def tail_per_hour(self) -> float:
        """Outages at least as long as the last knot, per hour."""
        return self.knots[-1][1] * self.rate_factor if self.knots else 0.0

    @property
    def out_fraction(self) -> float:
        """Share of time in which the link is out."""
        return self.per_hour / HOUR_S * self.mean_s if self.knots else 0.0

    def gap_mean_s(self, share: float = 1.0) -> float:
        """Return the mean time from the end of an outage to the next, if only this share happened, s; 0: none do."""
        per_hour = self.per_hour * share
        return HOUR_S / per_hour - self.mean_s if per_hour else 0.0

    @property
    def mean_s(self) -> float:
        """Mean length as the link draws it, linear between the entries of `lengths_s()`, s."""
        return table_mean_s(self.lengths_s())

    def lengths_s(self) -> NDArray[np.float64]:
        """Return the lengths that shares exp(−OUTAGE_E) of all outages exceed, s."""
        if not self.knots:
            return np.zeros_like(OUTAGE_E)
        if self.lengths is Lengths.FIXED:
            return np.full_like(OUTAGE_E, self.rates[0][0])
        lengths = np.array([length for length, _ in self.knots])
        scores = -np.log(np.array([rate for _, rate in self.knots]) / self.knots[0][1])
        inside = np.interp(OUTAGE_E, scores, lengths)
        beyond = self.tail.quantile_s(np.maximum(OUTAGE_E - scores[-1], 0))
        table = np.where(scores[-1] < OUTAGE_E, beyond, inside)
        # A table through two knots within one step of it would leave them, steeply, for all other lengths.
        apart = np.append(np.diff(scores) >= OUTAGE_E[1], True)
        return table_through(OUTAGE_E, table, scores[apart], lengths[apart])


@lru_cache(maxsize=64)
def _fitted(lengths_s: tuple[float, ...], from_s: float, resolution_s: float, cut_s: tuple[float, ...]) -> Tail:
    return fit(np.array(lengths_s), from_s, resolution_s, cut_s)


def table_mean_s(lengths_s: NDArray[np.float64]) -> float:
    """Return the mean of lengths drawn from a table over OUTAGE_E, linear between its entries, s."""
    weights = np.exp(-OUTAGE_E)
    step = OUTAGE_E[1] - OUTAGE_E[0]
    # ∫ (linear in e) exp(−e) de over each step, and what lies beyond the last.
    rise = np.diff(lengths_s) * (1 - (1 + step) * np.exp(-step)) / step
    inner = weights[:-1] * (lengths_s[:-1] * (1 - np.exp(-step)) + rise)
    return float(inner.sum() + weights[-1] * lengths_s[-1])


def table_through(
    grid: NDArray[np.float64], table: NDArray[np.float64], at: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `table`, over `grid`, shifted as little as possible so that looking up `at` returns `values`.

    Pairs are seldom on the grid. Interpolating past them gave 3% too many outages of 5 s, and RTTs 5% too long.
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
