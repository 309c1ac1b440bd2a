"""Flap rules: when a node that changes between online and stale too often is marked as flapping, and until when.

    rule            the mark is set by the flap that                   and removed when
    FlapWindow      is the `threshold`-th within `window_s`            fewer than `exit_below` are left in the window
    WeightedShare   brings the weighted share of changes to `high`     a check takes the share below `low`
    FlapDecay       takes the penalty above `suppress`                 the penalty has decayed to `reuse`

A rule is data. What it remembers of a node is a tuple of times, `Times`, kept with the node and stored with it. Each
rule states the exact time at which a mark is removed if no other flap comes, so that no rule has to be asked meanwhile.

Source of WeightedShare: "Detection and Handling of State Flapping" in the manual of Nagios Core. Of the last 21
checks, 20 pairs may differ; the newest possible change weighs 50% more than the oldest; the share is Σ weights / 20.
Weights are 0.8 to 1.2 here, which has that ratio; flapping.c in Nagios Core has 0.75 to 1.25. **A check**, in a hub
that polls nobody: each flap is one, and while the status stays the same there is another, with the same result, each
`check_s` after it. They go on while the hub is away.

Source of FlapDecay: RFC 2439, "BGP Route Flap Damping", section 4. A flap adds a penalty, which halves each
`half_life_s`. The penalty is cut off at reuse · 2^(max_s / half_life_s), so that a mark is removed at most `max_s`
after the last flap. The RFC adds a penalty when a route is withdrawn; here each flap has one.
"""

from dataclasses import dataclass
from math import ceil, floor, inf, log2
from typing import ClassVar, Protocol

Times = tuple[float, ...]

CHANGES = 20
"""Pairs of successive checks among the last 21."""
WEIGHTS = tuple(1.2 - 0.4 * age / (CHANGES - 1) for age in range(CHANGES))
"""Weight of a change by its age in checks, the newest first."""


class FlapRule(Protocol):
    """A flap rule; times are s on the hub's monotonic clock."""

    name: ClassVar[str]

    def add(self, times: Times, at: float) -> Times:
        """Return what is remembered of a node after one more flap."""

    def enters(self, times: Times, at: float) -> bool:
        """Return whether the flap that was just added, at `at`, sets the mark."""

    def leaves_at(self, times: Times) -> float:
        """Return when a mark is removed if no other flap comes, s; -inf if this memory keeps no mark."""

    def counted(self, times: Times, at: float) -> int:
        """Return how many flaps count at `at`."""

    def restored(self, times: Times, now: float) -> Times:
        """Return a memory without times that cannot be: the wall clock was set between two runs, or other numbers."""

    def check_reachable(self, cycle_s: float) -> None:
        """Raise ValueError if a node that is stale and online again each `cycle_s` can never get the mark."""


@dataclass(frozen=True, slots=True)
class FlapWindow:
    """Many flaps in a window. A flap counts while its age is less than `window_s`; remembered are those that count."""

    name: ClassVar[str] = "window"

    window_s: float
    threshold: int
    exit_below: int

    def add(self, times: Times, at: float) -> Times:
        """Return the flaps that count, and the new one."""
        return (*(time for time in times if time + self.window_s > at), at)

    def enters(self, times: Times, at: float) -> bool:
        """Return whether so many flaps count."""
        return len(times) >= self.threshold

    def leaves_at(self, times: Times) -> float:
        """Return when fewer than `exit_below` are left in the window, s."""
        return times[-self.exit_below] + self.window_s if len(times) >= self.exit_below else -inf

    def counted(self, times: Times, at: float) -> int:
        """Return the flaps within the window."""
        return sum(time + self.window_s > at for time in times)

    def restored(self, times: Times, now: float) -> Times:
        """Return the times, none in the future."""
        return tuple(sorted(min(time, now) for time in times))

    def check_reachable(self, cycle_s: float) -> None:
        """Raise ValueError if fewer flaps than the threshold fit into the window: two per cycle that fits."""
        most = 2 * ceil(self.window_s / cycle_s)
        if self.threshold > most:
            raise ValueError(
                f"HUB_FLAP_THRESHOLD={self.threshold} cannot be reached: stale marks are at least {cycle_s:g} s apart "
                f"(HUB_STALE_AFTER_S, and HUB_HOLD_DOWN), so at most {most} flaps fit into HUB_FLAP_WINDOW_S="
                f"{self.window_s:g}; use 2 to {most}, or a longer window"
            )


