"""What equal delays hide of the radio's state.

A link may pass many packets at exactly the same delay, for instance its least. All of these have one normal score, the
middle one, although the radio's states behind them differ. The scores g(z) then correlate less than the states z do: of
two states that correlate with ρ the scores correlate with

    C(ρ) = E[g(z) g(ρ z + √(1 − ρ²) w)] / E[g(z)²]        z, w independent, standard normal

which rises with ρ, so that it can be undone. Without ties C(ρ) = ρ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

CELLS, STEPS = 300, 40
"""Normals on each axis, and values of ρ, at which C is calculated."""
LEAST_SLOPE = 1e-3


@dataclass(frozen=True, slots=True)
class Ties:
    """Correlations of the states, and what the scores with ties show of each; both rise."""

    of_states: Floats
    of_scores: Floats

    def hide(self, correlation: Floats) -> Floats:
        """Return the correlation of the scores of states that correlate with this."""
        return np.interp(correlation, self.of_states, self.of_scores)

    def undo(self, correlation: Floats) -> Floats:
        """Return the correlation of the states whose scores correlate with this."""
        return np.interp(correlation, self.of_scores, self.of_states)


NO_TIES = Ties(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))


def ties_of(scores: Floats) -> Ties:
    """Return what the ties among normal scores hide."""
    ordered = np.sort(scores)
    if (np.diff(ordered) > 0).all():
        return NO_TIES
    ordered = ordered - ordered.mean()
    normals = ndtri((np.arange(CELLS) + 0.5) / CELLS)
    own = _score(ordered, normals)
    distance = np.linspace(1.0, 0.0, STEPS)
    rho = 1.0 - distance**2  # near 1, C falls with the root of 1 − ρ
    other = [_score(ordered, r * normals[:, None] + np.sqrt(1 - r * r) * normals).mean(1) for r in rho]
    seen = np.maximum.accumulate(np.array(other) @ own / float(own @ own))
    seen[0], seen[-1] = 0.0, 1.0
    slope = max(float(seen[1] / rho[1]), LEAST_SLOPE)
    return Ties(np.concatenate([[-1.0], rho]), np.concatenate([[-slope], seen]))


def _score(ordered: Floats, state: Floats) -> Floats:
    """Return g: the score at the same share of the sorted ones as the state's."""
    place = (ndtr(state) * len(ordered)).astype(np.int64)
    return np.asarray(ordered[np.minimum(place, len(ordered) - 1)])
