"""The signs of life of some nodes, as a detector over arrays sees them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Signs of life by node and time of arrival: n nodes, m arrivals.

    Attributes:
        first: where each node's arrivals begin, and at last where all end; shape (n + 1,).
        at_s: time of arrival, s; shape (m,).
        seq: number of a heartbeat, from 1 in each boot of its node; of other kinds not used; shape (m,).
        kind: `heartbench.mesh.kinds.Kind`; shape (m,).
        interval_s: heartbeat interval that each node announces, s; 0: not announced; shape (n,).
    """

    first: NDArray[np.int64]
    at_s: NDArray[np.float64]
    seq: NDArray[np.integer]
    kind: NDArray[np.int8]
    interval_s: NDArray[np.float64]
