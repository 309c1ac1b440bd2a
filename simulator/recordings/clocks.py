"""One-way delays from the clocks of two machines that do not agree.

    there = arrival (their clock) - departure (our clock) = up + offset        RFC 5905, section 8
    back  = arrival (our clock)   - departure (their clock) = down - offset
    there + back = up + down: the round trip, whatever the clocks say

The offset is (there - back) / 2 if both ways take equally long, and wrong by half their difference if not. Of the
exchanges of a few minutes the one with the shortest round trip is the least wrong (the clock filter of RFC 5905,
section 10; the lower envelope of Paxson, "On calibrating measurements of packet transit times", 1998). Between these
the offset runs in straight lines, which follows clocks that drift and are slewed.

That both ways take equally long at their fastest cannot be checked from either end: a constant difference between the
two ways stays unseen.
"""

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]
WINDOW_S = 300.0
ASSUMED = "one-way delays: both ways are assumed to take equally long at their fastest"
FEWEST = 30
"""Exchanges of a window, where there are so many."""


def one_way_delays(sent_s: Seconds, there_s: Seconds, back_s: Seconds) -> tuple[Seconds, Seconds]:
    """Return the delays up and down, in s, of exchanges in the order of sending; NaN where `there_s` or `back_s` is."""
    up_s, down_s = np.full(len(sent_s), np.nan), np.full(len(sent_s), np.nan)
    whole = np.flatnonzero(~np.isnan(there_s) & ~np.isnan(back_s))
    if len(whole):
        offset_s = offsets(sent_s[whole], there_s[whole], back_s[whole])
        round_trip_s = there_s[whole] + back_s[whole]
        up_s[whole] = np.clip(there_s[whole] - offset_s, 0.0, round_trip_s)
        down_s[whole] = round_trip_s - up_s[whole]
    return up_s, down_s


def offsets(sent_s: Seconds, there_s: Seconds, back_s: Seconds) -> Seconds:
    """Return how far their clock is ahead of ours at each exchange, in s."""
    window = np.floor((sent_s - sent_s[0]) / WINDOW_S).astype(np.int64)
    window = np.minimum(window, np.arange(len(sent_s)) // FEWEST)
    starts = np.flatnonzero(np.diff(window, prepend=-1))
    best = [
        begin + int(np.argmin(there_s[begin:end] + back_s[begin:end]))
        for begin, end in zip(starts, np.append(starts[1:], len(sent_s)), strict=True)
    ]
    at = np.array(best)
    ahead_s = (there_s[at] - back_s[at]) / 2
    if len(at) == 1:
        return np.full(len(sent_s), ahead_s[0])
    outside = np.interp(sent_s, sent_s[at], ahead_s)
    first, last = sent_s < sent_s[at[0]], sent_s > sent_s[at[-1]]
    drift = (ahead_s[-1] - ahead_s[0]) / (sent_s[at[-1]] - sent_s[at[0]])
    outside[first] = ahead_s[0] + drift * (sent_s[first] - sent_s[at[0]])
    outside[last] = ahead_s[-1] + drift * (sent_s[last] - sent_s[at[-1]])
    return outside


def fill_lost_answers(sent_s: Seconds, up_s: Seconds, arrived: NDArray[np.bool_]) -> Seconds:
    """Return the delays up, with those of probes that arrived unanswered taken from their neighbours.

    Nobody recorded them. That they arrived is known, and a number says so where NaN says that they did not.
    """
    known = ~np.isnan(up_s)
    if not known.any():
        return up_s
    return np.where(arrived & ~known, np.interp(sent_s, sent_s[known], up_s[known]), up_s)
