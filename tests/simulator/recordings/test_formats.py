"""Logs of other tools, as these print them, and what none of them prints."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import Recording, read_recording

Read = Callable[[str], Recording]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(text: str) -> Recording:
        log = tmp_path / "log"
        log.write_text(text, encoding="utf-8")
        return read_recording([log])

    return of


FPING = """[1795979159.84363] 192.0.2.1 : [0], 64 bytes, 20.0 ms (20.0 avg, 0% loss)
ICMP Host Unreachable from 192.0.2.254 for ICMP Echo sent to 192.0.2.1
[1795979161.84363] 192.0.2.1 : [1], timed out (20.0 avg, 50% loss)
[1795979161.85363] 192.0.2.1 : [2], 64 bytes, 30.0 ms (25.0 avg, 33% loss)

192.0.2.1 : xmt/rcv/%loss = 3/2/33%, min/avg/max = 20.0/25.0/30.0
"""
MTR = """x 0 33000
h 0 192.0.2.254
p 0 943 33000
x 1 33001
h 1 192.0.2.1
p 1 20000 33001
x 2 33002
h 2 192.0.2.1
p 2 21000 33002
x 0 33003
x 1 33004
x 0 33005
p 0 900 33005
x 1 33006
p 1 25000 33006
x 0 33007
x 1 33008
"""
SMOKEPING = """                        uptime                loss              median               ping1   ping2

