"""What the settings of a run's hub mean for the thresholds that are compared."""

from heartbench.analysis.evidence import policies_at, settings_at, timeout_of
from heartbench.hub import FixedTimeout, HubSettings


def test_thresholds_are_fixed_timeouts_whatever_the_hub_judged_by() -> None:
    hub = HubSettings.of(stale_after_s=40.0, detector="phi", detector_by_label="site=ship: bertier")
    assert [each.parameters for each in policies_at([40.0, 50.0], hub)] == [FixedTimeout(40.0), FixedTimeout(50.0)]
    assert not any(each.by_label for each in policies_at([40.0, 50.0], hub))
    assert settings_at(40.0, hub).has_one_timeout


def test_a_hub_that_learns_has_no_current_threshold() -> None:
    assert timeout_of(HubSettings.of(stale_after_s=40.0)) == 40.0
    assert timeout_of(HubSettings.of(stale_after_s=40.0, detector="phi")) is None
    assert timeout_of(HubSettings.of(stale_after_s=40.0, detector_by_label="site=ship: phi")) is None
