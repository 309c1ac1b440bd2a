"""Several logs of one network, which must be one network that is probed in one way."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import read_recording

T = 1_700_000_000.0
HEAD = "PING host (192.0.2.1) 56(84) bytes of data.\n"
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return to


def ping(probes: int, began_s: float | None = T, interval_s: float = 1.0, rtt_ms: float = 20) -> str:
    """Return what ping prints of probes that are all answered."""
    stamps = ["" if began_s is None else f"[{began_s + interval_s * n:.6f}] " for n in range(probes)]
    answer = "{}64 bytes from host (192.0.2.1): icmp_seq={} ttl=57 time={} ms\n"
    return HEAD + "".join(answer.format(stamp, n + 1, rtt_ms) for n, stamp in enumerate(stamps))


def test_logs_one_after_the_other_are_one_recording_without_the_time_between_them(write: Write) -> None:
    logs = [write("b.log", ping(100, T + 500)), write("a.log", ping(100))]
    got = read_recording(logs)
    assert got.sent_s[[0, 99, 100, 199]] == pytest.approx([0, 99, 500, 599])
    assert got.observed_s == pytest.approx(200)
    assert got.source == f"{logs[1]}, {logs[0]}"


def test_a_log_with_many_starts_of_ping_is_named_once(write: Write) -> None:
    log = write("a.log", "".join(ping(20, T + 100 * n) for n in range(5)))
    got = read_recording([log])
    assert got.source == str(log)
    assert len(got.stretch_starts) == 5


@pytest.mark.parametrize("interval_s", [0.2, 0.6])
def test_logs_of_different_intervals_are_rejected(write: Write, interval_s: float) -> None:
    slow, quick = write("slow.log", ping(100)), write("quick.log", ping(100, T + 500, interval_s))
    with pytest.raises(SimulatorError) as error:
        read_recording([slow, quick])
    probed = f"{quick} was probed every {interval_s} s, {slow} every 1 s; "
    assert str(error.value).startswith(probed)
    assert "\n" not in str(error.value)


def test_starts_of_ping_with_different_intervals_in_one_log_are_rejected(write: Write) -> None:
    with pytest.raises(SimulatorError, match="cut a log that has both"):
        read_recording([write("both.log", ping(100) + ping(100, T + 500, 0.2))])


def test_intervals_that_differ_a_little_or_are_known_of_a_few_probes_only_are_joined(write: Write) -> None:
    logs = [write("a.log", ping(100)), write("b.log", ping(100, T + 500, 0.8)), write("c.log", ping(5, T + 900, 0.2))]
    assert read_recording(logs).probes == 205


@pytest.mark.parametrize("began_s", [None, T])
def test_the_same_log_twice_is_rejected(write: Write, began_s: float | None) -> None:
    log, again = write("a.log", ping(100, began_s)), write("copy.log", ping(100, began_s))
    packed = again.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    for second in (log, again, packed):
        with pytest.raises(SimulatorError, match=f"^{second}: has the same content as {log}; name each log once$"):
            read_recording([log, second])


def test_logs_of_the_same_time_are_rejected(write: Write) -> None:
    first, second = write("a.log", ping(1000)), write("b.log", ping(1000, T + 500))
    with pytest.raises(SimulatorError) as error:
        read_recording([second, first])
    assert str(error.value).startswith(f"{first} and {second} overlap by 499 s; ")
    assert "\n" not in str(error.value)


def test_a_short_log_of_a_time_within_a_long_one_is_rejected_whatever_lies_between_them(write: Write) -> None:
    logs = [write("day.log", ping(5000)), write("a.log", ping(30, T + 100)), write("b.log", ping(300, T + 900))]
    with pytest.raises(SimulatorError, match=f"^{logs[0]} and {logs[2]} overlap by 299 s; "):
        read_recording(logs)


def test_logs_without_times_of_day_are_taken_one_after_the_other(write: Write) -> None:
    logs = [write("a.log", ping(100, None)), write("b.log", ping(100, None, rtt_ms=21))]
    assert read_recording(logs).observed_s == 200


def test_held_answers_at_the_beginning_of_the_second_part_of_a_log_are_no_overlap(write: Write) -> None:
    held = f"[{T + 110:.6f}] 64 bytes from host (192.0.2.1): icmp_seq={{}} ttl=57 time={{}} ms\n"
    rest = "".join(held.format(n, 1000 * (111 - n)) for n in (90, 91, 111))
    logs = [write("a.log", ping(100)), write("b.log", rest)]
    assert read_recording(logs).stretch.tolist() == [0] * 100 + [1] * 22
