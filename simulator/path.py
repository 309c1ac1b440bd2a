"""What else a path does to packets: an idle radio, a NAT that forgets, packets that come twice or out of order.

    radio    a packet in either direction after `idle_after` of silence waits for `promotion`, and so does what follows
             it meanwhile: the radio changes from idle to connected (RRC). It waits behind the queue of the uplink.
    NAT      each packet that it sees in either direction keeps a mapping alive. After an idle time the mapping of a TCP
             connection is gone for good: packets down are dropped, packets up too, or answered by RST. The NAT is at
             the hub's end of the radio; `tcp.sender` asks it.
    twice    a packet is delivered twice at once. A tunnel drops the second (replay protection).
    order    a packet arrives `delay` later than it would, and others overtake it.

Draws are indexed by the microsecond at which a packet is sent. Sources for figures: docs/mobile-paths.md.
"""

import enum
from math import inf, isnan, nan
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from heartbench.simulator import counter_rng
from heartbench.simulator.kernel import kernel
from heartbench.simulator.record import Record, resetter
from heartbench.simulator.tomlfile import Duration, Fraction, PositiveDuration, Table
from heartbench.simulator.uplink import UplinkTables, leave_queue


class PathTables(Record):
    """A path as its group has it; 0: it does not do that."""

    tcp_idle_s: float
    resets: bool  # the NAT answers by RST
    idle_after_s: float
    promotion_s: float
    duplicated: float
    reordered: float
    reorder_s: float


class Answer(enum.StrEnum):
    """What a NAT does with a packet of a TCP connection that it has forgotten."""

    DROP = "drop"
    RESET = "reset"


class Nat(Table):
    """A carrier's NAT that forgets idle mappings. RFC 5382, REQ-5, asks for at least 2 h 4 min."""

    tcp_idle_s: PositiveDuration = Field(description="idle time after which a TCP connection is forgotten")
    answer: Answer = Field(
        Answer.DROP, description="what a packet of the node on a forgotten connection gets: drop, or reset (RST)"
    )


class Radio(Table):
    """A radio that becomes idle in silence and has to be promoted before it passes packets again."""

    idle_after_s: PositiveDuration = Field(description="silence in both directions after which the radio is idle")
    promotion_s: PositiveDuration = Field(description="time that the next packet waits for the radio")


class Disorder(Table):
    """Packets that come twice or out of order, in both directions."""

    duplicated: Fraction = Field(0.0, description="probability that a packet arrives twice")
    reordered: Fraction = Field(0.0, description="probability that a packet arrives later than those behind it")
    delay_s: Duration = Field(0.0, description="how much later a reordered packet arrives")

    @model_validator(mode="after")
    def _delay_of_reordered(self) -> Self:
        if (self.reordered > 0) != (self.delay_s > 0):
            raise ValueError("reordered and delay need each other")
        return self


def fill_path(tables: PathTables, nat: Nat | None, radio: Radio | None, disorder: Disorder | None) -> None:
    """Write what a path does into the tables of a link."""
    if nat is not None:
        tables.tcp_idle_s = nat.tcp_idle_s
        tables.resets = nat.answer is Answer.RESET
    if radio is not None:
        tables.idle_after_s, tables.promotion_s = radio.idle_after_s, radio.promotion_s
    if disorder is not None:
        tables.duplicated, tables.reordered = disorder.duplicated, disorder.reordered
        tables.reorder_s = disorder.delay_s


class Activity(Record):
    """When a node's queue and radio were last used."""

    queue_free_s: float = 0.0  # when all that is in the uplink's queue has left
    radio_s: float = -inf  # when the radio last carried something
    ready_s: float = -inf  # when it is promoted


reset_activity = resetter(Activity)


@kernel
def leave_node(uplink: UplinkTables, path: PathTables, activity: Activity, is_up: bool, t: float, size: int) -> float:
    """Return when the radio takes a packet of `size` bytes that is sent at `t`, in s, or NaN if the queue drops it."""
    if is_up and uplink.bytes_per_s > 0.0:
        t = leave_queue(uplink, activity.queue_free_s, t, size)
        if isnan(t):
            return nan
        activity.queue_free_s = t
    if path.promotion_s > 0.0:
        if t - activity.radio_s > path.idle_after_s:
            activity.ready_s = t + path.promotion_s
        t = max(t, activity.ready_s)
        activity.radio_s = max(activity.radio_s, t)
    return t


@kernel
def is_drawn(sequence: np.uint64, t: float, probability: float) -> bool:
    """Return whether something of `probability` happens to the packet that is sent at `t`."""
    return probability > 0.0 and counter_rng.uniform(sequence, int(t * 1e6)) < probability