@dataclass(frozen=True, slots=True)
class WeightedShare:
    """Nagios' weighted share of changes among the last 21 checks, in percent; remembered are the changes among them."""

    name: ClassVar[str] = "weighted"

    low: float
    high: float
    check_s: float

    def add(self, times: Times, at: float) -> Times:
        """Return the changes among the last checks, of which the new one is the last."""
        times = (*times, at)
        return times[-sum(age < CHANGES for age in self._ages(times)) :]

    def enters(self, times: Times, at: float) -> bool:
        """Return whether the share is `high` or more."""
        return self._share(self._ages(times), 0) >= self.high

    def leaves_at(self, times: Times) -> float:
        """Return the time of the first check after the last flap that takes the share below `low`, s."""
        ages = self._ages(times)
        later = 0
        while self._share(ages, later) >= self.low:
            later += 1
        return times[-1] + later * self.check_s if later else -inf

    def counted(self, times: Times, at: float) -> int:
        """Return the changes among the last checks."""
        later = checks_between(times[-1], at, self.check_s) if times else 0
        return sum(age + later < CHANGES for age in self._ages(times))

    def restored(self, times: Times, now: float) -> Times:
        """Return the times, none in the future."""
        return tuple(sorted(min(time, now) for time in times))

    def check_reachable(self, cycle_s: float) -> None:
        """Raise ValueError if two flaps each `cycle_s` do not reach `high`."""
        times: Times = ()
        for number in range(CHANGES):
            times = self.add(self.add(times, number * cycle_s), number * cycle_s)
        most = self._share(self._ages(times), 0)
        if most < self.high:
            raise ValueError(
                f"HUB_FLAP_RULE: high={self.high:g}% cannot be reached: two flaps each {cycle_s:g} s, the shortest "
                f"time between stale marks, are {most:.1f}%; use a lower one, or a check longer than {self.check_s:g}s"
            )

    def _ages(self, times: Times) -> list[int]:
        """Return the ages of changes in checks at the last of them, the newest first."""
        ages = [0] if times else []
        for before, after in zip(times[-2::-1], times[:0:-1], strict=True):
            ages.append(ages[-1] + 1 + checks_between(before, after, self.check_s))
        return ages

    def _share(self, ages: list[int], later: int) -> float:
        """Return the share in percent so many checks later."""
        return 100 / CHANGES * sum(WEIGHTS[age + later] for age in ages if age + later < CHANGES)


@dataclass(frozen=True, slots=True)
class FlapDecay:
    """RFC 2439's penalty that decays; remembered is when it will have decayed to `reuse`, from which it follows."""

    name: ClassVar[str] = "decay"

    penalty: float
    half_life_s: float
    suppress: float
    reuse: float
    max_s: float

    def add(self, times: Times, at: float) -> Times:
        """Return when the penalty, with that of the new flap, will have decayed to `reuse`."""
        left_s = self.half_life_s * log2((self._penalty(times, at) + self.penalty) / self.reuse)
        return (at + min(left_s, self.max_s),)

    def enters(self, times: Times, at: float) -> bool:
        """Return whether the penalty is above `suppress`."""
        return self._penalty(times, at) > self.suppress

    def leaves_at(self, times: Times) -> float:
        """Return when the penalty will have decayed to `reuse`, s."""
        return times[0] if times else -inf

    def counted(self, times: Times, at: float) -> int:
        """Return for how many flaps the penalty would do, rounded."""
        return round(self._penalty(times, at) / self.penalty)

    def restored(self, times: Times, now: float) -> Times:
        """Return the time, at most `max_s` from now."""
        return tuple(min(time, now + self.max_s) for time in times[:1])

    @property
    def ceiling(self) -> float:
        """The greatest penalty."""
        return self.reuse * float(2.0 ** (self.max_s / self.half_life_s))

    def check_reachable(self, cycle_s: float) -> None:
        """Raise ValueError if the penalty that two flaps each `cycle_s` approach is not above `suppress`."""
        most = min(2 * self.penalty / (1 - 2.0 ** (-cycle_s / self.half_life_s)), self.ceiling)
        if most <= self.suppress:
            raise ValueError(
                f"HUB_FLAP_RULE: suppress={self.suppress:g} cannot be reached: two flaps each {cycle_s:g} s, the "
                f"shortest time between stale marks, are {most:.6g}; use a lower one, or a longer half_life"
            )

    def _penalty(self, times: Times, at: float) -> float:
        return float(self.reuse * 2.0 ** ((times[0] - at) / self.half_life_s)) if times else 0.0


def checks_between(last_s: float, at: float, check_s: float) -> int:
    """Return the checks with the same result after the one at `last_s`, up to `at`; one at `at` is among them."""
    checks = floor((at - last_s) / check_s)
    while last_s + (checks + 1) * check_s <= at:  # a quotient that was rounded down
        checks += 1
    while checks > 0 and last_s + checks * check_s > at:
        checks -= 1
    return checks
