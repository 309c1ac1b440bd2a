"""The state of one direction of a TCP connection, and the rings beside it.

Written by the sender at one end and the receiver at the other; here they are one object, because the model sees both.
"""

from math import inf, nan

import numpy as np

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record

TICKS_PER_S = 250  # CONFIG_HZ
TICK_S = 1.0 / TICKS_PER_S
RTO_MIN_S = 0.2
RTO_MAX_S = 120.0
RTO_FIRST_S = 1.0  # before there is a sample (RFC 6298, 2.1)
TIMEOUT_MIN_S = 0.002  # what a probe or a reordering timer waits beyond its own time
DELAYED_ACK_S = 0.04
INITIAL_WINDOW = 10
GIVE_UP_S = 924.6  # tcp_retries2 = 15: 0.2 * (2**10 - 1) + 6 * 120
GIVE_UP_ORPHAN_S = 102.2  # tcp_orphan_retries = 8: 0.2 * (2**9 - 1)

FIRING = -inf  # the time of a timer that has just fired
NO_TIMER, RTO, PROBE, REORDER = 0, 1, 2, 3
OPEN, DISORDER, RECOVERY, LOSS = 0, 1, 2, 3
DATA, SYN, SYN_ACK, RESET = 0, 1, 2, 3
# What an acknowledgement or a timer makes the sender send first. TIMED_OUT: what is lost, but the RTO is set already.
NOTHING, LOST, NEW, TIMED_OUT = 0, 1, 2, 3

# Rings: positions are counted for ever and taken modulo the size.
SEGMENTS = 256  # one less are out at most: the receiver's window
PACKETS = 1024  # on their way at most
MESSAGES = 1024  # written and not delivered at most

# A segment that is out. The packet of a segment carries those behind it that are joined to it.
SEGMENT = np.dtype(
    [
        ("end", "i8"),  # bytes of the flow up to its end
        ("sent_s", "f8"),  # last sent
        ("received_s", "f8"),  # first received; NaN before
        ("is_joined", "?"),
        ("is_resent", "?"),  # ever
        ("is_resending", "?"),  # a retransmission is out
        ("is_sacked", "?"),
        ("is_lost", "?"),
    ],
    align=True,
)

# A packet on its way: 64 bytes, a cache line.
PACKET = np.dtype(
    [
        ("arrives_s", "f8"),
        ("left_s", "f8"),
        ("echo_s", "f8"),  # timestamp echoed to the other direction
        ("segment", "i8"),  # -1: acknowledgement alone
        ("segment_to", "i8"),
        ("acks", "i8"),  # segments of the other direction received in order,
        ("again", "i8"),  # once more,
        ("sacks", "i4"),  # and beyond a gap
        ("kind", "i4"),
    ],
    align=True,
)

# A message that was written and is not yet read.
MESSAGE = np.dtype(
    [
        ("end", "i8"),  # bytes of the flow up to its end
        ("tag", "i8"),
        ("delivered_s", "f8"),
        ("kind", "i8"),
    ],
    align=True,
)

