"""Times of a log that go back: rows out of order, or a clock that was set.

Both look alike in one row. A clock was set back if the rows from then on, of nodes that were listed before, all lie
before the last row, for less than MOST_BACK_S, and this happens MOST_JUMPS times in a file at most. Then later times
are moved on by as much, so that the first row behind the jump has the time of the last before it: how long the silence
between them was cannot be known. Whatever else is out of order is sorted.
"""

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.imports.rows import Floats

LEAST_BACK_S = 1.0
MOST_BACK_S = 7200.0
"""An hour of summer time, and a second one to spare."""
MOST_JUMPS = 10
LOOK_AHEAD = 20
"""Rows that must lie behind the jump."""


class Clock:
    """Finds the jumps of one file's clock."""

    def __init__(self) -> None:
        self.backward = 0  # rows that lie before the one above them by more than LEAST_BACK_S
        self._back_s: list[float] = []
        self._first_s, self._above_s = np.nan, np.nan
        self._latest_s = np.zeros(0)  # of each node

    def eras(self, node: NDArray[np.int32], arrived_s: Floats) -> NDArray[np.int16]:
        """Return for each of the next rows how many jumps may have been before it."""
        era = np.full(len(node), len(self._back_s), np.int16)
        if not len(node):
            return era
        if np.isnan(self._first_s):
            self._first_s = self._above_s = float(arrived_s[0])
        self._grow(int(node.max()) + 1)
        steps = np.flatnonzero(np.diff(arrived_s, prepend=self._above_s) < -LEAST_BACK_S)
        self.backward += len(steps)
        begin = 0
        for row in steps if self.backward <= MOST_JUMPS else ():
            np.maximum.at(self._latest_s, node[begin:row], arrived_s[begin:row])
            begin = int(row)
            above_s = float(arrived_s[row - 1] if row else self._above_s)
            ahead = slice(row, row + LOOK_AHEAD)
            went_back = np.any(self._latest_s[node[ahead]] > arrived_s[ahead])
            back_s = above_s - float(arrived_s[row])
            stays_back = bool(np.all(arrived_s[ahead] < above_s)) and arrived_s[row] >= self._first_s
            if went_back and stays_back and back_s <= MOST_BACK_S:
                self._back_s.append(back_s)
                era[row:] += 1
        np.maximum.at(self._latest_s, node[begin:], arrived_s[begin:])
        self._above_s = float(arrived_s[-1])
        return era

    def shifts_s(self) -> Floats:
        """Return by how much the times of each era are to be moved, s."""
        jumps = self._back_s if self.backward <= MOST_JUMPS else [0.0] * len(self._back_s)
        return np.concatenate([[0.0], np.cumsum(jumps)])

    def _grow(self, nodes: int) -> None:
        missing = nodes - len(self._latest_s)
        if missing > 0:
            self._latest_s = np.append(self._latest_s, np.full(max(missing, len(self._latest_s)), -np.inf))
