import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.ping import survey
from heartbench.simulator.profile import Profile, Tail, load_profile
from heartbench.simulator.tomlfile import validate

TRACES = Path(__file__).parents[3] / "shared/data/irish-5g/5G-production-dataset.zip"


@pytest.mark.slow
def test_a_day_of_wireguard_5g_shows_what_its_source_measured() -> None:
    day = survey(load_profile("wireguard-5g"), 86_400, nodes=30)

    p50, p90, p99 = np.quantile(day.rtt_s, [0.5, 0.9, 0.99])
    assert p50 == pytest.approx(0.080, rel=0.02)
    assert p90 == pytest.approx(0.120, rel=0.05)
    assert p99 == pytest.approx(0.347, rel=0.10)
    rates = [day.outages_per_hour(length) for length in (3, 5, 10)]
    assert rates == pytest.approx([7.1, 3.0, 0.9], rel=0.08)


def test_another_tail_moves_only_the_longest_outages() -> None:
    shipped = load_profile("wireguard-5g")
    light, heavy = (survey(shipped.with_tail(tail), 86_400, nodes=10) for tail in Tail)

    assert light.outages_per_hour(5) == pytest.approx(heavy.outages_per_hour(5), rel=0.01)
    assert heavy.outages_per_hour(20) > 2 * light.outages_per_hour(20)


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
    way, outage = {"base_delay": "10ms"}, {"rates": [["5s", 60.0]], "tail_mean": "1ms", "hold": 1.0}
    holding = validate(Profile, {"up": way, "down": way, "outage": outage}, "test")

    seen = survey(holding, 36_000, nodes=1)

    assert seen.lost == 0
    assert seen.rtt_s[0] == pytest.approx(0.02)
    assert 4.5 < seen.rtt_s[-1] < 5.1
    assert (seen.rtt_s > 0.021).mean() == pytest.approx(5 / 60, rel=0.15)
    assert seen.outages_per_hour(5.0) == pytest.approx(60.0, rel=0.15)


def test_too_little_to_measure_is_refused() -> None:
    with pytest.raises(SimulatorError, match="a second and a node at least"):
        survey(load_profile("lan"), 0.5)


def driving() -> Iterator[list[dict[str, str]]]:
    """Rows of each trace of a download while driving."""
    with zipfile.ZipFile(TRACES) as archive:
        for name in archive.namelist():
            if name.startswith("5G-production-dataset/Download/Driving/"):
                yield list(csv.DictReader(io.StringIO(archive.read(name).decode())))


@pytest.mark.skipif(not TRACES.exists(), reason="the measurements that wireguard-5g is made from are not part of this")
def test_the_figures_of_wireguard_5g_are_found_in_its_source() -> None:
    pings = [row for trace in driving() for row in trace if row["PINGLOSS"] not in ("-", "")]
    lost = np.array([float(row["PINGLOSS"]) for row in pings])
    rtt_s = np.array([float(row["PINGAVG"]) for row in pings if row["PINGAVG"] != "-"]) / 1000

    shares = [np.isclose(lost, 20 * k, atol=10.1).sum() for k in (1, 2, 3, 4)]
    probabilities = np.array([0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
    stated = load_profile("wireguard-5g").rtt_quantile(probabilities)
    assert len(pings) == 2034
    assert np.quantile(rtt_s, probabilities) == pytest.approx(stated, rel=0.03)
    assert np.array(shares) / len(pings) == pytest.approx([0.029, 0.012, 0.006, 0.0015], abs=0.0012)
