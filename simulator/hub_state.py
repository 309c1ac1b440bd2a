"""The hub's process as a connection sees it: it runs, it is away for a time, it runs again.

HUB_PAUSED   its kernel accepts and acknowledges; nothing is read or answered before it runs again
HUB_DOWN     its kernel has closed every connection (FIN; RST to data that still comes) and refuses SYNs (RST)

A connection carries what happens to the hub in its rules and follows it by itself.
"""

from math import inf, isnan

import numpy as np

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record

MAX_HUB_FAULTS = 16
HUB_RUNS, HUB_PAUSED, HUB_DOWN = range(3)

# What the hub's process does, and since when: it runs at first.
HUB = np.dtype(
    [
        ("count", "i8"),
        ("at_s", "f8", (2 * MAX_HUB_FAULTS,)),  # ascending
        ("state", "i8", (2 * MAX_HUB_FAULTS,)),
    ]
)


@kernel
def find_hub(connection: Record, at: float) -> None:
    """Set what state the hub is in at `at`, and when that changes."""
    hub = connection.rules.hub
    n = 0
    while n < hub.count and hub.at_s[n] <= at:
        n += 1
    connection.hub_state = hub.state[n - 1] if n > 0 else HUB_RUNS
    connection.hub_changes_s = hub.at_s[n] if n < hub.count else inf


@part
def refuses(connection: Record, segment: int) -> bool:
    """Whether the hub's kernel knows nothing of the connection, or gets data for a process that is gone."""
    if not isnan(connection.hub_closed_s):
        return connection.down.dead or segment >= 0
    return not connection.hub_has_syn
