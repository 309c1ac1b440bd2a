"""One direction of a TCP connection as in Linux: a sender, a receiver, and the packets in flight.

The model covers only what makes heartbeats late: how the sender detects that a packet is lost, when it retransmits, and
what waits behind it. Times are s. A *segment* is counted, not numbered by bytes; acknowledgements count segments too.

    RTT      m a sample, s the smoothed time, v the variance term (four times RFC 6298's RTTVAR); at the first sample
             s = m, mdev = 2m, v = max(mdev, 0.2); then s += (m − s)/8 and mdev += (|m − s| − mdev/4), an eighth of that
             where the RTT falls and mdev would grow; v rises at once to the greatest mdev (at least 0.2) of a round
             trip, falls by a quarter of the difference per round trip                (tcp_input.c, tcp_rtt_estimator)
    RTO      s + v, at most 120; doubled at each expiry, recomputed at each sample   (RFC 6298; Linux's minimum)
    probe    one tail loss probe 2s after the last packet, + 0.2 if one is in flight, not later than the RTO; the RTO
             then restarts                                                           (RFC 8985, section 7)
    loss     RACK: what was sent a reordering window before something that has arrived is lost (RFC 8985, section 6);
             an RTO that an echoed timestamp proves wrong is undone                  (RFC 4015)
    cwnd     slow start from 10, 0.7 of it after a loss, one segment after an RTO    (RFC 6928; RFC 9438, beta)
    give up  user timeout, counted from the first retransmission; else 924.6 s, or 102.2 s if the process is gone
             (15 and 8 retries)                                                   (tcp_timer.c, retransmits_timed_out)
    ACK      at once; in an interactive exchange ("pingpong"), with the answer or after 40 ms, and if no answer came,
             at once again                                  (tcp_input.c, __tcp_ack_snd_check; tcp_delack_timer_handler)

Timers have the granularity of the kernel's timer wheel at 250 ticks per second: timers longer than 0, 0.252, 2.016,
16.128 or 129.024 s round up to 4, 32, 256, 2048 or 16384 ms (kernel/time/timer.c).

Growth in congestion avoidance is Reno's, and the receiver's window is the size of the ring of segments, so the model
does not suit bulk transfer.

Modules: `flow` (state), `sender` (what is transmitted, and what a timer that fires does), `acknowledgement` and `loss`
(what is concluded), `timers` (when they fire), `receiver`. Only `sender.emit` gives packets to the link, through
`staging`, which keeps those for which the node's tunnel has no key yet.
"""
