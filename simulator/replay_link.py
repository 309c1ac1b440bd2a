"""A link that replays a recording: the delays, losses and outages that a probe saw, at the times at which it saw them.

A recording is a loop of `length_s`. For each direction it has rows (time, delay, latest arrival, start), one per probe
that set out that way, in order of time. A packet fares like the probe that left last before it, or with it:

    lost     if that probe was lost: its delay is NaN
    delay    that of the probe. It is not interpolated: the mean of two delays varies less than either.
    order    but it arrives by the time at which the next probe arrived that was not lost. So the packets that a stall
             held come out together when it ends, and not each as late as the first.

A node is at place (t + shift_s) mod `length_s` of the loop at time t. All is a function of t: no state is kept. Of n
rows, the start in row k is the row from which the search for a place begins that is k/n of the loop or later, so that
the search takes one step on average.

Rows of outages (from, to, what they cut, whether they hold) only report what the rows of delays contain.
"""

from math import floor, inf, isnan
from typing import Annotated

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.memory import number_at
from heartbench.simulator.record import Array, Record

TIME, DELAY, LATEST, START = 0, 1, 2, 3
FROM, TO, CUT, HOLDS = 0, 1, 2, 3
COLUMNS = 4

SAME_S = 1e-6
"""A packet leaves with a probe if it leaves up to this much before it: sums of times are not exact."""


class Tape(Record):
    """A recording's tables by their addresses, see `simulator.memory`. Pairs are (UP, DOWN)."""

    length_s: float
    delays: Annotated[Array[int], 2]  # rows in order of time; the first is at or before 0
    delay_rows: Annotated[Array[int], 2]
    outages: int  # rows in order of time, which do not overlap
    outage_rows: int


@part
def _row_at(table: int, rows: int, share: float, at_s: float) -> int:
    """Return the last row of delays whose time is at most `at_s`, which is this share of the loop."""
    row = int(number_at(table, min(int(share * rows), rows - 1) * COLUMNS + START))
    while row + 1 < rows and number_at(table, (row + 1) * COLUMNS + TIME) <= at_s:
        row += 1
    return row


@part
def _outages_until(table: int, rows: int, at_s: float) -> int:
    """Return how many outages are over at `at_s`."""
    low, high = 0, rows
    while low < high:
        middle = (low + high) // 2
        if number_at(table, middle * COLUMNS + TO) <= at_s:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def arrival(tape: Tape, shift_s: float, direction: int, t: float) -> float:
    """Return when a packet that leaves at `t` arrives, in s, or NaN if it is lost; order apart."""
    table = tape.delays[direction]
    laps = (t + shift_s) / tape.length_s
    at = t + shift_s - floor(laps) * tape.length_s
    first = _row_at(table, tape.delay_rows[direction], laps - floor(laps), at + SAME_S) * COLUMNS
    delay_s = number_at(table, first + DELAY)
    return delay_s if isnan(delay_s) else t + min(delay_s, number_at(table, first + LATEST) - at)


@kernel
def outage(table: int, rows: int, length_s: float, shift_s: float, t: float) -> tuple[float, float, int, bool]:
    """Return the outage at `t`, or the next one: (from, to, what it cuts, whether it holds); from and to are in s.

    `from` is inf if the table has none, and at least 0.
    """
    if rows == 0:
        return inf, inf, 0, False
    lap = floor((t + shift_s) / length_s)
    row = _outages_until(table, rows, t + shift_s - lap * length_s + SAME_S)
    if row == rows:
        row, lap = 0, lap + 1
    first, origin_s = row * COLUMNS, lap * length_s - shift_s
    begins = max(origin_s + number_at(table, first + FROM), 0.0)
    ends = origin_s + number_at(table, first + TO)
    return begins, ends, int(number_at(table, first + CUT)), number_at(table, first + HOLDS) > 0.0
