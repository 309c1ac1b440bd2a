"""The forward algorithm behind `losses`, compiled: the log likelihood of answered and lost probes."""

from math import exp, log

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.kernel import kernel, part

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIXED = 12
"""Longer runs are outages with at most one burst loss at each end."""
STATES = 3
"""States of the chain; one of fewer ways has states that it never enters."""
POINTS = 4
"""Points per probe interval at which Λ is averaged."""


@part
def outages_at_least(length_s: float, knots_s: Floats, log_rates: Floats, shape: float, scale_s: float) -> float:
    """Return Λ: outages of at least this length, per second."""
    last = len(knots_s) - 1
    if length_s >= knots_s[last]:
        excess = (length_s - knots_s[last]) / scale_s
        if abs(shape) < 1e-6:
            return exp(log_rates[last] - excess)
        base = 1.0 + shape * excess
        return exp(log_rates[last]) * base ** (-1.0 / shape) if base > 0.0 else 0.0
    if length_s <= knots_s[0]:
        return exp(log_rates[0])
    i = 0
    while length_s > knots_s[i + 1]:
        i += 1
    w = (length_s - knots_s[i]) / (knots_s[i + 1] - knots_s[i])
    return exp((1.0 - w) * log_rates[i] + w * log_rates[i + 1])


@part
def at_least(n: int, step_s: float, knots_s: Floats, log_rates: Floats, shape: float, scale_s: float) -> float:
    """Return R: outages that take at least n probes, per probe interval."""
    total = 0.0
    for i in range(POINTS):
        length_s = (n - 1 + (i + 0.5) / POINTS) * step_s
        total += outages_at_least(length_s, knots_s, log_rates, shape, scale_s)
    return total / POINTS * step_s


@kernel
def hits(
    lengths: Ints, step_s: float, knots_s: Floats, log_rates: Floats, shape: float, scale_s: float, out: Floats
) -> float:
    """Fill in how probable it is that an outage of n probes begins between two; return it for an outage of any length.

    `out[0, n]` for n up to MIXED; for the longer of the sorted `lengths`, `out[1 + i]` for n − 2, n − 1 and n.
    """
    rate = first = at_least(1, step_s, knots_s, log_rates, shape, scale_s)
    for n in range(1, MIXED + 1):
        fewer = at_least(n + 1, step_s, knots_s, log_rates, shape, scale_s)
        out[0, n] = max(rate - fewer, 0.0)
        rate = fewer
    for i in range(len(lengths)):
        if lengths[i] > MIXED:
            rate = at_least(lengths[i] - 2, step_s, knots_s, log_rates, shape, scale_s)
            for k in range(3):
                fewer = at_least(lengths[i] - 1 + k, step_s, knots_s, log_rates, shape, scale_s)
                out[1 + i, k] = max(rate - fewer, 0.0)
                rate = fewer
    return first


@part
def multiply(a: Floats, b: Floats, out: Floats, scale: float) -> None:
    """Add `scale` · a b to `out`."""
    for i in range(STATES):
        for j in range(STATES):
            total = 0.0
            for k in range(STATES):
                total += a[i, k] * b[k, j]
            out[i, j] += scale * total


@part
def add(a: Floats, out: Floats, scale: float) -> None:
    """Add `scale` · a to `out`."""
    for i in range(STATES):
        for j in range(STATES):
            out[i, j] += scale * a[i, j]


@kernel
def weigh(change: Floats, burst: Floats, hit: Floats, lengths: Ints, powers: Floats, whole: Floats) -> None:
    """Fill in the weight of all explanations of n lost probes, from state to state.

    Args:
        change: T.
        burst: T q, without an outage.
        hit: as `hits` fills it in.
        lengths: the numbers of lost probes that occur, sorted.
        powers: zeros (MIXED + 1, states, states), for T^n.
        whole: zeros (MIXED + 1 + len(lengths), states, states): up to n = MIXED by n, then by the place in `lengths`.
    """
    for i in range(STATES):
        powers[0, i, i] = whole[0, i, i] = 1.0
    for n in range(1, MIXED + 1):
        multiply(powers[n - 1], change, powers[n], 1.0)
        multiply(burst, whole[n - 1], whole[n], 1.0)
        for taken in range(1, n + 1):
            multiply(powers[taken], whole[n - taken], whole[n], hit[0, taken])
    settled, ended = powers[MIXED], powers[0]
    for k in range(STATES):
        ended[k, k] = 0.0
    multiply(settled, burst, ended, 1.0)
    for i in range(len(lengths)):
        place = whole[MIXED + 1 + i]
        if lengths[i] <= MIXED:
            add(whole[lengths[i]], place, 1.0)
        else:
            multiply(burst, ended, place, hit[1 + i, 0])
            multiply(burst, settled, place, hit[1 + i, 1])
            add(ended, place, hit[1 + i, 1])
            add(settled, place, hit[1 + i, 2])


@kernel
def walk(start: Floats, passed: Floats, runs: Floats, fresh: NDArray[np.bool_], answered: Ints, index: Ints) -> float:
    """Return the log likelihood.

    Args:
        start: stationary distribution of the state, of which there are 3.
        passed: zeros but for the first, T (1 − q) without an outage; as many powers of two as `answered` has bits.
        runs: the weights of the runs, by `index`.
        fresh: whether the state before is not known, for each run.
        answered: answered probes before each run.
        index: place of each run's weight.
    """
    total = 0.0
    a, b, c = start[0], start[1], start[2]
    for power in range(1, len(passed)):
        multiply(passed[power - 1], passed[power - 1], passed[power], 1.0)
    for i in range(len(answered)):
        if fresh[i]:
            a, b, c = start[0], start[1], start[2]
        left, power = answered[i], 0
        while left > 0:
            if left & 1:
                a, b, c = advance(a, b, c, passed[power])
                norm = a + b + c
                if norm < 1e-100:
                    norm = max(norm, 1e-300)
                    total += log(norm)
                    a, b, c = a / norm, b / norm, c / norm
            left >>= 1
            power += 1
        a, b, c = advance(a, b, c, runs[index[i]])
        norm = max(a + b + c, 1e-300)
        total += log(norm)
        a, b, c = a / norm, b / norm, c / norm
    return total


@part
def advance(a: float, b: float, c: float, matrix: Floats) -> tuple[float, float, float]:
    """Return the next distribution of three states."""
    return (
        a * matrix[0, 0] + b * matrix[1, 0] + c * matrix[2, 0],
        a * matrix[0, 1] + b * matrix[1, 1] + c * matrix[2, 1],
        a * matrix[0, 2] + b * matrix[1, 2] + c * matrix[2, 2],
    )
