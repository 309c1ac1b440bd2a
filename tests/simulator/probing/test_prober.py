"""A prober and a responder over a network that is played by a function: what is lost, and on which way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.probing.messages import SEEN_BITS
from heartbench.simulator.probing.prober import LATE_NS, Prober
from heartbench.simulator.probing.responder import Responder
from heartbench.simulator.probing.rows import head, line
from heartbench.simulator.recordings import Recording, read_recording

MS = 10**6
S = 10**9
LATE = LATE_NS // S
HOST = "192.0.2.2"
Loses = Callable[[int], bool]
AHEAD_NS = 77 * S  # the responder's clock


def run(probes: int, up: Loses, down: Loses, *, restart_at: int = -1, drain_s: int = LATE + 2) -> str:
    """Return the file of a prober with a probe a second, 20 ms up, 30 ms down, and losses by number."""
    prober, responder = Prober(session=5), Responder()
    text = head("192.0.2.1:7117", "1s", 1_700_000_000.0)
    for number in range(probes + drain_s):
        now = (1000 + number) * S
        if number < probes:
            probe = prober.probe(now)
            if number == restart_at:
                responder = Responder()
            answer = None if up(number) else responder.answer(probe, HOST, now + 20 * MS + AHEAD_NS)
            if answer and not down(number):
                text += "".join(map(line, prober.read(answer, now + 50 * MS)))
        text += "".join(map(line, prober.late(now + 60 * MS)))
    return text


def read(text: str, folder: Path) -> Recording:
    path = folder / "probe.csv"
    path.write_text(text, encoding="ascii")
    return read_recording([path])


def ways(recording: Recording) -> list[str]:
    """Return for each probe: answered, lost on the way down, or on the way up or unknown."""
    assert recording.up_s is not None
    assert recording.down_s is not None
    assert not np.isnan(recording.rtt_s[~np.isnan(recording.down_s)]).any()
    came, there = ~np.isnan(recording.rtt_s), ~np.isnan(recording.up_s)
    return ["ok" if c else "down" if t else "up" for c, t in zip(came, there, strict=True)]


@given(st.sets(st.integers(1, 48)), st.sets(st.integers(1, 48)))
def test_each_loss_is_found_on_its_way(tmp_path_factory: pytest.TempPathFactory, up: set[int], down: set[int]) -> None:
    text = run(50, up.__contains__, down.__contains__)
    got = read(text, tmp_path_factory.mktemp("probe"))
    expected = ["up" if n in up else "down" if n in down else "ok" for n in range(50)]
    assert ways(got) == expected
    assert got.sent_s == pytest.approx(np.arange(50))


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_long_outage_of_one_way_is_found_on_it(tmp_path: Path, way: str) -> None:
    def outage(number: int) -> bool:
        return 10 <= number < 10 + 3 * SEEN_BITS

    def never(number: int) -> bool:
        return False

    text = run(1000, outage if way == "up" else never, outage if way == "down" else never)
    assert ways(read(text, tmp_path)).count(way) == 3 * SEEN_BITS


def test_what_a_new_responder_cannot_know_is_unknown() -> None:
    text = run(60, lambda number: False, lambda number: 20 <= number < 40, restart_at=30)
    lost = {row.split(",")[0]: row.strip().split(",")[4] for row in text.splitlines()[2:] if row.split(",")[2] == ""}
    assert {lost[str(number)] for number in range(20, 30)} == {"?"}
    assert {lost[str(number)] for number in range(31, 40)} == {"down"}


def test_an_answer_counts_however_late_it_comes(tmp_path: Path) -> None:
    prober, responder = Prober(5), Responder()
    held = responder.answer(prober.probe(0), HOST, 20 * MS)
    assert held is not None
    text = head("h:1", "1s", 0.0) + "".join(map(line, prober.late(20 * S)))
    text += "".join(map(line, prober.read(held, 25 * S)))
    assert not prober.read(held, 26 * S)  # a duplicate
    assert read(text, tmp_path).rtt_s == pytest.approx([25.0])


def test_answers_to_another_prober_and_to_no_probe_are_ignored() -> None:
    prober, other, responder = Prober(5), Prober(6), Responder()
    answer = responder.answer(other.probe(0), HOST, 0)
    assert answer is not None
    prober.probe(0)
    assert prober.read(answer, 1) == []
    assert Prober(6).read(answer, 1) == []
    assert prober.read(b"", 1) == []


def test_a_day_of_one_probe_a_second_is_less_than_five_megabytes() -> None:
    day = 86_400
    tail = range(day - 500, day)
    prober, responder = Prober(5), Responder()
    prober.probe(0)
    prober.sent = tail[0]  # the rows of the end of the day are the longest
    size = 0
    for number in tail:
        answer = responder.answer(prober.probe(number * S), HOST, number * S + 20 * MS + number * 50_000)
        assert answer is not None
        size += sum(len(line(row)) for row in prober.read(answer, number * S + 85 * MS))
    assert size / len(tail) * day < 3_000_000


def test_what_was_written_is_readable_wherever_the_file_ends(tmp_path: Path) -> None:
    text = run(30, lambda number: number in {4, 5, 6}, lambda number: number == 9)
    begin = text.index("\n3,") + 1
    for end in range(begin, len(text), 5):
        assert read(text[:end], tmp_path).probes >= 3


@pytest.mark.parametrize(
    ("text", "number", "wrong"),
    [
        (head("h:1", "1s", 1.0), 1, "no probe"),
        (head("h:1", "1s", 1.0) + "0,0,12,0,\nhello\n1,10,2,0,\n", 4, "no line of heartbench probe"),
        (head("h:1", "1s", 1.0) + "0,0,12,nan,\n1,10,2,0,\n", 3, "no line of heartbench probe"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, number: int, wrong: str) -> None:
    with pytest.raises(SimulatorError) as error:
        read(text, tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'probe.csv'}:{number}: ")
    assert wrong in str(error.value)
