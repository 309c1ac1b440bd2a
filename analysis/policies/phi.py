"""Phi accrual detectors over arrays; formulas, sources and what counts are in `heartbench.hub.liveness.phi`."""

from collections.abc import Callable
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.analysis.policies.expected_arrival import HEARTBEAT, Floats, intervals_of
from heartbench.hub import Phi, PhiExponential
from heartbench.simulator.kernel import kernel


class Rule(NamedTuple):
    """The silence allowed is `per_mean` · μ + `per_deviation` · max(σ, `least_deviation_s`) + `more_s`, within bounds.

    A gap counts up to `longest_gap` intervals; 0: up to the silence that was allowed.
    """

    per_mean: float
    per_deviation: float
    least_deviation_s: float
    more_s: float
    shortest_s: float
    longest_s: float
    longest_gap: float


def normal(parameters: Phi, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    bounds = parameters.shortest_s, parameters.longest_s
    rule = Rule(1.0, parameters.z, parameters.min_deviation_s, parameters.pause_s, *bounds, 0.0)
    return _silences(parameters, arrivals(), rule)


def exponential(parameters: PhiExponential, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    bounds = parameters.shortest_s, parameters.longest_s
    rule = Rule(parameters.threshold * log(10), 0.0, 0.0, 0.0, *bounds, parameters.longest_gap)
    return _silences(parameters, arrivals(), rule)


def _silences(parameters: Phi | PhiExponential, seen: Arrivals, rule: Rule) -> Floats:
    silence_s, gaps_s = np.empty(len(seen.at_s)), np.empty(parameters.window)
    intervals_s = intervals_of(parameters, seen)
    first_gaps = np.array(parameters.first_gaps)
    judge_gaps(seen.first, seen.at_s, seen.kind, intervals_s, first_gaps, rule, gaps_s, silence_s)
    return silence_s


@kernel
def judge_gaps(
    first: NDArray[np.int64],
    at_s: Floats,
    kind: NDArray[np.int8],
    interval_s: Floats,
    first_gaps: Floats,
    rule: Rule,
    gaps_s: Floats,
    silence_s: Floats,
) -> None:
    """Write the silence allowed after each arrival, s; `gaps_s` is working space for the gaps remembered."""
    size = len(gaps_s)
    for node in range(len(first) - 1):
        count = oldest = 0
        total = squares = silence = 0.0
        heartbeat = -np.inf
        begin, end = first[node], first[node + 1]
        for i in range(begin - len(first_gaps), end):  # those before `begin` are the first gaps
            gap, counts = 0.0, True
            if i < begin:
                gap = first_gaps[i - begin + len(first_gaps)] * interval_s[node]
            elif kind[i] == HEARTBEAT:
                gap = at_s[i] - heartbeat
                heartbeat = at_s[i]
                counts = gap <= (rule.longest_gap * interval_s[node] if rule.longest_gap > 0.0 else silence)
            else:
                counts = False
            if counts:
                if count < size:
                    gaps_s[count] = gap
                    total += gap
                    squares += gap * gap
                    count += 1
                else:
                    total += gap - gaps_s[oldest]
                    squares += gap * gap - gaps_s[oldest] * gaps_s[oldest]
                    gaps_s[oldest] = gap
                    oldest += 1
                    if oldest == size:
                        oldest, total, squares = 0, 0.0, 0.0
                        for k in range(size):
                            total += gaps_s[k]
                            squares += gaps_s[k] * gaps_s[k]
                mean = total / count
                deviation = max(np.sqrt(max(squares / count - mean * mean, 0.0)), rule.least_deviation_s)
                silence = rule.per_mean * mean + rule.per_deviation * deviation + rule.more_s
                silence = min(max(silence, rule.shortest_s), rule.longest_s)
            if i >= begin:
                silence_s[i] = silence
