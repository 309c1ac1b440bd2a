"""The state of one direction of a TCP connection, and the rings beside it.

The sender at one end and the receiver at the other write to it; here they are one object, because the model sees both.
"""

from math import inf, nan
from typing import Annotated

from heartbench.simulator.kernel import part
from heartbench.simulator.record import Array, Record, resetter

RTO_FIRST_S = 1.0  # before there is a sample (RFC 6298, 2.1)
DELAYED_ACK_S = 0.04
INITIAL_WINDOW = 10

NO_TIMER, RTO, PROBE, REORDER = 0, 1, 2, 3
OPEN, DISORDER, RECOVERY, LOSS = 0, 1, 2, 3
DATA, SYN, SYN_ACK, RESET = 0, 1, 2, 3
# What the sender sends first after an acknowledgement or a timer. TIMED_OUT: lost segments, with the RTO armed already.
NOTHING, LOST, NEW, TIMED_OUT = 0, 1, 2, 3

# Rings: positions are counted without end and taken modulo the size.
SEGMENTS = 256  # at most one less is in flight: the receiver's window
PACKETS = 1024  # most packets in flight
MESSAGES = 1024  # most messages written and not delivered


class Segment(Record):
    """A segment in flight. Its packet also carries the segments behind it that are joined to it."""

    end: int  # bytes of the flow up to its end
    sent_s: float  # last sent
    received_s: float  # first received; NaN before
    is_joined: bool
    ever_retrans: bool  # it was retransmitted at least once
    is_retransmitted: bool  # a retransmission is in flight
    is_sacked: bool
    is_lost: bool


class Packet(Record):
    """A packet in flight: 64 bytes, a cache line."""

    arrives_s: float
    left_s: float
    echo_s: float  # timestamp echoed to the other direction
    segment: int  # -1: acknowledgement alone
    segment_to: int
    acks: int  # segments of the other direction received in order,
    dsack_end: Annotated[int, "i4"]  # received a second time,
    sacks: Annotated[int, "i4"]  # and received beyond a gap
    kind: Annotated[int, "i2"]
    key: Annotated[int, "i2"]  # of the tunnel, if there is one,
    size: Annotated[int, "i4"]  # and the bytes of the IP packet


class Message(Record):
    """A message that was written and is not yet read."""

    end: int  # bytes of the flow up to its end
    tag: int
    delivered_s: float
    kind: int


class Flow(Record):
    """One direction. Fields that are used together stand together: the model lives on its cache lines.

    Fields have the names of Linux's tcp_sock where it has them; sequence numbers count segments.
    """

    direction: int
    mss_bytes: int
    # what the application wrote, in bytes and messages
    written: int = 0
    packed: int = 0
    messages: int = 0
    delivered: int = 0
    # sender: segments [snd_una, snd_nxt) are in flight; `joined` of them travel in the packet of the one before
    snd_una: int = 0
    snd_nxt: int = 0
    joined: int = 0
    sacked_out: int = 0
    lost_out: int = 0
    retrans_out: int = 0
    lost_total: int = 0  # losses detected so far
    to_send: int = NOTHING
    probe_due: bool = False
    control: int = DATA  # SYN, SYN_ACK or RESET to be sent; DATA: none
    # congestion
    cwnd: float = INITIAL_WINDOW
    ssthresh: float = inf
    ca_state: int = OPEN
    high_seq: int = 0  # recovery is over when everything before it is acknowledged
    frto: bool = False  # F-RTO is on: it is open whether the timeout was spurious
    cwnd_usage_seq: int = 0  # end of the window in use,
    max_packets_out: int = 0  # the most packets in flight in it,
    is_cwnd_limited: bool = False  # and whether cwnd limited them
    prr_delivered: int = 0
    prr_out: int = 0
    # what an undo restores; it would begin at `undo_marker`, -1: nothing to undo
    undo_marker: int = -1
    undo_retrans: int = -1  # retransmissions that no D-SACK has proven needless, -1: none yet
    prior_cwnd: float = 0.0
    prior_ssthresh: float = 0.0
    # tail loss probe
    tlp_high_seq: int = 0  # snd_nxt at the probe, 0: none is in flight
    tlp_retrans: bool = False
    # RACK: the newest segment that has arrived
    rack_segment: int = -1
    rack_sent_s: float = -inf
    rack_rtt_s: float = 0.0
    rack_advanced: bool = False
    # round-trip time and timers
    min_rtt_s: float = inf
    srtt_s: float = 0.0
    mdev_s: float = 0.0
    mdev_max_s: float = 0.0
    rttvar_s: float = 0.0
    rtt_seq: int = 0
    rto_s: float = RTO_FIRST_S
    retransmits: int = 0
    retrans_stamp_s: float = nan  # first retransmission
    last_sent_s: float = -inf
    timer: int = NO_TIMER
    timer_s: float = inf
    timer_expires: int = -1  # the tick that it was set to; the wheel fires later
    timer_phase_s: float
    user_timeout_s: float  # 0: none
    orphan: bool = False
    dead: bool = False
    is_forgotten: bool = False  # nothing of this connection passes any more
    is_unmapped: bool = False  # because a NAT has forgotten it
    mapped_s: float = -inf  # when the NAT last saw a packet of the connection; of the way up
    # receiver
    rcv_nxt: int = 0  # segments received in order
    out_of_order: int = 0  # segments received beyond a gap
    dsack_end: int = 0  # end of what arrived a second time and is not yet acknowledged, 0: nothing
    rcv_wup: int = 0  # `rcv_nxt` at the last acknowledgement
    echo_s: float = -inf
    last_data_s: float = -inf
    is_pingpong: bool = False  # interactive: acknowledgements wait for an answer that may carry them
    ack_due_s: float = inf  # -inf: at once
    # packets [wire_head, wire_tail) are in flight in this direction
    wire_head: int = 0
    wire_tail: int = 0
    packets: Annotated[Array[Packet], PACKETS]
    segments: Annotated[Array[Segment], SEGMENTS]
    log: Annotated[Array[Message], MESSAGES]


reset = resetter(Flow)


@part
def write(flow: Flow, size: int, kind: int, tag: int) -> bool:
    """Append a message of `size` bytes to the flow; return False if there is no room for it."""
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
def in_flight(flow: Flow) -> int:
    """Return the number of packets that the sender believes to be in flight."""
    return flow.snd_nxt - flow.snd_una - flow.joined - flow.sacked_out - flow.lost_out + flow.retrans_out


@part
def packet_end(flow: Flow, segment: int) -> int:
    """Return the end of the packet that begins with `segment`: the first segment behind it that is not joined to it."""
    end = segment + 1
    while end < flow.snd_nxt and flow.segments[end % SEGMENTS].is_joined:
        end += 1
    return end
