"""One direction of a TCP connection as Linux runs it: a sender, a receiver, and the packets on their way.

Only what makes heartbeats late is here: how the sender finds out that a packet is lost, when it sends again, and what
waits behind it. Times are s. A *segment* is counted, not numbered by bytes; acknowledgements count segments too.

    RTT      m a sample, s the smoothed time, v the variance term (four times RFC 6298's RTTVAR); at the first sample
             s = m, mdev = 2m, v = max(mdev, 0.2); then s += (m − s)/8 and mdev += (|m − s| − mdev/4), an eighth of that
             where the RTT falls and mdev would grow; v rises at once to the greatest mdev (at least 0.2) of a round
             trip, falls by a quarter of the difference a round trip                  (tcp_input.c, tcp_rtt_estimator)
    RTO      s + v, at most 120; doubled at each expiry, afresh at the next sample   (RFC 6298; Linux's minimum)
    probe    one tail loss probe 2s after the last packet, + 0.2 where one is out, never later than the RTO; the RTO
             then starts again                                                       (RFC 8985, section 7)
    loss     RACK: what was sent a reordering window before something that has arrived is lost (RFC 8985, section 6);
             an RTO that an echoed timestamp proves wrong is undone                  (RFC 4015)
    window   slow start from 10, 0.7 of it after a loss, one segment after an RTO    (RFC 6928; RFC 9438, beta)
    give up  user timeout, counted from the first retransmission; else 924.6 s, or 102.2 s where the process is gone
             (15 and 8 retries)                                                   (tcp_timer.c, retransmits_timed_out)
    ACK      at once; where the two ends are talking, with the answer or after 40 ms, and having waited in vain, at
             once again                                     (tcp_input.c, __tcp_ack_snd_check; tcp_delack_timer_handler)

Timers have the grain of the kernel's timer wheel at 250 ticks a second: they round up to 4, 32, 256, 2048 or 16384 ms
where they are longer than 0, 0.252, 2.016, 16.128 or 129.024 s (kernel/time/timer.c).

Growth in congestion avoidance is Reno's, and the receiver's window is as many segments as the ring holds: bulk transfer
is not what this is for.

`sender.emit` is the one place that gives the link packets: all else decides what is due.
"""
