"""Draws from a density that is known up to a factor: the affine-invariant ensemble of Goodman and Weare (2010).

Each walker moves along the line through another one, so that ridges between parameters that the data do not separate
cost no more steps than a round hill.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WALKERS, STEPS, KEPT = 40, 140, 100
STRETCH = 2.0


def draw(log_density: Callable[[Floats], float], start: Floats, bounds: Floats, seed: int) -> Floats:
    """Return draws, shape (n, k); the walkers begin around `start`, and keep within `bounds` of shape (k, 2)."""
    generator = np.random.default_rng(seed)
    low, high = bounds.T
    walkers = np.clip(start + 0.1 * generator.standard_normal((WALKERS, len(start))), low, high)
    values = np.array([log_density(each) for each in walkers])
    half = WALKERS // 2
    kept = []
    for step in range(STEPS):
        for first in (0, half):
            own = np.arange(first, first + half)
            others = walkers[generator.integers(half - first, WALKERS - first, half)]
            stretch = ((STRETCH - 1) * generator.uniform(size=half) + 1) ** 2 / STRETCH
            moved = others + stretch[:, None] * (walkers[own] - others)
            inside = ((moved >= low) & (moved <= high)).all(1)
            proposed = np.array([log_density(x) if ok else -np.inf for x, ok in zip(moved, inside, strict=True)])
            gain = (len(start) - 1) * np.log(stretch) + proposed - values[own]
            taken = np.log(generator.uniform(size=half)) < gain
            walkers[own[taken]], values[own[taken]] = moved[taken], proposed[taken]
        if step >= STEPS - KEPT:
            kept.append(walkers.copy())
    return np.concatenate(kept)
