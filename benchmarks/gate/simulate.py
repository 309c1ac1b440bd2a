"""The power of the gate, simulated: the basis of its numbers of rounds and of its score.

    python -m heartbench.benchmarks.gate.simulate

prints the tables of docs/regression-gate.md. The log time of a process is noise of one of three kinds; pairs are
differences of two such times, scaled to a given deviation:

    normal      the noise of a quiet machine
    heavy       Student's t with 3 degrees of freedom
    disturbed   normal, and one process in thirty takes an exponential 10% longer (in addition to the deviation)

The compared tests differ only in the score that a pair counts with; all are exact.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from heartbench.benchmarks.gate import signflip
from heartbench.benchmarks.gate.phases import FIRST_LOOK
from heartbench.benchmarks.gate.verdict import Rules, is_slower

Samples = NDArray[np.float64]
SUITE = 20
LEVEL = 0.01 * FIRST_LOOK / SUITE
"""The level of Holm's first step for a suite of 20 at 1%, first look."""
CASES = ((0.03, 0.01), (0.03, 0.02), (0.05, 0.01), (0.05, 0.02), (0.05, 0.04), (0.10, 0.04))
"""Slowdowns and pair deviations."""
NOISES: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Samples]] = {
    "normal": lambda rng, shape: rng.normal(0.0, 1.0, shape),
    "heavy": lambda rng, shape: rng.standard_t(3, shape) / math.sqrt(3),
}
"""Log times of processes, of unit deviation."""
DISTURBED = "disturbed"
SCORES: Mapping[str, Callable[[Samples], Samples]] = {
    "cut at the median (ours)": lambda x: x.clip(-np.median(np.abs(x)), np.median(np.abs(x))),
    "mean": lambda x: x,
    "ranks (Wilcoxon)": lambda x: np.sign(x) * (1.0 + np.argsort(np.argsort(np.abs(x)))),
    "signs": np.sign,
}


def simulated(noise: str, slowdown: float, pair_sd: float, rounds: int, trials: int, seed: int = 0) -> Samples:
    """Return the pairs of `trials` comparisons, shape (trials, rounds), as log-ratios."""
    rng = np.random.default_rng(seed)
    shape = (trials, rounds)
    make = NOISES["normal" if noise == DISTURBED else noise]
    pairs = (make(rng, shape) - make(rng, shape)) * pair_sd / math.sqrt(2)
    if noise == DISTURBED:
        hits = [(rng.random(shape) < 1 / 30) * rng.exponential(0.1, shape) for _ in range(2)]
        pairs += hits[1] - hits[0]
    return pairs + math.log1p(slowdown)


def power(noise: str, slowdown: float, pair_sd: float, rounds: int = 16, trials: int = 400) -> float:
    """Return the share of simulated comparisons in which a benchmark is *slower* by the gate's own rule."""
    found = [is_slower(pairs, Rules(), LEVEL) for pairs in simulated(noise, slowdown, pair_sd, rounds, trials)]
    return float(np.mean(found))


def power_of_score(
    score: Callable[[Samples], Samples], noise: str, slowdown: float, pair_sd: float, trials: int = 400
) -> float:
    """Return the power with another score, by the test alone: enumerate the sums of all 2**16 flips."""
    signs = np.array([[1 - 2 * ((flip >> bit) & 1) for bit in range(16)] for flip in range(2**16)], dtype=np.float32)
    found = 0
    for pairs in simulated(noise, slowdown, pair_sd, 16, trials):
        scores = score(pairs - math.log1p(Rules().margin)).astype(np.float32)
        flipped = signs @ scores
        found += bool(np.mean(flipped >= flipped[0] * (1 - 1e-5)) <= LEVEL)
    return found / trials


def table(choices: Mapping[str, Callable[[str, float, float], float]]) -> Table:
    """Return a table of power, with one column per choice: a function of noise, slowdown and pair deviation."""
    found = Table("slowdown", "pair deviation", "noise", *choices, box=SIMPLE_HEAD)
    for slowdown, pair_sd in CASES:
        for noise in (*NOISES, DISTURBED):
            shares = (f"{of(noise, slowdown, pair_sd):.0%}" for of in choices.values())
            found.add_row(f"{slowdown:.0%}", f"{pair_sd:.0%}", noise, *shares)
    return found


if __name__ == "__main__":
    console = Console(width=120)
    console.print(f"A suite of {SUITE}, level {LEVEL:.2g} for each; at least {signflip.pairs_needed(LEVEL)} rounds")
    console.print(table({f"{n} rounds": partial(power, rounds=n) for n in (12, 16, 20, 24)}))
    console.print(table({name: partial(power_of_score, score) for name, score in SCORES.items()}))
