"""One time scale of the radio, or two."""

from typing import Any

import numpy as np
import pytest

from heartbench.analysis.fit.correlation import fit_correlation, interpolated
from heartbench.simulator.ping import record
from heartbench.simulator.profile import Profile
from heartbench.simulator.tomlfile import validate

WAY = {"base_delay": "10ms", "jitter": [[0.01, "1ms"], [0.5, "10ms"], [0.99, "40ms"]]}


def fitted(**radio: Any) -> Any:
    seen = record(validate(Profile, {"up": WAY, "down": WAY, **radio}, "test"), 6 * 3600)
    return fit_correlation(seen.rtt_s, ~np.isnan(seen.rtt_s), seen.stretch_starts, 1.0)


def test_the_correlation_of_an_interpolated_state_ends_at_twice_its_scale() -> None:
    assert interpolated(np.array([0.0, 0.5, 2.0])) == pytest.approx([1.0, 0.736, 0.0], abs=0.001)


def test_one_time_scale_is_found_and_no_second() -> None:
    found = fitted(jitter_correlation="20s")
    assert found.fast_s.ci[0] < 20 < found.fast_s.ci[1]
    assert found.fast_s.value == pytest.approx(20, rel=0.1)
    assert found.slow_share.value == 0
    assert found.slow_s.value is None


def test_two_time_scales_are_found() -> None:
    found = fitted(jitter_correlation="5s", jitter_slow_share=0.5, jitter_slow_correlation="120s")
    assert found.slow_share.value == pytest.approx(0.5, abs=0.12)
    assert found.slow_share.ci[0] < 0.5 < found.slow_share.ci[1]
    assert found.fast_s.ci[0] < 5 < found.fast_s.ci[1]
    assert found.slow_s.ci[0] < 120 < found.slow_s.ci[1]


def test_what_changes_faster_than_the_probes_has_an_upper_end_only() -> None:
    found = fitted(jitter_correlation="500ms")
    assert found.fast_s.ci[0] == 0
    assert found.fast_s.ci[1] >= 0.5
