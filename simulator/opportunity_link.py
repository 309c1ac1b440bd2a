"""A link that passes packets when a trace says so: Mahimahi's, of delivery opportunities of 1,500 bytes.

    wait      a packet waits for the first opportunity at or after the time at which it is sent, first in, first out
    bytes     an opportunity takes 1,500 bytes: several small packets, or the rest of one and the beginning of the next;
              what is not used is lost
    delay     the packet arrives `base_s` after the opportunity that takes its last byte
    lap       after the last opportunity the trace begins again: its time 0 is then

The queue has no limit, and no packet is lost. Each direction has a trace of its own. Source: Netravali et al.,
"Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015, and mm-link(1).

A time of at least a second without an opportunity is reported as an outage that holds.
"""

from math import floor
from typing import Annotated

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.memory import number_at
from heartbench.simulator.record import Array, Record

OPPORTUNITY_BYTES = 1500


class Opportunities(Record):
    """The traces of a link by their addresses, see `simulator.memory`. Pairs are (UP, DOWN)."""

    base_s: float  # delay of either way
    length_s: Annotated[Array[float], 2]
    times: Annotated[Array[int], 2]  # times of the opportunities, which do not fall; the last is `length_s`
    count: Annotated[Array[int], 2]
    holds: Annotated[Array[int], 2]  # as `simulator.replay_link.Tape.outages`
    hold_rows: Annotated[Array[int], 2]


class Queue(Record):
    """How far a link's opportunities are used. Pairs are (UP, DOWN)."""

    number: Annotated[Array[int], 2]  # of the opportunity that was used last, counted on from lap to lap
    left_bytes: Annotated[Array[int], 2]  # that it can still take


@part
def reset(queue: Queue) -> None:
    """Forget all that was sent."""
    for direction in range(2):
        queue.number[direction] = -1
        queue.left_bytes[direction] = 0


@part
def _first_at(table: int, count: int, at_s: float) -> int:
    """Return how many opportunities of a lap are before `at_s`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if number_at(table, middle) < at_s:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def arrival(opportunities: Opportunities, queue: Queue, shift_s: float, direction: int, t: float, size: int) -> float:
    """Return when a packet of `size` bytes that is sent at `t` arrives, in s."""
    table, count = opportunities.times[direction], opportunities.count[direction]
    length_s = opportunities.length_s[direction]
    lap = floor((t + shift_s) / length_s)
    number = lap * count + _first_at(table, count, t + shift_s - lap * length_s)
    if number > queue.number[direction]:
        queue.number[direction], queue.left_bytes[direction] = number, OPPORTUNITY_BYTES
    missing = size - queue.left_bytes[direction]
    if missing > 0:
        more = (missing - 1) // OPPORTUNITY_BYTES + 1
        queue.number[direction] += more
        missing -= more * OPPORTUNITY_BYTES
    queue.left_bytes[direction] = -missing
    lap = queue.number[direction] // count
    passes_s = lap * length_s + number_at(table, queue.number[direction] - lap * count) - shift_s
    return max(t, passes_s) + opportunities.base_s
