import math

import numpy as np
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.ping import record, survey
from heartbench.simulator.profile import Profile, load_profile
from heartbench.simulator.tail import log_survival
from heartbench.simulator.tomlfile import validate


@pytest.mark.slow
def test_a_day_of_wireguard_5g_shows_the_figures_of_its_file() -> None:
    shipped = load_profile("wireguard-5g")
    day = survey(shipped, 86_400, nodes=30)

    shares = np.array([0.5, 0.9, 0.99])
    seen = np.quantile(day.rtt_s, shares)
    assert seen == pytest.approx(shipped.rtt_quantile(shares), rel=0.10)
    assert seen[0] == pytest.approx(shipped.rtt_s, rel=0.02)
    tail = shipped.outage.tail
    stated = {3.0: shipped.outage.tail_per_hour} | {
        length: shipped.outage.tail_per_hour * math.exp(log_survival(np.array(length - 3), tail.shape, tail.scale_s))
        for length in (5.0, 10.0)
    }
    assert [day.outages_per_hour(length) for length in stated] == pytest.approx(list(stated.values()), rel=0.08)


def test_nothing_is_lost_on_a_lan() -> None:
    minute = survey(load_profile("lan"), 60, nodes=10)

    assert (minute.lost, minute.sent, len(minute.outages_s)) == (0, 600, 0)
    assert minute.rtt_s[-1] < 0.003


def test_what_is_lost_one_way_is_not_answered() -> None:
    half = validate(Profile, {"up": {"base_delay": 1, "loss": {"good": 0.5}}, "down": {"base_delay": 2}}, "test")

    seen = survey(half, 2000, nodes=1)

    assert seen.lost == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(seen.rtt_s, 3)


def test_a_ping_that_is_held_is_answered_late_and_delays_no_other() -> None:
    way, outage = {"base_delay": "10ms"}, {"rates": [["5s", 60.0]], "lengths": "fixed", "hold": 1.0}
    holding = validate(Profile, {"up": way, "down": way, "outage": outage}, "test")

    seen = survey(holding, 36_000, nodes=1)

    assert seen.lost == 0
    assert seen.rtt_s[0] == pytest.approx(0.02)
    assert 4.5 < seen.rtt_s[-1] < 5.1
    assert (seen.rtt_s > 0.021).mean() == pytest.approx(5 / 60, rel=0.15)
    assert seen.outages_per_hour(5.0) == pytest.approx(60.0, rel=0.15)


def test_a_recording_has_the_step_that_was_asked_for_and_bursts_last_as_many_probes() -> None:
    way = {"base_delay": "10ms", "loss": {"bad": 1.0, "good_mean": "9s", "bad_mean": "1s"}}
    bursty = validate(Profile, {"up": way, "down": {"base_delay": "10ms"}}, "test")

    seen = record(bursty, 3600, seed=1, step_s=0.2)

    assert (seen.probes, seen.interval_s, seen.sent_s[-1]) == (18_000, 0.2, pytest.approx(3599.8))
    lost = np.isnan(seen.rtt_s)
    assert lost.mean() == pytest.approx(0.1, abs=0.02)
    assert (lost[1:] & lost[:-1]).sum() / lost.sum() == pytest.approx(math.exp(-0.2), abs=0.05)


def test_too_little_to_measure_is_refused() -> None:
    with pytest.raises(SimulatorError, match="a second and a node at least"):
        survey(load_profile("lan"), 0.5)
