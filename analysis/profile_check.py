"""What a profile loses of the recording that it was made from: the gaps of one fleet on both.

The same nodes, with the same draws, run on links that draw from the profile and on links that replay the recording.
The rates of gaps have two different intervals:

    profile      of the simulation: more nodes narrow it
    recording    of the network: what one passage of the recording counts, as a Poisson count (Garwood's interval). It
                 depends on the length of the recording alone, because nodes that replay it see no other network

If the profile's rate is outside the recording's interval, the profile misses something that the recording shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.gaps import Gaps
from heartbench.analysis.intervals import poisson_interval, rate_interval
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.simulated import simulate_gaps
from heartbench.simulator.profile import Profile
from heartbench.simulator.replay import Replay
from heartbench.simulator.scenario import Scenario

Floats = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
OVER_S = (10.0, 20.0, 30.0, 60.0, 90.0)
LEAST_COUNT = 0.5
"""What a passage counts less often only few nodes saw, by the phase of their heartbeats: it counts as none."""


@dataclass(frozen=True, slots=True)
class Side:
    """The gaps of a fleet on one of the two networks.

    Attributes:
        quantiles_s: gaps that ended at QUANTILES, s.
        per_node_day: gaps longer than each of OVER_S, per node-day.
        ci: their intervals; shape (k, 2).
    """

    quantiles_s: Floats
    per_node_day: Floats
    ci: Floats


@dataclass(frozen=True, slots=True)
class Check:
    """The gaps under a profile and under a recording of `hours`, of fleets that ran for so many node-days."""

    profile: Side
    recording: Side
    hours: float
    node_days: float

    @property
    def within(self) -> NDArray[np.bool_]:
        """Whether the profile's rate of gaps is in the recording's interval, for each of OVER_S."""
        low, high = self.recording.ci.T
        return np.asarray((low <= self.profile.per_node_day) & (self.profile.per_node_day <= high))


def check(
    profile: Profile,
    recording: Replay,
    scenario: Scenario,
    advance: Callable[[int], None] | None = None,
) -> Check:
    """Simulate a scenario's first group on both networks, without faults or sites.

    Raises:
        SimulatorError: the recording cannot be replayed.
    """
    recording = recording.model_copy(update={"mss_bytes": profile.mss_bytes})
    drawn, replayed = (simulate_gaps(_on(link, scenario), advance=advance)[0] for link in (profile, recording))
    passage_days = recording.observed_s / DAY_S
    in_a_passage = _counts(replayed).sum(0) / _node_days(replayed).sum() * passage_days
    seen = poisson_interval(np.where(in_a_passage < LEAST_COUNT, 0.0, in_a_passage)) / passage_days
    return Check(
        profile=_side(drawn, rate_interval(_counts(drawn)[:, None], _node_days(drawn)[:, None], independent=True)),
        recording=_side(replayed, seen),
        hours=recording.observed_s / 3600,
        node_days=float(_node_days(drawn).sum()),
    )


def _on(link: Profile | Replay, scenario: Scenario) -> Scenario:
    changes = {"link": link, "profile": None, "site": None}
    group = scenario.group[0].model_copy(update=changes)
    return scenario.model_copy(update={"group": (group,), "fault": (), "hub_fault": ()})


def _side(gaps: Gaps, ci: Floats) -> Side:
    ended_s = gaps.length_s[gaps.heard & ~gaps.away]
    quantiles_s = np.quantile(ended_s, QUANTILES) if len(ended_s) else np.full(len(QUANTILES), np.nan)
    return Side(quantiles_s, _counts(gaps).sum(0) / _node_days(gaps).sum(), ci)


def _counts(gaps: Gaps) -> NDArray[np.int64]:
    """Return each node's gaps longer than each of OVER_S; shape (nodes, k)."""
    return np.stack([_of_each_node(gaps, gaps.up_s > over_s) for over_s in OVER_S], axis=1).astype(np.int64)


def _node_days(gaps: Gaps) -> Floats:
    """Return how long each node was up, in days."""
    return _of_each_node(gaps, gaps.up_s) / DAY_S


def _of_each_node(gaps: Gaps, values: Sequence[float] | NDArray[np.generic]) -> Floats:
    """Return the sum over the gaps of each node."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[gaps.first[1:]] - total[gaps.first[:-1]])


def as_json(found: Check) -> dict[str, Any]:
    """Return a check as one JSON object, without what it was made of."""
    return {
        "hours": found.hours,
        "node_days": found.node_days,
        "gap_s": {
            f"p{q * 100:g}": {"profile": found.profile.quantiles_s[i], "recording": found.recording.quantiles_s[i]}
            for i, q in enumerate(QUANTILES)
        },
        "gaps_per_node_day": [
            {
                "over_s": over_s,
                **{
                    name: {"value": side.per_node_day[i], "ci": side.ci[i].tolist()}
                    for name, side in (("profile", found.profile), ("recording", found.recording))
                },
                "within": bool(found.within[i]),
            }
            for i, over_s in enumerate(OVER_S)
        ],
    }
