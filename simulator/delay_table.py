"""The table from which a link draws the delays of a direction: extra delay by normal score.

    33 scores    0.25 apart. They are kept if looking up the stated pairs misses none by more than TABLE_ERROR
    513 scores   1/64 apart, from which a look-up gives every pair that is at least 1/32 from the next

Delays that step up, or that are stated close together, need the second: of several pairs in a cell, or in cells next to
each other, the first can hold all only by falling in between, which quantiles cannot.
"""

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.link_records import JITTER_FINE_Z, JITTER_Z
from heartbench.simulator.outages import table_through

Floats = NDArray[np.float64]

TABLE_ERROR = 0.005
"""Share of a stated delay by which looking it up may miss."""


def delay_table(score: Floats, extra_s: Floats, base_s: float) -> Floats:
    """Return the extra delay, s, over JITTER_Z if that holds the pairs (score, extra delay beyond `base_s`).

    Otherwise return it over JITTER_FINE_Z. Pairs beyond the last score only decide the ends.
    """
    table = table_through(JITTER_Z, np.interp(JITTER_Z, score, extra_s), score, extra_s)
    missed_s = np.abs(np.interp(score, JITTER_Z, table) - extra_s)[_inside(score)]
    if np.all(missed_s <= TABLE_ERROR * (base_s + extra_s[_inside(score)])):
        return table
    at = np.union1d(score[_inside(score)], JITTER_Z[[0, -1]])
    return _fine_table(at, np.interp(at, score, extra_s))


def _inside(score: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.abs(score) <= JITTER_Z[-1])


def _fine_table(score: Floats, extra_s: Floats) -> Floats:
    """Return the table over JITTER_FINE_Z: across the cell of a pair it rises as on the flatter side of the pair.

    Where pairs share an end of their cells, the longer delay counts.
    """
    step = JITTER_FINE_Z[1] - JITTER_FINE_Z[0]
    slope = np.diff(extra_s) / np.diff(score)
    rise_s = np.minimum(np.append(slope, 0.0), np.append(0.0, slope)) * step
    cell = np.minimum(np.searchsorted(JITTER_FINE_Z, score, "right") - 1, len(JITTER_FINE_Z) - 2)
    part = (score - JITTER_FINE_Z[cell]) / step
    ends = np.full(len(JITTER_FINE_Z), -np.inf)
    np.maximum.at(ends, cell, extra_s - part * rise_s)
    np.maximum.at(ends, cell + 1, extra_s + (1 - part) * rise_s)
    known = np.isfinite(ends)
    return np.maximum.accumulate(np.interp(JITTER_FINE_Z, JITTER_FINE_Z[known], ends[known]))
