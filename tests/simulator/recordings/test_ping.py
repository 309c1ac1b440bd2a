"""Logs of ping as a user has them: with and without -D and -O, interrupted, held, wrapped, resumed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.recordings.pings import HEAD, Read, answer

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import read_recording

DATA = Path(__file__).parents[4] / "shared/data/deterministic6g"


def end(sent: int, took_ms: int) -> str:
    return (
        f"\n--- host ping statistics ---\n{sent} packets transmitted, 1 received, 5% packet loss, time {took_ms}ms\n"
        "rtt min/avg/max/mdev = 1.0/2.0/3.0/0.1 ms, pipe 2\n"
    )


def test_missing_numbers_are_lost_probes(read: Read) -> None:
    got = read(HEAD + answer(2) + answer(3, 7.5) + answer(6))
    assert got.rtt_s == pytest.approx([np.nan, 0.02, 0.0075, np.nan, np.nan, 0.02], nan_ok=True)
    assert got.lost == 3
    assert list(got.sent_s) == [0, 1, 2, 3, 4, 5]
    assert "one probe a second is assumed" in got.assumptions[0]


def test_the_summary_gives_the_interval_and_the_losses_at_the_end(read: Read) -> None:
    got = read(HEAD + answer(1) + answer(2) + end(6, 1000))
    assert got.interval_s == pytest.approx(0.2)
    assert got.probes == 5  # the sixth may have been on its way
    assert got.lost == 3
    assert got.assumptions == ()


@pytest.mark.parametrize("stamps", [False, True])
@pytest.mark.parametrize("cut", [1, 49, 65_530, 65_540, 70_000])
def test_a_log_cut_in_two_lost_no_more_than_the_whole(tmp_path: Path, stamps: bool, cut: int) -> None:
    t, lost = 1_700_000_000.0, {3, 51, 65_541, *range(66_000, 66_020), *range(70_090, 70_100)}
    lines = [answer(n % 65536, 20, t + n if stamps else None) for n in range(1, 70_100) if n not in lost]
    parts = [tmp_path / "1.log", tmp_path / "2.log"]
    parts[0].write_text(HEAD + "".join(lines[:cut]))
    parts[1].write_text("".join(lines[cut:]) + end(70_099, 70_098_000))
    got = read_recording(parts)
    assert got.lost == len([n for n in lost if n < 70_099]) - (cut == 49)  # 51 is where it was cut
    assert len(got.stretch_starts) == 2
    assert got.observed_s == pytest.approx(got.probes, abs=0.1)


@pytest.mark.parametrize("count", ["9 received", "9 packets received"])
def test_a_log_without_its_first_line_begins_with_its_first_number_and_ends_with_the_count(
    read: Read, count: str
) -> None:
    first = {"9 received": 101, "9 packets received": 100}[count]
    waiting = f"no answer yet for icmp_seq={first}\n"
    got = read(waiting + answer(first + 2) + f"105 packets transmitted, {count}, 95% packet loss\n")
    assert np.isnan(got.rtt_s).tolist() == [True, True, False, True]  # the last may have been on its way


def test_what_comes_late_from_before_the_cut_is_no_outage(read: Read) -> None:
    got = read(answer(100) + answer(90, 11_000) + answer(99, 2000) + answer(98, 3000) + answer(101))
    assert got.rtt_s == pytest.approx([3, 2, 0.02, 0.02])


@pytest.mark.parametrize(("bytes_", "first"), [("56(84) bytes of data.", 1), (": 56 data bytes", 0)])
@pytest.mark.parametrize("answered", [2, 40_000])
def test_a_log_with_its_first_line_begins_with_the_first_number_of_its_ping(
    read: Read, bytes_: str, first: int, answered: int
) -> None:
    got = read(f"PING host (192.0.2.1){bytes_}\n" + answer(answered) + answer(answered + 1))
    assert (got.probes, got.lost) == (answered - first + 2, answered - first)


def test_times_of_day_give_when_probes_left(read: Read) -> None:
    t = 1_700_000_000.0
    got = read(answer(1, 500, t + 0.5) + answer(2, 20, t + 1.12) + answer(5, 20, t + 4.42))
    assert got.sent_s == pytest.approx([0, 1.1, 2.2, 3.3, 4.4], abs=1e-5)
    assert got.began_unix_s == pytest.approx(t)
    assert got.lost == 2


@pytest.mark.parametrize(
    ("stamp", "began"),
    [
        ("17000000{:02}.500000 ", 1_700_000_000.48),
        ("2023-11-14T22:13:{:02}.5 ", 1_699_999_980.48),
        ("2023-11-14 22:13:{:02}.500+01:00 ", 1_699_999_980.48),
        ("[2023-11-14 22:13:{:02}.5] ", 1_699_999_980.48),
        ("Nov 14 22:13:{:02} ", None),
        ("22:13:{:02} ", None),
        ("Tue Nov 14 22:13:{:02}: ", None),
    ],
)
def test_other_times_may_stand_before_the_lines(read: Read, stamp: str, began: float | None) -> None:
    said = [
        HEAD,
        answer(1),
        answer(2),
        "no answer yet for icmp_seq=3\n",
        answer(4),
        "\n",
        *end(4, 3000).splitlines(True),
    ]
    got = read("".join(stamp.format(second) + line for second, line in enumerate(said)))
    assert np.isnan(got.rtt_s).tolist() == [False, False, True, False]
    assert got.sent_s == pytest.approx([0, 1, 2, 3])
    assert got.began_unix_s == (None if began is None else pytest.approx(began + 1))


def test_lines_of_one_whole_second_are_spread_over_it(read: Read) -> None:
    t = 1_700_000_000
    got = read("".join(f"{t + n // 5} {answer(n, 20 + n % 7)}" for n in range(1000)))
    assert got.interval_s == pytest.approx(0.2, rel=0.1)
    assert got.sent_s == pytest.approx(np.arange(1000) / 5, abs=1)


def test_answers_that_a_link_held_come_together(read: Read) -> None:
    t = 1_700_000_000.0
    log = "".join(answer(n, 5000 - 1000 * n + 20, t + 5) for n in (3, 1, 2, 4)) + answer(5, 20, t + 5.02)
    got = read(log)
    assert got.rtt_s == pytest.approx([4.02, 3.02, 2.02, 1.02, 0.02])
    assert np.ptp(got.sent_s[:4] + got.rtt_s[:4]) < 1e-3
    assert got.lost == 0


def test_a_late_answer_counts_and_a_line_of_no_answer_yet_does_not(read: Read) -> None:
    waiting = "no answer yet for icmp_seq=2\nno answer yet for icmp_seq=3\n"
    got = read(HEAD + answer(1) + waiting + answer(2, 2500) + answer(4))
    assert got.rtt_s == pytest.approx([0.02, 2.5, np.nan, 0.02], nan_ok=True)


def test_errors_of_routers_and_of_the_own_machine_are_lost_probes(read: Read) -> None:
    got = read(
        HEAD
        + answer(1)
        + "From 192.0.2.254 icmp_seq=2 Destination Host Unreachable\n"
        + "From gate (192.0.2.254): icmp_seq=3 Time to live exceeded\n"
        + "ping: sendmsg: Network is unreachable\n"
        + answer(5)
    )
    assert np.isnan(got.rtt_s).tolist() == [False, True, True, True, False]


def test_of_duplicates_the_first_counts(read: Read) -> None:
    got = read(answer(1) + answer(1, 35, extra=" (DUP!)") + answer(2))
    assert got.rtt_s == pytest.approx([0.02, 0.02])


def test_a_pause_of_the_prober_is_not_observed(read: Read) -> None:
    t = 1_700_000_000.0
    log = "".join(answer(n, 20, t + n) for n in range(1, 6)) + "".join(answer(n, 20, t + n + 3600) for n in (7, 8, 9))
    got = read(log)
    assert got.stretch.tolist() == [0] * 6 + [1] * 3
    assert got.lost == 1
    assert got.hours == pytest.approx(9 / 3600, rel=0.01)


def test_a_long_outage_is_no_pause(read: Read) -> None:
    t = 1_700_000_000.0
    log = "".join(answer(n, 20, t + 1.03 * n) for n in [*range(1, 100), *range(500, 600)])
    got = read(log)
    assert set(got.stretch) == {0}
    assert got.lost == 400


def test_an_adaptive_prober_slows_down_in_an_outage_and_does_not_pause(read: Read) -> None:
    t = 1_700_000_000.0
    quick = "".join(answer(n, 20, t + 0.02 * n) for n in range(1, 100))
    got = read(quick + "".join(answer(n, 20, t + 10 + 0.02 * n) for n in range(109, 200)))
    assert set(got.stretch) == {0}


def test_each_start_of_ping_is_a_stretch(read: Read) -> None:
    got = read(HEAD + answer(1) + answer(2) + end(2, 1000) + HEAD + answer(1) + answer(2))
    assert got.stretch.tolist() == [0, 0, 1, 1]
    assert got.lost == 0


def unanswered(number: int, printed_s: float) -> str:
    return f"[{printed_s:.6f}] no answer yet for icmp_seq={number}\n"


@pytest.mark.parametrize("answered", [0, 1])
def test_a_start_of_ping_without_answers_keeps_its_times(read: Read, answered: int) -> None:
    t = 1_700_000_000.0
    before = "".join(answer(n, 20, t + 0.2 * n + 0.02) for n in range(1, 5001))
    during = "".join(answer(n, 20, t + 1000 + 0.2 * n + 0.02) for n in range(1, 1 + answered))
    during += "".join(unanswered(n, t + 1000.2 + 0.2 * n) for n in range(1 + answered, 301))
    after = "".join(answer(n, 20, t + 1060 + 0.2 * n + 0.02) for n in range(1, 5001))
    got = read(HEAD + before + HEAD + during + HEAD + after)
    outage = got.sent_s[got.stretch == 1]
    assert outage[[0, -1]] == pytest.approx([1000, 1059.6], abs=0.01)
    assert got.observed_s == pytest.approx(2059.8, abs=0.1)
    assert got.assumptions == ()


def test_errors_that_come_several_at_once_are_no_quick_prober(read: Read) -> None:
    t = 1_700_000_000.0
    errors = (
        f"[{t + 3 * (n // 3):.6f}] From 192.0.2.254 icmp_seq={n} Destination Host Unreachable\n" for n in range(60)
    )
    got = read(HEAD + "".join(errors))
    assert got.interval_s == pytest.approx(1.0, rel=0.1)
    assert got.began_unix_s == pytest.approx(t, abs=3)


def test_other_pings_read_too(read: Read) -> None:
    busybox = "PING 192.0.2.1 (192.0.2.1): 56 data bytes\n64 bytes from 192.0.2.1: seq=0 ttl=57 time=19.234 ms\n"
    macos = "64 bytes from 192.0.2.1: icmp_seq=2 ttl=57 time=20.1 ms\nRequest timeout for icmp_seq 3\n"
    got = read(busybox + macos + "64 bytes from 192.0.2.1: icmp_seq=4 ttl=57 time=20.1 ms\r\n")
    assert np.isnan(got.rtt_s).tolist() == [False, True, False, True, False]


@pytest.mark.parametrize(
    "more",
    [
        "RR: \tgate (192.0.2.254)\n\t192.0.2.1\n\n",
        "TS: \t40467911 absolute\n\t-3\n\t0\nUnrecorded hops: 2\n\n",
        "TS: \t192.0.2.1\t40466895 absolute\n\t192.0.2.254\t0\n\n",
    ],
)
def test_what_ping_prints_of_the_way_is_passed_over(read: Read, more: str) -> None:
    verbose = "ping: sock4.fd: 3\nai->ai_family: AF_INET, ai->ai_canonname: 'host'\n"
    got = read(verbose + HEAD + answer(1) + more + answer(2, extra="\t(same route)") + answer(4))
    assert np.isnan(got.rtt_s).tolist() == [False, False, True, False]


def test_a_mark_of_utf_8_at_the_beginning_is_passed_over(read: Read) -> None:
    assert read("\ufeff" + HEAD + answer(2)).probes == 2


@given(
    st.lists(st.none() | st.floats(1, 30_000).map(lambda ms: round(ms, 1)), min_size=2, max_size=60),
    st.booleans(),
    st.booleans(),
    st.integers(1, 65535),
)
def test_a_log_says_what_ping_saw(
    tmp_path_factory: pytest.TempPathFactory, rtts: list[float | None], stamps: bool, waits: bool, first: int
) -> None:
    """Write a log as ping does, in the order in which things happen, and read it."""
    rtts = [20.0, *rtts, 20.0]
    t = 1_700_000_000.0
    happened = []
    for place, rtt_ms in enumerate(rtts):
        number, left = (first + place) % 65536, t + 0.5 * place
        if rtt_ms is not None:
            at = left + rtt_ms / 1000
            happened.append((at, answer(number, rtt_ms, at if stamps else None)))
        if waits and (rtt_ms is None or rtt_ms > 500):
            stamp = f"[{left + 0.5:.6f}] " if stamps else ""
            happened.append((left + 0.5, f"{stamp}no answer yet for icmp_seq={number}\n"))
    log = tmp_path_factory.getbasetemp() / "said.log"
    log.write_text("".join(text for _, text in sorted(happened)), encoding="ascii")
    got = read_recording([log])
    assert got.rtt_s * 1000 == pytest.approx([np.nan if ms is None else ms for ms in rtts], nan_ok=True)
    assert set(got.stretch) == {0}
    assert got.sent_s == pytest.approx(np.arange(len(rtts)) * (0.5 if stamps else 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        (HEAD + answer(1) + "time,rtt\n" + answer(2), 3, "no line of ping"),
        (HEAD + answer(1) + "12\t20.5\n" + answer(2), 3, "no line of ping"),
        (HEAD + answer(1) + "\ttime\trtt\n" + answer(2), 3, "no line of ping"),
        (HEAD + answer(1) + answer(2)[:-4], 3, "the last line is cut"),
        (HEAD + answer(1) + answer(2)[:20], 3, "the last line is cut"),
        (answer(1, 20, 100.0) + answer(2, 20, 101.0) + answer(3, 20, 90.0), 3, "the time goes back by 11.000 s"),
        (answer(1) + answer(2).replace("20", "nan"), 2, "no line of ping"),
        (answer(1) + answer(2).replace("=20 ms", "=20 s"), 2, "no line of ping"),
        (HEAD + end(5, 4000), 1, "ping -q prints none"),
        ("", 1, "the file is empty"),
        ("\0\1\2", 1, "a binary file"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(read: Read, text: str, line: int, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'ping.log'}:{line}: ")
    assert wrong in str(error.value)
    assert "\n" not in str(error.value)


def test_a_last_line_without_its_newline_is_read_if_it_is_whole(read: Read) -> None:
    assert read(answer(1) + answer(2).rstrip("\n")).probes == 2


@pytest.mark.skipif(not DATA.exists(), reason="needs the logs in shared/data/deterministic6g")
@pytest.mark.parametrize(
    ("name", "sent", "answered", "median_ms", "longest_ms"),
    [
        ("ping-cloud-mmWave.txt", 1297, 1297, 12.0, 41.6),
        ("ping-cloud-ORAN-upd.txt", 1773, 1772, 24.2, 637),
        ("ping-MEC-ORAN.txt", 878, 874, 29.2, 11051),
    ],
)
def test_real_logs_read_as_their_summary_says(
    name: str, sent: int, answered: int, median_ms: float, longest_ms: float
) -> None:
    got = read_recording([DATA / name])
    assert (got.probes, got.probes - got.lost) == (sent, answered)
    assert np.nanmedian(got.rtt_s) * 1000 == pytest.approx(median_ms)
    assert np.nanmax(got.rtt_s) * 1000 == pytest.approx(longest_ms)
