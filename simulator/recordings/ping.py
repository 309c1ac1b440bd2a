"""The output of Linux `ping`, with and without -D and -O; that of BusyBox and macOS reads the same way.

    [1700000000.123456] 64 bytes from host (192.0.2.1): icmp_seq=7 ttl=57 time=19.2 ms      an answer
    [1700000000.123456] no answer yet for icmp_seq=7                                        -O: none so far
    From 192.0.2.254 icmp_seq=7 Destination Host Unreachable                                an error: none
    PING host (192.0.2.1) 56(84) bytes of data.                                             a new run
    8 packets transmitted, 7 received, 12% packet loss, time 7012ms                         its end

The bracket is what -D adds. A probe counts as lost if no line answers it, whatever else is printed about it. The last
probe of a run is left out if it has no answer: it may have been on its way when ping was interrupted.

`icmp_seq` has 16 bits. Where it does not come back within 32,767 probes of its last value, the count is ambiguous by
65,536, and the lost ones are too few by that.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.lines import Block, bad_line, blocks, quoted
from heartbench.simulator.recordings.numbered import Answers, recording, unwrap
from heartbench.simulator.recordings.recording import Recording, join

SEQUENCE_NUMBERS = 1 << 16
START = re.compile(rb"PING ")
END = re.compile(rb"(\d+) packets transmitted, .*?(?:time (\d+) ?ms)?$")
TIMEOUT = re.compile(rb"(?:Request timeout for icmp_seq|.*no answer yet for icmp_seq=) ?(\d+)$")
REMARK = re.compile(
    rb"$|--- .* ---$|rtt |round-trip |ping6?: |pipe \d|\d+/\d+ packets, |\.+$|WARNING|Warning|wrong data"
)
NO_ANSWER = (b"no answer yet", b"From ", b"Request timeout")
ASSUMED_INTERVAL_S = 1.0
BACK_S = 1.0
"""A line is printed a little after the answer came: times may fall by this much."""


@dataclass
class Run:
    """Lines of one start of ping, as they are read."""

    number: list[NDArray[np.int32]] = field(default_factory=list)
    printed_s: list[NDArray[np.float64]] = field(default_factory=list)
    rtt_s: list[NDArray[np.float64]] = field(default_factory=list)
    line: list[NDArray[np.int32]] = field(default_factory=list)
    with_start: bool = False
    sent: int = 0
    """As its end says; 0 if it has none."""
    took_s: float | None = None

    def add(self, block: Block, lines: NDArray[np.int64], probes: "Probes") -> None:
        """Add the probes of some lines."""
        self.number.append(probes.number[lines])
        self.printed_s.append(probes.printed_s[lines])
        self.rtt_s.append(probes.rtt_s[lines])
        self.line.append((lines + block.first_line).astype(np.int32))

    def end(self, match: re.Match[bytes]) -> None:
        """Note what the summary says."""
        self.sent = int(match[1])
        self.took_s = int(match[2]) / 1000 if match[2] else None


@dataclass(frozen=True, slots=True)
class Probes:
    """What each line of a block says of a probe."""

    number: NDArray[np.int32]
    """-1: the line is about none."""
    printed_s: NDArray[np.float64]
    rtt_s: NDArray[np.float64]


def read_ping(path: Path) -> Recording:
    """Return what a log of ping says; every start of ping in it is a stretch of its own."""
    runs = [run for run in read_runs(path) if run.number]
    if not runs:
        raise bad_line(path, 1, "no line of a probe; ping -q prints none")
    return join([finished(path, run) for run in runs])


def read_runs(path: Path) -> list[Run]:
    """Return the runs of ping in a file."""
    runs = [Run()]
    for block in blocks(path):
        probes = probes_of(block)
        last = 0
        for index in np.flatnonzero(probes.number < 0):
            line = block.line(int(index))
            if START.match(line):
                add(runs[-1], block, probes, last, int(index))
                runs.append(Run(with_start=True))
                last = int(index)
            elif end := END.match(line):
                runs[-1].end(end)
            elif not REMARK.match(line):
                raise unknown(block, int(index))
        add(runs[-1], block, probes, last, len(block.ends))
    return runs


def add(run: Run, block: Block, probes: Probes, begin: int, end: int) -> None:
    """Add the lines of a block from `begin` to before `end` to a run."""
    lines = begin + np.flatnonzero(probes.number[begin:end] >= 0)
    if len(lines):
        run.add(block, lines, probes)


def probes_of(block: Block) -> Probes:
    """Return what each line says; raise if a line about a probe is damaged."""
    sequence, _ = block.numbers(block.after(b"seq="))
    time_at = block.after(b"time=")
    rtt_ms, rtt_end = block.numbers(time_at)
    printed_s, _ = block.numbers(np.where(block.codes[block.starts] == ord("["), block.starts + 1, -1))
    about = ~np.isnan(sequence)
    number = np.where(about, np.nan_to_num(sequence), -1).astype(np.int32)
    for index in suspicious(block, about, time_at, rtt_ms, rtt_end):
        line = block.line(index)
        if timeout := TIMEOUT.match(line):
            number[index] = int(timeout[1])
        elif about[index] and not any(text in line for text in NO_ANSWER):
            raise unknown(block, index)
    return Probes(number, printed_s, rtt_ms / 1000)


def suspicious(
    block: Block,
    about: NDArray[np.bool_],
    time_at: NDArray[np.int64],
    rtt_ms: NDArray[np.float64],
    rtt_end: NDArray[np.int64],
) -> Iterator[int]:
    """Yield the lines that are not complete answers."""
    space = block.codes[rtt_end] == ord(" ")
    at_m = np.minimum(rtt_end + 1, len(block.codes) - 2)
    complete = about & (time_at >= 0) & ~np.isnan(rtt_ms) & space
    complete &= (block.codes[at_m] == ord("m")) & (block.codes[at_m + 1] == ord("s"))
    yield from (int(index) for index in np.flatnonzero(~complete))


def unknown(block: Block, index: int) -> Exception:
    """Return the error that a line is none of ping's."""
    line = block.line(index)
    if block.cut and index == len(block.ends) - 1:
        return block.error(index, f"{quoted(line)}: the last line is cut; delete it, or copy the log again")
    return block.error(index, f"{quoted(line)}: no line of ping")


