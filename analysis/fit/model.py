"""What a fit found: figures with their intervals, the outages, and what the recording cannot say."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heartbench.simulator.profile import Profile

FAMILY_LEVEL = 0.95
"""Probability that all intervals of a fit contain their values."""
LEVEL = 0.998
"""Level of each single interval: with up to 25 figures (Bonferroni) they hold together with FAMILY_LEVEL."""
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""Probabilities at which such an interval ends."""


class Kind(StrEnum):
    """What an outage did with packets."""

    DROP = "drop"  # lost, one way or both; the recording does not tell which
    HOLD = "hold"  # kept, and passed on together at its end
    UP = "up"  # lost from node to hub; whether the way back was open is not known
    DOWN = "down"  # lost from hub to node alone


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the interval that contains its true value; None: the recording does not determine it."""

    value: float | None
    ci: tuple[float, float] | None = None

    @property
    def plausible(self) -> bool:
        """Whether the interval, if there is one, contains the figure itself."""
        return self.value is None or self.ci is None or self.ci[0] <= self.value <= self.ci[1]


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which no probe passed: when it began (s since the first probe), its length (s), and its kind.

    One that was on when the recording began or ended is cut: it was longer.
    """

    at_s: float
    length_s: float
    kind: Kind
    cut: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """A network as its recording shows it.

    Attributes:
        source: names of the recording's files.
        outages: outages of at least `from_s`, in order of time.
        from_s: shortest outage that counts as one; shorter ones cannot be told from loss bursts one by one.
        parameters: figures by name. Times are in s, rates in 1/h, shares in 1.
        warnings: what was assumed, and what the recording cannot say, a sentence each.
        profile: the network as a profile.
    """

    source: str
    probes: int
    lost: int
    hours: float
    interval_s: float
    outages: tuple[Outage, ...]
    from_s: float
    parameters: Mapping[str, Estimate]
    warnings: tuple[str, ...]
    profile: Profile
