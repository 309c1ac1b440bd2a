"""A profile against a recording: what the recording shows and the profile misses, as far as the recording can tell."""

from pathlib import Path

import numpy as np
import pytest
from tests.simulator.probes import recording

from heartbench.analysis.profile_check import OVER_S, Check, as_json, check
from heartbench.simulator.profile import load_profile
from heartbench.simulator.recordings import Recording, write_recording
from heartbench.simulator.replay import Replay, resolved
from heartbench.simulator.scenario import load_scenario

HOUR = 3600


def an_hour(outages: dict[int, int]) -> Recording:
    """Return an hour of pings, with outages by their beginning, both in s."""
    rtt_s = np.full(HOUR, 0.0003)
    for begins, length in outages.items():
        rtt_s[begins : begins + length] = np.nan
    return recording(rtt_s)


def checked(of: Recording, folder: Path, hours: int = 4) -> Check:
    write_recording(of, folder / "hour.parquet")
    replay = Replay.model_validate(resolved({"file": "hour.parquet"}, folder))
    scenario = load_scenario("wireguard-5g", [f"duration={hours}h"]).with_nodes(6)
    return check(load_profile("lan"), replay, scenario)


def test_outages_that_a_profile_does_not_know_are_missed(tmp_path: Path) -> None:
    found = checked(an_hour(dict.fromkeys(range(300, 3300, 600), 40)), tmp_path)
    assert found.hours == pytest.approx(1.0)
    assert found.node_days == pytest.approx(1.0, rel=0.01)
    assert dict(zip(OVER_S, found.within.tolist(), strict=True))[30.0] is False
    assert found.recording.per_node_day[2] == pytest.approx(5 * 24, rel=0.15)
    assert found.profile.per_node_day[2] == 0


def test_a_single_event_is_as_uncertain_as_the_recording_is_short(tmp_path: Path) -> None:
    found = checked(an_hour({1000: 40}), tmp_path)
    low, high = found.recording.ci[2]
    assert (low, high) == pytest.approx((0.025 * 24, 5.57 * 24), rel=0.15)  # Garwood's interval of one event an hour


def test_a_network_without_outages_is_what_the_profile_says(tmp_path: Path) -> None:
    found = checked(an_hour({}), tmp_path)
    assert found.within.all()
    assert found.recording.quantiles_s == pytest.approx(found.profile.quantiles_s, rel=0.01)
    text = as_json(found)
    assert text["gap_s"]["p50"]["profile"] == pytest.approx(10.0, rel=0.01)
    assert [row["over_s"] for row in text["gaps_per_node_day"]] == list(OVER_S)