def finished(path: Path, run: Run) -> Recording:
    """Return the recording of one run."""
    line = np.concatenate(run.line)
    number = unwrap(np.concatenate(run.number).astype(np.int64), SEQUENCE_NUMBERS)
    first = int(number.min())
    if run.with_start and 0 < first < SEQUENCE_NUMBERS // 2:
        first = 1  # its count begins with 1 (iputils) or 0 (others); smaller ones were lost
    answers = Answers(number - first, np.concatenate(run.printed_s), np.concatenate(run.rtt_s))
    answered = ~np.isnan(answers.rtt_s)
    probes = max(int(answers.number.max()) + 1, run.sent)
    last_answered = int(answers.number[answered].max()) if answered.any() else -1
    if last_answered < probes - 1:
        probes -= 1
    keep = answers.number < probes
    answers = Answers(answers.number[keep], answers.printed_s[keep], answers.rtt_s[keep])
    check_clock(path, line[keep], answers)
    assumptions = []
    if run.took_s and run.sent > 1:
        interval_s = run.took_s / (run.sent - 1)
    else:
        interval_s = ASSUMED_INTERVAL_S
        assumptions.append(f"{path}: no times of day (ping -D) and no summary: one probe a second is assumed")
    return recording(answers, probes, str(path), interval_s, *assumptions)


def check_clock(path: Path, line: NDArray[np.int32], answers: Answers) -> None:
    """Raise if the times of day go back."""
    back = np.flatnonzero(np.diff(answers.printed_s) < -BACK_S)
    if len(back):
        at = int(back[0]) + 1
        step_s = float(answers.printed_s[at - 1] - answers.printed_s[at])
        raise bad_line(path, int(line[at]), f"the time goes back by {step_s:.3f} s; cut the log there into two files")
