"""Numbers of ping that start again after 65,535, or fall for another reason."""

from pathlib import Path

import numpy as np
import pytest
from tests.simulator.recordings.pings import HEAD, Read, answer

from heartbench.simulator.errors import SimulatorError


def test_numbers_start_again_after_65535(read: Read) -> None:
    log = "".join(answer(n % 65536) for n in (65533, 65535, 65534, 65536, 65538))
    assert np.isnan(read(log).rtt_s).tolist() == [False, False, False, False, True, False]


LONG = [32767, 32768, 40000, 65535]


@pytest.mark.parametrize("step", [*LONG, 65536, 70000, 140_000])
@pytest.mark.parametrize("interval_s", [0.2, 1.0])
def test_the_clock_tells_how_long_an_outage_was(read: Read, step: int, interval_s: float) -> None:
    t = 1_700_000_000.0
    numbers = [*range(1, 101), *range(100 + step, 200 + step)]
    got = read(HEAD + "".join(answer(n % 65536, 20, t + interval_s * n) for n in numbers))
    assert (got.probes, got.lost) == (199 + step, step - 1)
    assert set(got.stretch) == {0}
    assert got.interval_s == pytest.approx(interval_s, rel=1e-3)


@pytest.mark.parametrize("step", LONG[:-1])
def test_without_times_a_number_that_falls_far_went_once_around(read: Read, step: int) -> None:
    got = read(HEAD + "".join(answer(n % 65536) for n in [*range(1, 101), *range(100 + step, 200 + step)]))
    assert (got.probes, got.lost) == (199 + step, step - 1)


@pytest.mark.parametrize("step", [65535, 65536])
def test_without_times_an_outage_once_around_is_rejected(read: Read, step: int, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as error:
        read(HEAD + "".join(answer(n % 65536) for n in [*range(1, 101), *range(100 + step, 200 + step)]))
    assert str(error.value).startswith(
        f"{tmp_path / 'ping.log'}: icmp_seq={100 if step == 65536 else 99} has two answers"
    )
    assert "\n" not in str(error.value)


def test_a_sleep_of_the_machine_for_a_day_is_no_outage(read: Read) -> None:
    t = 1_700_000_000.0
    log = "".join(answer(n, 20, t + n) for n in range(1, 60))
    got = read(log + "".join(answer(n, 20, t + 86_400 + n) for n in range(60, 100)))
    assert (got.lost, got.stretch[-1]) == (0, 1)


def test_an_adaptive_prober_that_slows_down_for_hours_lost_no_more_than_its_numbers_say(read: Read) -> None:
    t = 1_700_000_000.0
    quick = "".join(answer(n, 20, t + 0.02 * n) for n in range(1, 100))
    later = "".join(answer(n, 20, t + 7200 + 0.02 * (n - 7300)) for n in range(7300, 7400))
    assert read(quick + later).lost == 7200


@pytest.mark.parametrize("t", [None, 1_700_000_000.0])
@pytest.mark.parametrize(("probes", "first"), [(5, 1), (5000, 1), (5000, 2), (40_000, 1), (40_000, 3), (65_000, 1)])
@pytest.mark.parametrize("pause_s", [0, 9, 3600, 100_000])
def test_a_start_of_ping_whose_first_line_is_missing_is_rejected(
    read: Read, t: float | None, probes: int, first: int, pause_s: int
) -> None:
    before = range(max(1, probes - 200), probes + 1)
    log = "".join(answer(n, 20, t and t + n) for n in before)
    with pytest.raises(SimulatorError, match="another start of ping without its PING line"):
        read(log + "".join(answer(n, 20, t and t + probes + pause_s + n) for n in range(first, 201)))


@pytest.mark.parametrize("t", [None, 1_700_000_000.0])
def test_a_short_outage_in_which_the_numbers_start_again_is_none(read: Read, t: float | None) -> None:
    numbers = [*range(65_000, 65_300), *range(65_537, 65_600)]
    assert read("".join(answer(n % 65536, 20, t and t + n) for n in numbers)).lost == 237


def test_a_pause_in_which_the_numbers_start_again_is_no_other_start(read: Read) -> None:
    t = 1_700_000_000.0
    numbers = [*range(65_000, 65_530), *range(65_537, 65_600)]
    got = read("".join(answer(n % 65536, 20, t + n + 7200 * (n > 65_535)) for n in numbers))
    assert (got.lost, got.stretch[-1]) == (7, 1)


def test_answers_that_come_minutes_late_are_no_outage(read: Read) -> None:
    t = 1_700_000_000.0
    held = "".join(answer(n, 1000 * (301 - n), t + 301) for n in range(300, 10, -1))
    got = read("".join(answer(n, 20, t + n + 0.02) for n in range(1, 11)) + held + answer(301, 20, t + 301.02))
    assert (got.probes, got.lost) == (301, 0)
