"""Recordings for tests: probes once a second, by their round trips."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings import Recording

NAN = float("nan")


def recording(
    rtt_s: Sequence[float] | np.ndarray, step_s: float = 1.0, stretch: Sequence[int] | None = None
) -> Recording:
    """Return probes `step_s` apart with these round trips, s; NaN: lost."""
    count = len(rtt_s)
    stretches = np.zeros(count, np.int32) if stretch is None else np.array(stretch, np.int32)
    return Recording(
        "test.log", np.arange(count, dtype=np.float64) * step_s, np.array(rtt_s, float), None, None, stretches, step_s
    )


def quiet(count: int, seed: int = 1) -> NDArray[np.float64]:
    """Return round trips of 20 ms and a little more, s."""
    return 0.02 + np.random.default_rng(seed).exponential(0.002, count)
