"""The queue in front of a slow way up: packets leave it one after the other, and one that finds no room is dropped.

    waiting(t)   bytes that have not left at t: (free_s - t) * rate
    accepted     if waiting(t) + size <= buffer, or nothing waits; else dropped ("drop tail")
    leaves       max(t, free_s) + size / rate, which becomes free_s: first in, first out

What leaves the queue then meets delay, loss and outages of the link at that time; the queue drains during an outage
too. Sizes are those of IP packets. The way down has no queue, because what nodes hear from their hub is small.
"""

from math import nan

from pydantic import Field

from heartbench.simulator.kernel import part
from heartbench.simulator.record import Record
from heartbench.simulator.tomlfile import Table

LEAST_BUFFER_BYTES = 1500  # one packet on Ethernet
ROUNDING_BYTES = 1e-3  # a buffer that is exactly full takes a packet, whatever a sum of floats says


class UplinkTables(Record):
    """A queue as its group has it."""

    bytes_per_s: float  # 0: there is no queue
    buffer_bytes: float
    is_shared: bool  # by the nodes of a site


class Uplink(Table):
    """A slow way up with a queue in front of it."""

    bit_rate: float = Field(gt=0, le=1e12, description="rate of the way up, bit/s of whole IP packets")
    buffer_bytes: int = Field(
        ge=LEAST_BUFFER_BYTES, le=2**40, description="size of the queue, bytes; a packet that finds no room is dropped"
    )

    def fill(self, tables: UplinkTables, is_shared: bool) -> None:
        """Write the queue into the tables of a link."""
        tables.bytes_per_s = self.bit_rate / 8.0
        tables.buffer_bytes = self.buffer_bytes
        tables.is_shared = is_shared


@part
def leave_queue(uplink: UplinkTables, free_s: float, t: float, size: int) -> float:
    """Return when a packet of `size` bytes that comes at `t` has left the queue, in s, or NaN if it is dropped.

    `free_s` is when all that came before it has left.
    """
    if free_s <= t:
        return t + size / uplink.bytes_per_s
    if (free_s - t) * uplink.bytes_per_s + size > uplink.buffer_bytes + ROUNDING_BYTES:
        return nan
    return free_s + size / uplink.bytes_per_s
