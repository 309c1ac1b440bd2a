"""The table says whether intervals contain what made the log."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis.fit import Estimate, Fit, fit_recording
from heartbench.analysis.fit.stated import stated
from heartbench.analysis.validation.fitted import Truth, judge, lines, mobile_fleet, rate_lines, truth
from heartbench.simulator.ping import record
from heartbench.simulator.profile import PROFILES, load_profile


@pytest.fixture(scope="module")
def of_lan() -> Fit:
    return fit_recording(record(load_profile("lan"), 3600, seed=1))


def rows(fit: Fit, **other: Estimate) -> list[dict[str, Any]]:
    changed = Fit(**{name: getattr(fit, name) for name in Fit.__slots__} | {"parameters": {**fit.parameters, **other}})
    return list(judge("lan", Truth.of(load_profile("lan")), 1, changed))


def test_a_figure_is_right_wrong_or_not_determined(of_lan: Fit) -> None:
    judged = {
        row["figure"]: (row["within"], row["wrong"], row["unknown"])
        for row in rows(of_lan, rtt_p50=Estimate(0.1, (0.09, 0.11)), rtt_p90=Estimate(0.0004))
    }
    assert judged["rtt_p25"] == (True, False, False)
    assert judged["rtt_p50"] == (False, True, False)
    assert judged["rtt_p90"] == (False, False, True)


def test_the_table_counts_seeds(of_lan: Fit) -> None:
    shown = list(lines(pd.DataFrame(rows(of_lan))))
    assert any(line.startswith("| lan | round trip, p50, ms | 0.3 | 1 of 1 | 0 |") for line in shown)
    assert shown[-1] == "lan: every interval contains the true value in 1 of 1 seeds.  "


def test_a_true_rate_has_the_interval_of_its_count() -> None:
    covered = np.array([[[0.001, 0.0009, 0.002], [0.02, 0.01, 0.01]], [[0.03, 0.01, 0.01], [0.05, 0.02, 0.02]]])
    rows = list(rate_lines(np.array([30.0, 0.0, 0.0]), 3000.0, covered))[1:]
    assert rows[0] == "| 30 s | 30 in 3,000 | 0.01 (0.00675 to 0.0143) | 1 of 2 | 1 of 2 | 0.0155 to 0.035 |"
    assert rows[1].startswith("| 60 s | 0 in 3,000 | 0 (0 to 0.00123) | 0 of 2 | 1 of 2 |")
    assert rows[2].startswith("| 90 s | 0 in 3,000 | 0 (0 to 0.00123) | 0 of 2 | 0 of 2 |")


def test_the_truth_of_a_delay_is_what_pings_see_that_no_outage_held(of_lan: Fit) -> None:
    private = Truth.of(load_profile("5g-private"))
    assert truth(private, of_lan, "rtt_p50") == pytest.approx(0.019, rel=0.005)
    # Radios change while a ping is under way: both ways' p99 add up to 47 and 250 ms.
    assert truth(private, of_lan, "rtt_p99") == pytest.approx(0.0485, rel=0.01)
    assert truth(Truth.of(load_profile("wifi")), of_lan, "rtt_p99") == pytest.approx(0.244, rel=0.01)


def test_the_truth_of_a_tail_is_beyond_the_threshold_of_the_fit(of_lan: Fit) -> None:
    mobile = load_profile("wireguard-5g")
    network = Truth(mobile, np.zeros(0))
    assert truth(network, of_lan, "outage.shape") == 0.486
    assert truth(network, of_lan, "outage.scale") == pytest.approx(2.05 - 0.486 * 0.5)
    found = stated(mobile, ["outage.per_hour.2s", "outage.per_hour.3s", "outage.per_hour.10s", "loss.bad", "rtt_p50"])
    assert [found[f"outage.per_hour.{length}s"].value for length in (2, 3)] == pytest.approx([13.7, 68 / 7.75])
    assert found["outage.per_hour.10s"].value == pytest.approx(68 / 7.75 * (1 + 0.486 * 7 / 2.05) ** (-1 / 0.486))
    assert found["outage.per_hour.3s"].ci is not None
    assert found["loss.bad"].value == 0.5
    assert found["rtt_p50"].value == pytest.approx(0.08)


@pytest.mark.parametrize("name", PROFILES.names())
def test_each_profile_can_carry_the_fleet_whose_false_stales_are_counted(name: str) -> None:
    (group,) = mobile_fleet(name).group
    assert group.link == load_profile(name)