1170982800: -nan 0.0000000000e+00 2.0e-02 1.0e-02 3.0e-02
1170983100: -nan -nan -nan -nan -nan
1170983400: -nan 1.0e+00 2.0e-02 -nan 2.0e-02
1170983700: -nan 2.0e+00 -nan -nan -nan
"""


OTHER_HOST = "a second host, 192.0.2.7 beside 192.0.2.1; "


def test_fping_with_times_of_day(read: Read) -> None:
    got = read(FPING)
    assert got.rtt_s == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)
    assert got.sent_s == pytest.approx([0, 1, 2])
    assert got.began_unix_s == pytest.approx(1795979159.82363)


def test_fping_without_times_is_taken_to_send_once_a_second(read: Read) -> None:
    got = read("\n".join(line.partition("] ")[2] or line for line in FPING.splitlines() if line))
    assert got.sent_s == pytest.approx([0, 1, 2])
    assert "one probe a second is assumed" in got.assumptions[0]


@pytest.mark.parametrize("text", [FPING, FPING + FPING.replace("17959791", "17959891"), "192.0.2.1 : 20.0 - 30.5\n"])
def test_fping_drops_late_answers_and_the_log_says_so(read: Read, text: str) -> None:
    assert sum("answers later than fping's timeout (-t) count as lost" in each for each in read(text).assumptions) == 1


def test_fping_lists_its_round_trips_at_the_end(read: Read) -> None:
    assert read("192.0.2.1 : 20.0 - 30.5 -\n").rtt_s == pytest.approx([0.02, np.nan, 0.0305, np.nan], nan_ok=True)


def test_fping_started_twice_makes_two_stretches(read: Read) -> None:
    later = FPING.replace("17959791", "17959891")
    assert read(FPING + later).stretch.tolist() == [0, 0, 0, 1, 1, 1]


def test_fping_that_was_cut_begins_with_its_first_number(read: Read) -> None:
    begin = FPING.index("ICMP")
    got = read(FPING[begin:].replace(" [1],", " [65536],").replace(" [2],", " [65537],") + FPING.replace("597", "598"))
    assert got.rtt_s == pytest.approx([np.nan, 0.03, 0.02, np.nan, 0.03], nan_ok=True)
    assert got.stretch.tolist() == [0, 0, 1, 1, 1]


def test_a_probe_of_fping_from_before_the_cut_that_times_out_later_is_left_out(read: Read) -> None:
    line = "192.0.2.1 : [{}], {}\n".format
    late = "".join(line(n + 10, "64 bytes, 20.0 ms (20.0 avg)") + line(n, "timed out") for n in (195, 196))
    assert read(late).lost == 0
    first = [line(0, "timed out"), line(1, "64 bytes, 9.0 ms (9.0 avg)"), line(2, "64 bytes, 9.0 ms (9.0 avg)")]
    for order in ((0, 1, 2), (1, 0, 2), (1, 2, 0)):  # with a long timeout later ones have answers meanwhile
        got = read("".join(first[n] for n in order))
        assert (got.probes, got.lost, got.stretch[-1]) == (3, 1, 0)


def test_a_second_host_far_down_a_log_of_fping_is_named(read: Read) -> None:
    line = "{} : [{}], 64 bytes, 20.0 ms (20.0 avg, 0% loss)\n".format
    log = [line("192.0.2.1", n) for n in range(90_000)]  # more than a block
    log[89_000] = line("10.192.0.2.1", 1)
    with pytest.raises(SimulatorError, match=r":89001: a second host, 10\.192\.0\.2\.1 beside 192"):
        read("".join(log))


def test_mtr_counts_the_probes_to_the_target(read: Read) -> None:
    got = read(MTR)
    assert got.rtt_s == pytest.approx([0.02, np.nan, 0.025], nan_ok=True)
    assert "one round a second is assumed" in got.assumptions[0]


def test_one_probe_of_each_round_of_smokeping_keeps_the_share_of_losses(read: Read) -> None:
    got = read(SMOKEPING)
    assert got.rtt_s == pytest.approx([0.01, np.nan, np.nan], nan_ok=True)
    assert got.sent_s == pytest.approx([0, 600, 900])
    head = "loss median " + " ".join(f"ping{n}" for n in range(1, 21)) + "\n\n"
    rounds = "".join(f"{300 * n}: 5.0 0.02 {' '.join(['-nan'] * 5 + ['0.02'] * 15)}\n" for n in range(1, 401))
    assert read(head + rounds).lost == pytest.approx(100, abs=2)


def trip(number: int, lost: str = "false", server_ahead_ns: int = 10**15) -> dict[str, Any]:
    """Return a round trip of irtt: 3 ms up, 1 ms there, 5 ms back."""
    left = number * 10**9
    client = {"send": {"wall": 1508180723 * 10**9 + left, "monotonic": left}, "receive": {}}
    server: dict[str, dict[str, int]] = {"send": {}, "receive": {}}
    delay = {}
    if lost == "false":
        client["receive"] = {"wall": 1508180723 * 10**9 + left + 9 * 10**6, "monotonic": left + 9 * 10**6}
        server["receive"] = {"monotonic": server_ahead_ns + left + 3 * 10**6}
        server["send"] = {"monotonic": server_ahead_ns + left + 4 * 10**6}
        delay = {"rtt": 8 * 10**6}
    stamps = {"client": client, "server": server}
    return {"seqno": number, "lost": lost, "timestamps": stamps, "delay": delay, "ipdv": {}}


def test_irtt_with_the_way_of_each_loss(read: Read) -> None:
    trips = [trip(0), trip(1, "true_up"), trip(2, "true_down"), trip(3)]
    got = read(json.dumps({"version": {}, "round_trips": trips}, indent=2))
    assert got.rtt_s == pytest.approx([0.008, np.nan, np.nan, 0.008], nan_ok=True)
    assert got.up_s == pytest.approx([0.004, np.nan, 0.004, 0.004], nan_ok=True)  # half the way: clocks do not agree
    assert got.down_s == pytest.approx([0.004, np.nan, np.nan, 0.004], nan_ok=True)
    assert got.began_unix_s == 1508180723
    assert [text.partition(": ")[2] for text in got.assumptions] == [
        "one-way delays: both ways are assumed to take equally long at their fastest"
    ]


def test_irtt_without_the_times_of_the_server_assumes_nothing_of_its_ways(read: Read) -> None:
    trips = [trip(number) for number in range(3)]
    for each in trips:
        each["timestamps"]["server"] = {"send": {}, "receive": {}}
    got = read(json.dumps({"version": {}, "round_trips": trips}))
    assert (got.up_s, got.assumptions) == (None, ())


def test_a_packed_log_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "fping.log.gz"
    log.write_bytes(gzip.compress(FPING.encode()))
    assert read_recording([log]).probes == 3


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        (FPING + "64 bytes from 192.0.2.1: icmp\n", 7, "no line of fping"),
        (FPING.replace(" ms (25.0", " nan (25.0"), 4, "no line of fping"),
        (FPING + "[1795979163.85363] 192.0.2.7 : [3], 64 bytes, 30.0 ms (25.0 avg)\n", 7, OTHER_HOST),
        (FPING.replace("192.0.2.1", "2.0.2.1", 1), 3, "a second host, 192.0.2.1 beside 2.0.2.1; "),
        ("192.0.2.1 : 1 2\n192.0.2.2 : 1 2\n", 2, "a second host"),
        (FPING.replace("161.85363", "151.85363"), 4, "the time goes back by 9.990 s"),
        (FPING + FPING[:20], 7, "the last line is cut"),
        (MTR + "p 1 20\n", 18, "no line of mtr --raw"),
        ("x 0 33000\nx 1 33001\n", 1, "no hop answered"),
        ('{"report": {"hubs": []}}', 1, "only totals of each hop"),
        ("Mtr_Version,Start_Time\nMTR.0.95,1795979250\n", 1, "only totals of each hop"),
        (SMOKEPING + "1170983400: -nan 1.0e+00 2.0e-02 -nan 2.0e-02\n", 7, "the time goes back by 300 s"),
        (SMOKEPING + "1170984000: -nan 1.0e+00 2.0e-02\n", 7, "no line of rrdtool fetch with 5 numbers of at least 0"),
        ('{"round_trips": []}', 1, "no round trips"),
        ('{"round_trips": [{"seqno": 1}]}', 1, "round trips of irtt without"),
        ('{"round_trips": [\n{"seqno": 1},\n', 3, "no JSON"),
        ('{"a": 1}', 1, "no JSON that is known"),
        ("time,rtt\n1,2\n", 1, "a CSV file with the columns 'time,rtt'"),
        ("hello\nworld\n", 1, "no log that is known; known are ping, heartbench probe, irtt JSON, "),
        ("1\n2\n", 1, "a trace of Mahimahi only as `link =` of a scenario"),
        ("RRD\0003\0", 1, "rrdtool fetch"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(read: Read, text: str, line: int, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'log'}:{line}: ")
    assert wrong in str(error.value)
    assert "\n" not in str(error.value)
