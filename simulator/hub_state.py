"""The state of the hub's process, as a scenario orders it.

HUB_PAUSED   its kernel accepts and acknowledges; nothing is read or answered until it runs again
HUB_DOWN     its kernel has closed every connection (FIN; RST to data that still comes) and refuses SYNs (RST)

A connection carries the schedule of the hub in its rules and follows it by itself.
"""

from typing import Annotated

from heartbench.simulator.record import Array, Record, dtype_of

MAX_HUB_FAULTS = 16
HUB_RUNS, HUB_PAUSED, HUB_DOWN = range(3)


class Hub(Record):
    """The states of the hub's process, and since when; at first it runs."""

    count: int
    at_s: Annotated[Array[float], 2 * MAX_HUB_FAULTS]  # ascending
    state: Annotated[Array[int], 2 * MAX_HUB_FAULTS]


HUB = dtype_of(Hub)
