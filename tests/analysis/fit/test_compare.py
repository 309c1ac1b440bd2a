"""Two networks differ only in figures whose intervals, or exact statements, do not meet."""

import numpy as np
import pytest
from tests.analysis.fit.recordings import NAN, recording

from heartbench.analysis.fit import fit_recording
from heartbench.analysis.fit.compare import Network, side_by_side
from heartbench.simulator.ping import record
from heartbench.simulator.profile import Profile, load_profile
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tomlfile import validate


def shipped(name: str) -> Network:
    return Network(load_profile(name), None)


def fitted(seen: Recording) -> Network:
    fit = fit_recording(seen)
    return Network(fit.profile, fit)


def verdicts(first: Network, second: Network) -> dict[str, bool | None]:
    return {name: differ for name, *_, differ in side_by_side(first, second)}


def one_outage() -> Recording:
    """Return a quarter of an hour of probes, five of which an outage lost."""
    rtt_s = 0.03 + np.random.default_rng(1).exponential(0.005, 900)
    rtt_s[300:305] = NAN
    return recording(rtt_s)


def test_one_outage_in_a_quarter_of_an_hour_differs_from_no_rate_and_no_shape() -> None:
    found = verdicts(shipped("wireguard-5g"), fitted(one_outage()))
    assert {name: differ for name, differ in found.items() if name.startswith("outage.") and differ} == {}
    assert found["outage.shape"] is None
    assert found["outage.per_hour.3s"] is False


def test_the_rates_of_long_outages_in_two_logs_have_intervals() -> None:
    often, seldom = (fitted(record(load_profile(name), 12 * 3600, seed=2)) for name in ("wireguard-5g", "wan"))
    rows = {name: (a, b, differ) for name, a, b, differ in side_by_side(often, seldom)}
    for length in (3, 10, 30):
        a, b, _ = rows[f"outage.per_hour.{length}s"]
        assert a.plausible
        assert a.ci is not None
        assert b.ci is not None
    assert rows["outage.per_hour.3s"][2] is True


def test_scales_beyond_different_lengths_are_not_compared() -> None:
    outages = {"hours": 1000, "resolution": "0s", "lengths": [6.0, 6.5, 7, 8, 9, 10, 12, 14, 20, 30] * 30}
    counted = [{"outage": {"observed": outages | {"from": from_s}}} for from_s in ("2s", "2s", "5s")]
    way = {"base_delay": "10ms"}
    short, same, long = (Network(validate(Profile, {"up": way, "down": way, **each}, "test"), None) for each in counted)
    assert verdicts(short, same)["outage.scale"] is False
    assert verdicts(short, long)["outage.scale"] is None


@pytest.mark.parametrize("name", ["5g-private", "starlink", "wireguard-5g"])
def test_a_fitted_profile_never_differs_from_its_own_log(name: str) -> None:
    of_log = fitted(record(load_profile(name), 6 * 3600, seed=2))
    assert True not in verdicts(Network(of_log.profile, None), of_log).values()


def test_a_profile_without_observed_outages_is_exact_and_one_with_them_an_estimate() -> None:
    of_log = fitted(record(load_profile("lan"), 3600, seed=2))
    assert verdicts(shipped("starlink"), of_log)["rtt_p50"] is True
    assert verdicts(shipped("wireguard-5g"), of_log)["rtt_p50"] is None


def test_losses_that_met_by_chance_do_not_make_a_network_differ_from_one_without_outages() -> None:
    of_log = fitted(record(load_profile("starlink"), 24 * 3600, seed=1))
    assert of_log.fitted is not None
    assert of_log.fitted.outages
    assert verdicts(shipped("starlink"), of_log)["outage.per_hour.3s"] is False
