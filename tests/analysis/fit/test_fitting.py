"""A fit recovers what made its recording, says what it does not know, and its profile loads."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri
from tests.analysis.fit.recordings import NAN, quiet, recording

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.fit import Kind, fit_recording
from heartbench.analysis.fit.delays import fit_delays
from heartbench.analysis.fit.events import find_runs
from heartbench.analysis.fit.fitting import falling
from heartbench.analysis.fit.model import Estimate
from heartbench.analysis.fit.outages import find_outages
from heartbench.analysis.fit.text import profile_toml
from heartbench.analysis.fit.warnings import warnings_of
from heartbench.analysis.validation.fitted import Truth, judge
from heartbench.analysis.validation.production_5g import LONE_SEGMENT_KBIT_S, SUBJECTS, read_traces
from heartbench.simulator.outages import Outages
from heartbench.simulator.ping import record
from heartbench.simulator.profile import Profile, load_profile
from heartbench.simulator.recordings import Recording, read_recording
from heartbench.simulator.tomlfile import validate

DATA = Path(__file__).parents[4] / "shared/data"


def loaded(text: str) -> Profile:
    return validate(Profile, tomllib.loads(text), "fitted")


def test_a_lan_is_recovered_and_its_profile_loads() -> None:
    lan = load_profile("lan")
    fit = fit_recording(record(lan, 6 * 3600, seed=3))
    assert not [row["figure"] for row in judge("lan", Truth.of(lan), 3, fit) if row["wrong"]]
    assert fit.outages == ()
    assert loaded(profile_toml(fit)) == fit.profile
    assert any("says nothing about thresholds" in warning for warning in fit.warnings)


def test_a_log_that_lost_nearly_all_probes_is_refused_with_what_to_do() -> None:
    rtt_s = quiet(6000)
    rtt_s[np.random.default_rng(1).random(6000) < 0.98] = NAN
    with pytest.raises(AnalysisError, match=r"test\.log: 98\.\d% of 6,000 probes were lost.* fit a log of a time when"):
        fit_recording(recording(rtt_s))


@pytest.mark.parametrize("name", ["5g-private", "datacenter", "starlink", "wifi"])
def test_the_link_of_a_fitted_profile_has_the_round_trips_of_the_recording(name: str) -> None:
    seen = record(load_profile(name).model_copy(update={"outage": Outages()}), 3600, seed=3)
    link = fit_recording(seen).profile.to_link()[0]
    shares = np.array([0.05, 0.5, 0.75, 0.9, 0.95, 0.985, 0.99, 0.998])
    drawn = sum(
        link["base_s"][way]
        + np.interp(ndtri(shares), np.linspace(-4, 4, cells + 1), link["jitter_s"][way][: cells + 1])
        for way, cells in enumerate(link["jitter_cells"])
    )
    expected = np.quantile(seen.rtt_s[~np.isnan(seen.rtt_s)], shares, method="inverted_cdf")
    assert drawn == pytest.approx(expected, rel=0.005)


@pytest.mark.slow
def test_neither_equal_delays_nor_bursts_shorter_than_the_probe_interval_mislead() -> None:
    shipped = load_profile("starlink")
    fit = fit_recording(record(shipped, 24 * 3600, seed=7))
    assert not [row["figure"] for row in judge("starlink", Truth.of(shipped), 7, fit) if row["wrong"]]
    assert fit.parameters["jitter_correlation"].value == pytest.approx(15, rel=0.03)
    assert fit.parameters["loss.good"].ci is not None
    assert fit.parameters["loss.good"].ci[0] == 0


@pytest.mark.slow
def test_a_mobile_network_is_recovered() -> None:
    shipped = load_profile("wireguard-5g")
    fit = fit_recording(record(shipped, 12 * 3600, seed=5))
    assert not [row["figure"] for row in judge("wireguard-5g", Truth.of(shipped), 5, fit) if row["wrong"]]
    observed = fit.profile.outage.observed
    assert observed is not None
    assert (observed.hours, observed.from_s, observed.step_s) == (12.0, 2.5, 1.0)
    assert len(observed.lengths_s) == len(fit.outages) > 80
    assert loaded(profile_toml(fit)) == fit.profile


def test_a_stall_is_held_and_its_share_is_in_the_profile() -> None:
    rtt = quiet(2000)
    rtt[100:107] = [6.9, NAN, NAN, 3.9, 2.9, 1.9, 0.9]
    rtt[500:504] = NAN
    fit = fit_recording(recording(rtt))
    assert [(each.at_s, each.length_s, each.kind) for each in fit.outages] == [
        (100.0, 7.0, Kind.HOLD),
        (500.0, 4.0, Kind.DROP),
    ]
    assert fit.profile.outage.hold == 0.5
    assert max(extra for _, extra in fit.profile.up.jitter) < 0.05  # held probes are no jitter
    assert loaded(profile_toml(fit)) == fit.profile


def test_few_outages_have_no_shape_but_are_in_the_profile() -> None:
    rtt = quiet(5000)
    for begin in (1000, 2000, 3000):
        rtt[begin : begin + 5] = NAN
    fit = fit_recording(recording(rtt))
    assert fit.parameters["outage.shape"].ci is None
    assert any("too few to fit the shape" in warning for warning in fit.warnings)
    assert fit.profile.outage.observed is not None
    assert fit.profile.outage.observed.lengths_s == (4.5, 4.5, 4.5)


def test_one_long_outage_does_not_raise_the_other_loss() -> None:
    rtt = quiet(40_000)
    rtt[np.random.default_rng(1).random(len(rtt)) < 0.002] = NAN
    rtt[5000:25_000] = NAN
    fit = fit_recording(recording(rtt))
    good = fit.parameters["loss.good"]
    assert good.ci is not None
    assert good.value == pytest.approx(0.001, rel=0.4)  # each way
    assert good.ci[0] <= 0.001 <= good.ci[1] < 0.002
    assert fit.profile.up.loss.good_mean_s == 0  # no bursts


def test_rates_fall_with_the_length_within_their_intervals_and_the_profile_states_the_same() -> None:
    rtt = quiet(20_000)
    rtt[np.random.default_rng(2).random(len(rtt)) < 0.02] = NAN
    rtt[5000:5004] = NAN
    fit = fit_recording(recording(rtt))
    rates = [estimate for name, estimate in fit.parameters.items() if name.startswith("outage.per_hour.")]
    values = [each.value or 0.0 for each in rates]
    assert values[0] > values[1] > values[2] > 0
    assert all(each.plausible for each in rates)
    assert [rate for _, rate in fit.profile.outage.knots] == pytest.approx(values, rel=5e-4)


def test_rates_of_shorter_outages_that_contradict_the_count_of_longer_ones_follow_it() -> None:
    found = falling({1.0: Estimate(1.5, (0.2, 3.0)), 2.0: Estimate(0.1, (0.0, 0.1)), 2.5: Estimate(0.5, (0.3, 0.9))})
    assert list(found) == [1.0, 2.0, 2.5]
    assert [each.value for each in found.values()] == pytest.approx([1.5, 0.5, 0.5], rel=2e-3)
    assert [each.ci for each in found.values()] == [(0.3, 3.0), (0.3, 0.9), (0.3, 0.9)]


def test_a_tail_outside_the_interval_of_what_fits_the_probes_is_said_to_be() -> None:
    rtt = quiet(1000)
    rtt[100:104] = NAN
    seen = recording(rtt)
    found = find_outages(seen, find_runs(seen), 3)
    parameters = {**fit_recording(seen).parameters, "outage.shape": Estimate(0.41, (0.45, 0.49))}
    delays = fit_delays(rtt[~np.isnan(rtt)])
    (said,) = [each for each in warnings_of(seen, found, parameters, delays) if "middle" in each]
    assert "middle of its step of 1s" in said
    assert "its shape is outside" in said


def test_an_outage_that_an_end_cuts_is_longer_than_what_was_seen() -> None:
    rtt = quiet(2000)
    for begin, end in ((0, 6), (400, 405), (994, 1000), (1000, 1030), (1994, 2000)):
        rtt[begin:end] = NAN
    fit = fit_recording(recording(rtt, stretch=[0] * 1000 + [1] * 1000))
    assert [outage.cut for outage in fit.outages] == [True, False, True, True, True]
    # The one of 30 s began before the second stretch, when nobody looked.
    seen = fit.profile.outage.observed
    assert seen is not None
    assert (seen.lengths_s, seen.cut_s, seen.count) == ((4.5,), (5.5, 5.5, 5.5), 4)
    assert fit.parameters["outage.per_hour.2.5s"].value == pytest.approx(4 * 3600 / 2000)
    said = " ".join(fit.warnings)
    assert "4 of 5 outages touch an end of the recording" in said
    assert "1 of 5 outages does not count in the rates: it was on when a later part began" in said


def test_a_log_that_begins_with_the_least_outage_is_fitted() -> None:
    rtt = quiet(2000)
    rtt[:3] = NAN
    fit = fit_recording(recording(rtt))
    seen = fit.profile.outage.observed
    assert seen is not None
    assert (seen.lengths_s, seen.cut_s) == ((), (2.5,))
    said = " ".join(fit.warnings)
    assert "1 of 1 outages touches an end of the recording" in said
    assert "of no outage both ends were seen: the scale of the tail is a guess" in said
    assert loaded(profile_toml(fit)) == fit.profile


@pytest.mark.parametrize("length", range(63, 130, 3))
def test_a_short_log_with_an_outage_is_fitted(length: int) -> None:
    rtt = quiet(length)
    rtt[30:33] = NAN
    assert fit_recording(recording(rtt)).profile.outage.rates


def test_outages_that_were_all_on_when_later_parts_began_are_none_to_count() -> None:
    rtt = quiet(2000)
    rtt[1000:1030] = NAN
    fit = fit_recording(recording(rtt, stretch=[0] * 1000 + [1] * 1000))
    said = " ".join(fit.warnings)
    assert "no outage was seen to begin in 0.556 h: this profile says nothing about thresholds" in said
    assert "exponential" not in said


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "days"), [(10, 1), (1, 4)])
def test_short_bursts_do_not_raise_the_shortest_outage(seed: int, days: int) -> None:
    shipped = load_profile("wireguard-5g")
    fit = fit_recording(record(shipped, days * 86_400, seed))
    assert fit.from_s == 2.5
    assert not [row["figure"] for row in judge("wireguard-5g", Truth.of(shipped), seed, fit) if row["wrong"]]


def test_a_tail_that_ends_as_soon_as_it_may_is_in_its_own_interval() -> None:
    rtt = quiet(20_000)
    for begin, length in zip(range(300, 20_000, 900), range(11, 74, 3), strict=False):
        rtt[begin : begin + length] = NAN
    fit = fit_recording(recording(rtt))
    assert fit.parameters["outage.shape"].value == -0.5
    assert fit.parameters["outage.shape"].plausible
    assert not any("middle of its step" in warning for warning in fit.warnings)


def test_the_pause_between_two_stretches_is_no_outage() -> None:
    rtt = quiet(1000)
    seen = recording(rtt, stretch=[0] * 500 + [1] * 500)
    apart = Recording(
        "two", np.where(seen.stretch == 1, seen.sent_s + 9000, seen.sent_s), rtt, None, None, seen.stretch, 1.0
    )
    fit = fit_recording(apart)
    assert fit.outages == ()
    assert fit.hours == pytest.approx(1000 / 3600)


def test_one_way_delays_give_each_direction_its_own_and_outages_a_direction() -> None:
    up, down = quiet(2000, seed=2), 2 * quiet(2000, seed=3)
    up[300:305] = down[300:305] = NAN
    down[900:906] = NAN
    seen = recording(up + down)
    fit = fit_recording(Recording(seen.source, seen.sent_s, seen.rtt_s, up, down, seen.stretch, 1.0))
    assert [each.kind for each in fit.outages] == [Kind.UP, Kind.DOWN]
    assert fit.profile.up.base_delay_s == pytest.approx(0.02, abs=0.001)
    assert fit.profile.down.base_delay_s == pytest.approx(0.04, abs=0.001)
    assert fit.profile.outage.directions.down == 0.5


def test_too_few_answers_are_refused() -> None:
    with pytest.raises(AnalysisError, match=r"test\.log: 5 of 100 probes were answered; a fit needs at least 60"):
        fit_recording(recording([*quiet(5), *[NAN] * 95]))


@pytest.mark.skipif(not DATA.exists(), reason="needs the logs in shared/data")
def test_the_stall_of_a_private_5g_network_was_held() -> None:
    fit = fit_recording(read_recording([DATA / "deterministic6g/ping-MEC-ORAN.txt"]))
    assert [each.kind for each in fit.outages] == [Kind.HOLD]
    assert fit.outages[0].length_s == pytest.approx(11.4, abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs the driving traces in shared/data")
def test_the_driving_traces_have_the_tail_that_was_counted_in_them() -> None:
    traces = read_traces(DATA / "irish-5g/5G-production-dataset.zip", SUBJECTS[0])
    lost = [trace.kbit_s <= LONE_SEGMENT_KBIT_S for trace in traces]
    stretch = np.repeat(np.arange(len(traces), dtype=np.int32), [len(trace.at_s) for trace in traces])
    rtt = np.where(np.concatenate(lost), NAN, quiet(len(stretch)))
    fit = fit_recording(Recording("driving", np.concatenate([t.at_s for t in traces]), rtt, None, None, stretch, 1.0))
    assert len(fit.outages) == 68
    assert max(each.length_s for each in fit.outages) == 43
    assert (fit.parameters["outage.shape"].value, fit.parameters["outage.scale"].value) == (0.486, 2.05)


def test_where_all_outages_hold_nothing_is_said_of_short_ones() -> None:
    rtt = quiet(3000)
    for begin in (500, 1500, 2500):
        rtt[begin : begin + 5] = [4.9, 3.9, 2.9, 1.9, 0.9]
    fit = fit_recording(recording(rtt))
    assert fit.profile.outage.hold == 1.0
    assert fit.parameters["outage.per_hour.1s"].value is None
    assert fit.parameters["outage.per_hour.2.5s"].value == pytest.approx(3 / (3000 / 3600))
    assert fit.profile.outage.rates == ()


def test_delays_that_never_change_have_no_time_scale() -> None:
    fit = fit_recording(recording(np.full(300, 0.02) + np.arange(300) * 1e-15))
    assert fit.parameters["jitter_correlation"].value is None
    assert fit.profile.jitter_correlation_s == 1.0


@pytest.mark.slow
def test_bursts_that_several_probes_see_are_recovered_and_are_no_outages() -> None:
    way = {"base_delay": "10ms", "jitter": [[0.5, "1ms"]]}
    loss = {"good": 0.001, "bad": 0.5, "good_mean": "60s", "bad_mean": "5s"}
    bursty = validate(Profile, {"up": way | {"loss": loss}, "down": way | {"loss": loss}}, "bursty")
    pinged = record(bursty, 4 * 3600, seed=2)
    faster = Recording(
        "fast", pinged.sent_s / 10, pinged.rtt_s, None, None, pinged.stretch, 0.1
    )  # time ten times faster
    fit = fit_recording(faster)
    for name, true in (("loss.bad", 0.5), ("loss.good", 0.001), ("loss.good_mean", 6.0), ("loss.bad_mean", 0.5)):
        ci = fit.parameters[name].ci
        assert ci is not None
        assert ci[0] <= true <= ci[1]
    assert fit.from_s > 0.9
    assert len(fit.outages) < 30


def bursty(good_mean: str, bad_mean: str, bad: float, outage: str = "") -> Profile:
    """Return a network with loss bursts on each way; its outages as a table of TOML."""
    loss = {"good": 0.0005, "bad": bad, "good_mean": good_mean, "bad_mean": bad_mean}
    way = {"base_delay": "10ms", "jitter": [[0.5, "1ms"]], "loss": loss}
    return validate(Profile, {"up": way, "down": way} | tomllib.loads(outage), "bursty")


@pytest.mark.slow
def test_bursts_that_make_long_runs_of_losses_are_recovered_and_make_no_outages() -> None:
    fit = fit_recording(record(bursty("80s", "0.6s", 0.6), 4 * 3600, seed=1, step_s=0.2))
    for name, true in (("loss.bad", 0.6), ("loss.good_mean", 80.0), ("loss.bad_mean", 0.6)):
        ci = fit.parameters[name].ci
        assert ci is not None
        assert ci[0] <= true <= ci[1]
    rates = [estimate.ci for name, estimate in fit.parameters.items() if name.startswith("outage.per_hour.")]
    assert [ci and ci[0] for ci in rates] == [0, 0, 0]


@pytest.mark.slow
def test_outages_are_counted_from_a_length_that_bursts_hardly_reach() -> None:
    network = bursty("120s", "1.5s", 0.5, "outage = {rates = [['2s', 5]], shape = 0.35, scale = '2.5s'}")
    fit = fit_recording(record(network, 24 * 3600, seed=1))
    assert fit.from_s > 2.5
    assert not [row["figure"] for row in judge("bursty", Truth.of(network), 1, fit) if row["wrong"]]
