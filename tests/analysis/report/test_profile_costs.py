import pandas as pd
import pytest

from heartbench.analysis import networks
from heartbench.analysis.report.profile_costs import compare_profiles, groups, plot_profiles


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 1.0)
    return compare_profiles(thresholds_s=[15.0, 60.0], nodes=3, duration_s=3600.0)


def test_each_profile_is_judged_and_the_network_where_it_was_observed(frame: pd.DataFrame) -> None:
    assert frame.profile.tolist() == ["lan", "lan", "wireguard-5g", "wireguard-5g"]
    assert (frame.false_stale_low <= frame.false_stale_per_node_day).all()
    assert (frame.false_stale_per_node_day <= frame.false_stale_high).all()
    observed = frame.set_index("profile").false_stale_network_high.notna()
    assert observed["wireguard-5g"].all()
    assert not observed["lan"].any()


def test_the_noisiest_comes_first_and_the_plot_says_what_it_shows(frame: pd.DataFrame) -> None:
    assert groups(frame)[0][0] == "wireguard-5g"
    assert "On wireguard-5g" in plot_profiles(frame).get_title(loc="left")
