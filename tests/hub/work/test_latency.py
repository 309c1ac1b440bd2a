"""Latencies of heartbeats by their size, and clocks that differ too much."""

from math import inf, nan

import pytest

from heartbench.hub.work.histogram import Histogram
from heartbench.hub.work.latency import LONGEST_S, HeartbeatLatency


def test_a_value_counts_at_the_first_bound_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    snapshot = histogram.copy()
    histogram.add(2.0)
    assert (snapshot.counts, snapshot.total) == ([2, 1, 1], 12.0)
    assert histogram.counts == [2, 2, 1]


@pytest.mark.parametrize("sent_unix_s", [1200.1, 1200.0 - LONGEST_S - 1, -1e300, inf, -inf, nan])
def test_what_cannot_be_a_latency_is_a_clock_error(sent_unix_s: float) -> None:
    latency = HeartbeatLatency()
    latency.offset_s = 1000.0
    latency.add(200.0, 1199.75)
    latency.add(200.0, sent_unix_s)
    assert (sum(latency.seconds.counts), latency.seconds.total, latency.clock_errors) == (1, 0.25, 1)
