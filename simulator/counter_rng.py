"""Counter-based random numbers: a draw is a function of (seed, node, purpose, index).

Any worker can make any draw of any node in any order and gets the same bits, and changing one setting of a scenario
changes no draw of another: settings are compared on common random numbers. The idea is Random123's (Salmon, Moraes,
Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011); the mixing is SplitMix64's (Steele, Lea and
Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).

    key  = mix(mix(mix(seed) + node) + purpose)      one sequence for each use
    bits = mix(key + (index + 1) * 0x9E3779B97F4A7C15)
"""

from enum import IntEnum
from math import log, sqrt

import numpy as np

from heartbench.simulator.kernel import kernel, part

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


class Purpose(IntEnum):
    """What a sequence of draws is for. A seed's meaning depends on these numbers: never reuse one."""

    DELAY = 1
    OUTAGE = 2
    UP_BURST = 3
    DOWN_BURST = 4
    UP_LOSS = 5
    DOWN_LOSS = 6
    HEARTBEAT = 7
    START = 8
    BACKOFF = 9
    TIMER_PHASE = 10
    FAULT = 11
    CHUNK = 12
    FILE = 13
    OUTAGE_DIRECTION = 14
    SITE_OUTAGE_DIRECTION = 15
    OUTAGE_HOLD = 16
    SITE_OUTAGE_HOLD = 17
    SITE_OUTAGE = 18
    SHIFT = 19
    UP_ORDER = 20
    DOWN_ORDER = 21
    UP_TWICE = 22
    DOWN_TWICE = 23
    MOVE = 24
    SLOW_DELAY = 25
    TUNNEL = 26


@part
def mix(x: np.uint64) -> np.uint64:
    """Scatter 64 bits: SplitMix64's finalizer, a bijection."""
    x = (x ^ (x >> np.uint64(30))) * _M1
    x = (x ^ (x >> np.uint64(27))) * _M2
    return x ^ (x >> np.uint64(31))


@kernel
def key(seed: int, node: int, purpose: int) -> np.uint64:
    """Return the sequence of draws that `node` uses for `purpose` under `seed`."""
    return mix(mix(mix(np.uint64(seed)) + np.uint64(node)) + np.uint64(purpose))


@part
def uniform(sequence: np.uint64, index: int) -> float:
    """Return draw `index` of a sequence, uniform in (0, 1): never 0, never 1."""
    bits = mix(np.uint64(sequence) + np.uint64(index + 1) * GOLDEN)
    return (np.float64(bits >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@part
def exponential(sequence: np.uint64, index: int) -> float:
    """Return draw `index` of a sequence, exponential with mean 1."""
    return -log(uniform(sequence, index))


@part
def normal(sequence: np.uint64, index: int) -> float:
    """Return draw `index`, standard normal: Φ⁻¹ of the uniform draw (Wichura 1988, AS 241, PPND7: 7 digits)."""
    q = uniform(sequence, index) - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
        return q * top / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    r = sqrt(-log(0.5 - abs(q)))
    if r <= 5.0:
        r -= 1.6
        z = ((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777
        z /= (0.12021132975 * r + 0.73700164250) * r + 1.0
    else:
        r -= 5.0
        z = ((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150
        z /= (0.012258202635 * r + 0.24197894225) * r + 1.0
    return z if q > 0 else -z
