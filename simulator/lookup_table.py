"""A lookup table that keeps the pairs it was made from."""

import numpy as np
from numpy.typing import NDArray


def table_through(
    grid: NDArray[np.float64], table: NDArray[np.float64], at: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `table`, over `grid`, shifted as little as possible so that looking up `at` returns `values`.

    Pairs are seldom on the grid. Interpolating past them gave 3% too many outages of 5 s, and RTTs 5% too long.
    """
    inside = (at >= grid[0]) & (at <= grid[-1])
    at, values = at[inside], values[inside]
    cell = np.minimum(np.searchsorted(grid, at, "right") - 1, len(grid) - 2)
    part = (at - grid[cell]) / (grid[cell + 1] - grid[cell])
    weights = np.zeros((len(at), len(grid)))
    rows = np.arange(len(at))
    weights[rows, cell], weights[rows, cell + 1] = 1 - part, part
    shift = np.linalg.lstsq(weights, values - weights @ table)[0]
    return np.maximum.accumulate(np.maximum(table + shift, 0))
