"""Recordings of probes, made for tests."""

from collections.abc import Sequence

import numpy as np

from heartbench.simulator.recordings import Recording


def recording(
    rtt_s: Sequence[float] | np.ndarray,
    interval_s: float = 1.0,
    *,
    up_s: Sequence[float] | np.ndarray | None = None,
    down_s: Sequence[float] | np.ndarray | None = None,
    stretch: Sequence[int] | np.ndarray | None = None,
) -> Recording:
    """Return a recording of probes that left every `interval_s`; a stretch begins 1000 s after the one before."""
    count = len(rtt_s)
    numbers = np.zeros(count, np.int32) if stretch is None else np.asarray(stretch, np.int32)
    return Recording(
        source="walk.log",
        sent_s=np.arange(count) * interval_s + 1000.0 * numbers,
        rtt_s=np.asarray(rtt_s, float),
        up_s=None if up_s is None else np.asarray(up_s, float),
        down_s=None if down_s is None else np.asarray(down_s, float),
        stretch=numbers,
        interval_s=interval_s,
    )


def walk(seed: int = 1, probes: int = 600) -> Recording:
    """Return ten minutes of pings with jitter, single losses, an outage of 12 s from 100 s on, and a stall from 300 s.

    The stall holds the probes for 10 s.
    """
    generator = np.random.default_rng(seed)
    rtt_s = 0.06 + generator.gamma(2.0, 0.01, probes)
    rtt_s[generator.random(probes) < 0.01] = np.nan
    rtt_s[95:115] = rtt_s[295:315] = 0.08
    rtt_s[100:112] = np.nan
    rtt_s[300:310] = 10.05 - np.arange(10)
    return recording(rtt_s)
