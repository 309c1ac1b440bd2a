"""Damaged logs: whatever a file holds, it is read or rejected in one line, and what is read is a recording."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import Columns, Recording, read_recording

PING = b"""PING host (192.0.2.1) 56(84) bytes of data.
[1700000001.020000] 64 bytes from host (192.0.2.1): icmp_seq=1 ttl=57 time=20.0 ms
[1700000003.000000] no answer yet for icmp_seq=2
[1700000003.020000] 64 bytes from host (192.0.2.1): icmp_seq=3 ttl=57 time=20.0 ms
From 192.0.2.254 icmp_seq=4 Destination Host Unreachable
Request timeout for icmp_seq 5
[1700000006.020000] 64 bytes from host (192.0.2.1): icmp_seq=6 ttl=57 time=20.0 ms (DUP!)

--- host ping statistics ---
9 packets transmitted, 3 received, 66% packet loss, time 8012ms
rtt min/avg/max/mdev = 20.0/20.0/20.0/0.0 ms
"""
FPING = b"""[1700000001.02000] h : [0], 64 bytes, 20.0 ms (20.0 avg, 0% loss)
[1700000002.02000] h : [1], timed out (20.0 avg, 50% loss)
[1700000003.02000] h : [2], 64 bytes, 20.0 ms (20.0 avg, 33% loss)
h : 20.0 - 20.0
"""
MTR = b"x 0 33000\nh 0 192.0.2.1\np 0 20000 33000\nx 0 33001\nx 0 33002\np 0 25000 33002\n"
SMOKEPING = b"uptime loss median ping1 ping2\n\n300: -nan 1.0 2e-2 -nan 2e-2\n600: -nan 0.0 2e-2 1e-2 2e-2\n"
PROBE = b"# heartbench probe 1 to h:1 every 1s, began 1700000000.5\nprobe,sent_us,rtt_us,there_us,lost\n" + b"".join(
    b"%d,%d,20000,-55,\n" % (n, n * 10**6) for n in range(4)
)
CSV = b"at,rtt\n1700000000,20\n1700000001,\n1700000002,30\n"
TIMES = [{"send": {"wall": n, "monotonic": n}, "receive": {"wall": n + 8, "monotonic": n + 8}} for n in (10, 20, 30)]
IRTT = json.dumps(
    {
        "round_trips": [
            {"seqno": 0, "lost": "false", "timestamps": {"client": times, "server": times}, "delay": {"rtt": 8}}
            for times in TIMES
        ]
    }
).encode()
LOGS = [PING, FPING, MTR, SMOKEPING, PROBE, CSV, IRTT]
PIECES = [
    b"nan",
    b"-1",
    b"\n",
    b"99999999999999999999",
    b"65535",
    b"=",
    b"\xff",
    b"\0",
    b",",
    b"PING ",
    b"1e999",
    b"{}",
    b"null",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    log = draw(st.sampled_from(LOGS))
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(log))), draw(st.integers(0, 12))
        log = log[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + log[at + length :]
    return log[: draw(st.integers(0, len(log)))] if draw(st.booleans()) else log


@given(damaged())
def test_a_damaged_log_is_read_or_rejected_in_one_line(tmp_path_factory: pytest.TempPathFactory, log: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.log"
    path.write_bytes(log)
    read_or_rejected(path, Columns("at", "rtt") if log.startswith(b"at,rtt") else None)


def read_or_rejected(path: Path, columns: Columns | None) -> None:
    try:
        got = read_recording([path], columns)
    except SimulatorError as error:
        message = str(error)
    else:
        message = ""
        check(got)
    assert not message or message.startswith(str(path))
    assert "\n" not in message


def check(got: Recording) -> None:
    assert len(got.sent_s) == len(got.rtt_s) == len(got.stretch) > 0
    assert np.isfinite(got.sent_s).all()
    assert (np.diff(got.sent_s)[np.diff(got.stretch) == 0] >= 0).all()
    assert not (got.rtt_s < 0).any()
    assert got.interval_s > 0


@given(st.sampled_from(LOGS), st.data())
def test_a_damaged_gzip_file_is_read_or_rejected_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, data: st.DataObject
) -> None:
    packed = bytearray(gzip.compress(log, mtime=0))
    at = data.draw(st.integers(2, len(packed) - 1))
    packed[at : at + 4] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / "damaged.log.gz"
    path.write_bytes(packed)
    read_or_rejected(path, Columns("at", "rtt") if log == CSV else None)


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: packed[:-8] + bytes(8)])
def test_a_gzip_file_that_is_still_written_or_damaged_is_rejected(
    log: bytes, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path, other = tmp_path / "day.log.gz", tmp_path / "other.log"
    path.write_bytes(damage(gzip.compress(log)))
    other.write_bytes(log)
    columns = Columns("at", "rtt") if log == CSV else None
    for paths in ([path], [other, path]):
        with pytest.raises(SimulatorError, match=f"^{path}: the gzip file is cut or damaged") as error:
            read_recording(paths, columns)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [b"1.2.3", b".", b"1..2"])
def test_a_damaged_number_in_a_list_of_fping_is_said_with_its_line(value: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fping.log"
    path.write_bytes(b"h : " + value + b" -\n")
    with pytest.raises(SimulatorError, match=f"^{path}:1: .*no line of fping"):
        read_recording([path])


@pytest.mark.parametrize("log", LOGS)
def test_the_logs_are_read_as_long_as_they_are_whole(log: bytes, tmp_path: Path) -> None:
    path = tmp_path / "whole.log"
    path.write_bytes(log)
    assert read_recording([path], Columns("at", "rtt") if log == CSV else None).probes > 1
