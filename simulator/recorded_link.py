"""A link that was recorded, instead of drawn from a profile: a log of probes, or a trace of delivery opportunities.

It chooses between the two models, holds what they share, and keeps packets in order. See `simulator.replay_link` and
`simulator.opportunity_link`.
"""

from math import isnan
from typing import Annotated

import numpy as np

from heartbench.simulator import counter_rng, opportunity_link, replay_link
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.opportunity_link import Opportunities, Queue
from heartbench.simulator.record import Array, Record
from heartbench.simulator.replay_link import Tape

NONE, REPLAY, OPPORTUNITIES = 0, 1, 2


class RecordedTables(Record):
    """What was recorded of a link, the same for all nodes of a group."""

    model: int  # NONE: the link was not recorded
    shift_within_s: float  # each node begins at a random place of the recording, up to here
    tape: Tape
    opportunities: Opportunities


class RecordedState(Record):
    """One node's place in the recording."""

    shift_s: float  # at time 0
    last_arrival: Annotated[Array[float], 2]
    queue: Queue


@part
def rewind(state: RecordedState, tables: RecordedTables, sequence: np.uint64) -> None:
    """Reset `state` to time 0 of the node whose place is drawn from `sequence`."""
    state.shift_s = counter_rng.uniform(sequence, 0) * tables.shift_within_s
    for direction in range(2):
        state.last_arrival[direction] = 0.0
    opportunity_link.reset(state.queue)


@kernel
def arrival(state: RecordedState, tables: RecordedTables, direction: int, t: float, size: int) -> float:
    """Return when a packet of `size` bytes that leaves at `t` arrives, in s, or NaN if it is lost."""
    if tables.model == OPPORTUNITIES:
        return opportunity_link.arrival(tables.opportunities, state.queue, state.shift_s, direction, t, size)
    arrives = replay_link.arrival(tables.tape, state.shift_s, direction, t)
    if not isnan(arrives):
        arrives = state.last_arrival[direction] = max(state.last_arrival[direction], arrives)
    return arrives


@kernel
def outage(state: RecordedState, tables: RecordedTables, whose: int, t: float) -> tuple[float, float, int, bool]:
    """Return the current or next outage at `t`, as `simulator.link.next_outage` does.

    A log has one list of outages, those of 0. A trace has two: those of 0 cut the way up, those of 1 the way down.
    """
    if tables.model == OPPORTUNITIES:
        traces = tables.opportunities
        table, rows, length_s = traces.holds[whose], traces.hold_rows[whose], traces.length_s[whose]
    else:
        table, rows, length_s = tables.tape.outages, tables.tape.outage_rows if whose == 0 else 0, tables.tape.length_s
    return replay_link.outage(table, rows, length_s, state.shift_s, t)