# Fields are aligned, and what is used together stands together: the model lives on its cache lines.
FLOW = np.dtype(
    [
        ("direction", "i8"),
        # what the application wrote, in bytes and messages
        ("written", "i8"),
        ("packed", "i8"),
        ("messages", "i8"),
        ("delivered", "i8"),
        # sender: segments [head, tail) are out; `joined` of them travel in the packet of the one before
        ("head", "i8"),
        ("tail", "i8"),
        ("joined", "i8"),
        ("sacked", "i8"),
        ("lost", "i8"),
        ("resending", "i8"),
        ("losses", "i8"),  # found so far
        ("to_send", "i8"),
        ("probe_due", "?"),
        ("control", "i8"),  # SYN, SYN_ACK or RESET to be sent; DATA: none
        # congestion
        ("window", "f8"),
        ("threshold", "f8"),
        ("state", "i8"),
        ("high", "i8"),  # recovery is over when all before it is acknowledged
        ("is_trying", "?"),  # F-RTO is on: it is open whether the timeout was spurious
        ("window_end", "i8"),  # the window in use: its end, the most that were out, whether it stood in the way
        ("window_used", "i8"),
        ("window_limits", "?"),
        ("delivered_in_recovery", "i8"),
        ("sent_in_recovery", "i8"),
        # what an undo restores; `undo` is where it would begin, -1: nothing to undo
        ("undo", "i8"),
        ("undo_retries", "i8"),  # retransmissions that no D-SACK has proven needless, -1: none yet
        ("old_window", "f8"),
        ("old_threshold", "f8"),
        # tail loss probe
        ("probed", "i8"),  # tail at the probe, 0: none is out
        ("probe_resent", "?"),
        # RACK: the newest segment that has arrived
        ("newest", "i8"),
        ("newest_s", "f8"),
        ("newest_rtt_s", "f8"),
        ("is_news", "?"),
        # round-trip time and timers
        ("least_rtt_s", "f8"),
        ("srtt_s", "f8"),
        ("mdev_s", "f8"),
        ("mdev_max_s", "f8"),
        ("rttvar_s", "f8"),
        ("round_end", "i8"),
        ("rto_s", "f8"),
        ("retries", "i8"),
        ("first_retry_s", "f8"),
        ("last_sent_s", "f8"),
        ("timer", "i8"),
        ("timer_s", "f8"),
        ("timer_expires", "i8"),  # the tick that it was set to; the wheel fires later
        ("timer_phase_s", "f8"),
        ("user_timeout_s", "f8"),  # 0: none
        ("orphan", "?"),
        ("dead", "?"),
        # receiver
        ("expected", "i8"),  # segments received in order
        ("strays", "i8"),  # segments received beyond a gap
        ("again", "i8"),  # end of what has arrived once more and was not yet told, 0: nothing
        ("acked", "i8"),  # `expected` when it was last told
        ("echo_s", "f8"),
        ("last_data_s", "f8"),
        ("is_talking", "?"),  # ping-pong: acknowledgements wait for an answer that may carry them
        ("ack_due_s", "f8"),  # -inf: at once
        # packets [wire_head, wire_tail) are on their way in this direction
        ("wire_head", "i8"),
        ("wire_tail", "i8"),
        ("packets", PACKET, (PACKETS,)),
        ("segments", SEGMENT, (SEGMENTS,)),
        ("log", MESSAGE, (MESSAGES,)),
    ],
    align=True,
)


@kernel
def reset(flow: Record, direction: int, user_timeout_s: float, timer_phase_s: float) -> None:
    """Make `flow` new: nothing written, nothing out."""
    flow.direction = direction
    flow.written = flow.packed = flow.messages = flow.delivered = flow.head = flow.tail = flow.joined = 0
    flow.sacked = flow.lost = flow.losses = flow.resending = flow.to_send = flow.state = flow.high = flow.probed = (
        flow.retries
    ) = 0
    flow.window = INITIAL_WINDOW
    flow.threshold = flow.timer_s = flow.ack_due_s = flow.least_rtt_s = inf
    flow.window_end = flow.window_used = flow.delivered_in_recovery = flow.sent_in_recovery = flow.timer = 0
    flow.old_window = flow.old_threshold = flow.srtt_s = flow.mdev_s = flow.mdev_max_s = flow.rttvar_s = 0.0
    flow.round_end = flow.expected = flow.strays = flow.again = flow.acked = flow.wire_head = flow.wire_tail = 0
    flow.last_sent_s = flow.newest_s = flow.echo_s = flow.last_data_s = -inf
    flow.newest_rtt_s = 0.0
    flow.undo = flow.undo_retries = flow.newest = -1
    flow.rto_s = RTO_FIRST_S
    flow.first_retry_s = nan
    flow.timer_expires = -1
    flow.timer_phase_s = timer_phase_s
    flow.user_timeout_s = user_timeout_s
    flow.orphan = flow.dead = flow.probe_due = flow.probe_resent = flow.is_trying = False
    flow.window_limits = flow.is_news = flow.is_talking = False
    flow.control = DATA


@part
def write(flow: Record, size: int, kind: int, tag: int) -> bool:
    """Append a message of `size` bytes to what the flow carries; False where there is no room for it."""
    if flow.messages - flow.delivered == MESSAGES:
        return False
    message = flow.log[flow.messages % MESSAGES]
    flow.messages += 1
    flow.written += size
    message.end = flow.written
    message.kind = kind
    message.tag = tag
    message.delivered_s = nan
    return True


@part
def in_flight(flow: Record) -> int:
    """Count the packets that are thought to be on their way."""
    return flow.tail - flow.head - flow.joined - flow.sacked - flow.lost + flow.resending


@part
def packet_end(flow: Record, segment: int) -> int:
    """Give the end of the packet that begins with `segment`: the first segment behind it that is not joined to it."""
    end = segment + 1
    while end < flow.tail and flow.segments[end % SEGMENTS].is_joined:
        end += 1
    return end
