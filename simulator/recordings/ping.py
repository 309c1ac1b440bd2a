"""The output of Linux `ping`, with and without -D and -O; that of BusyBox and macOS reads the same way.

    [1700000000.123456] 64 bytes from host (192.0.2.1): icmp_seq=7 ttl=57 time=19.2 ms      an answer
    [1700000000.123456] no answer yet for icmp_seq=7                                        -O: none so far
    From 192.0.2.254 icmp_seq=7 Destination Host Unreachable                                an error: none
    RR:     192.0.2.254                                                                     -R, -T: a hop; more follow
    PING host (192.0.2.1) 56(84) bytes of data.                                             a new run
    8 packets transmitted, 7 received, 12% packet loss, time 7012ms                         its end

The bracket is what -D adds; `stamps` says which other times are read. A probe counts as lost if no line answers it,
whatever else is printed about it. The last probe of a run is left out if it has no answer: it may have been on its way
when ping was interrupted.

Numbers begin with 1; with 0 where the first line says `: 56 data bytes` and the last one counts `packets received`
(BusyBox, BSD, macOS). A run without its first line was cut: it begins with its first number.

`icmp_seq` has 16 bits. `wrapping` says how it is counted on.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.lines import Block, bad_line, blocks, not_a_line
from heartbench.simulator.recordings.numbered import RESTARTED, Answers, Lines, recording
from heartbench.simulator.recordings.pinged import Host
from heartbench.simulator.recordings.recording import Recording, join
from heartbench.simulator.recordings.stamps import printed_s, without_stamp

SEQUENCE_NUMBERS = 1 << 16
START = re.compile(rb"PING (?:.*(: \d+ data bytes))?")
END = re.compile(rb"(\d+) packets transmitted, (?:\d+ (packets) received)?.*?(?:time (\d+) ?ms)?$")
TIMEOUT = re.compile(rb"Request timeout for icmp_seq (\d+)$")
HOP = rb"\t[\w.-]+(?: \([\d.]+\))?(?:\t-?\d+)?(?: absolute)?(?: not-standard)?$"
REMARK = re.compile(
    rb"$|--- .* ---$|rtt |round-trip |ping6?: |pipe \d|\d+/\d+ packets, |\.+$|WARNING|Warning|wrong data"
    rb"|ai->ai_family: |(?:RR: |TS: |[LS]SRR: )?" + HOP + rb"|Unrecorded hops: \d+$"
)
AGAIN = b" ms (DUP!)"
NO_ANSWER = (b"no answer yet for ", b"From ")
ASSUMED_INTERVAL_S = 1.0


@dataclass
class Run:
    """One start of ping, as it is read."""

    begins: int | None = None
    """First number by its first line; None: that is cut off."""
    lines: Lines = field(default_factory=Lines)
    sent: int = 0
    """As its end says, cut or not; 0 if it has none."""
    ends: int = 0
    """Last number by its end."""
    took_s: float | None = None

    def end(self, match: re.Match[bytes]) -> None:
        """Note what the summary says."""
        self.sent = int(match[1])
        self.ends = self.sent - 1 if match[2] else self.sent
        self.took_s = int(match[3]) / 1000 if match[3] else None

    @property
    def first(self) -> int:
        """Number of the first probe; smaller ones than those that have a line were lost if the run is whole."""
        return self.lines.first_of_cut if self.begins is None else min(self.begins, self.lines.first)

    @property
    def lost_at_end(self) -> int:
        """Probes after the last one that has a line; of a cut run less whole periods, which went by unseen."""
        behind = max(self.ends - self.lines.last, 0)
        return behind if self.begins is not None else behind % SEQUENCE_NUMBERS


def read_ping(path: Path) -> Recording:
    """Return what a log of ping says; every start of ping in it is a stretch of its own."""
    runs, host = [Run()], Host()
    for block in blocks(path):
        read_block(block, runs, host)
        host.read(block)
    runs = [run for run in runs if run.lines]
    if not runs:
        raise bad_line(path, 1, "no line of a probe; ping -q prints none")
    return join([finished(path, run) for run in runs])


def read_block(block: Block, runs: list[Run], host: Host) -> None:
    """Add the lines of a block to the last run, and the runs that begin in it."""
    lines = probes_of(block)
    last = 0
    for index in np.flatnonzero(lines.number < 0).tolist():
        line = without_stamp(block.line(index))
        if start := START.match(line):
            host.start(block, index, line)
            runs[-1].lines.add(block, lines, last, index)
            runs.append(Run(begins=0 if start[1] else 1))
            last = index
        elif end := END.match(line):
            runs[-1].end(end)
        elif not REMARK.match(line):
            raise not_a_line(block, index, "ping")
    runs[-1].lines.add(block, lines, last, len(block.ends))


def probes_of(block: Block) -> Answers:
    """Return what each line says, -1 as its number if it is about no probe; raise if one about a probe is damaged."""
    sequence, _ = block.numbers(block.after(b"seq="))
    rtt_ms, rtt_end = block.numbers(block.after(b"time="))
    about = ~np.isnan(sequence)
    counts = about & (sequence >= 0) & (sequence < SEQUENCE_NUMBERS)
    number = np.where(counts, sequence, -1).astype(np.int32)
    answered = counts & ~np.isnan(rtt_ms) & block.reads(rtt_end, b" ms")
    answer = answered & ~block.reads(rtt_end, AGAIN)
    times, text = printed_s(block)
    others = np.flatnonzero(~answered)
    said = block.reads(text[others], NO_ANSWER[0]) | block.reads(text[others], NO_ANSWER[1])
    for index in others[~(counts[others] & said)].tolist():
        line = without_stamp(block.line(index))
        if timeout := TIMEOUT.match(line):
            number[index] = int(timeout[1]) % SEQUENCE_NUMBERS
        elif about[index] and not (counts[index] and line.startswith(NO_ANSWER)):
            raise not_a_line(block, index, "ping")
    return Answers(number, times, np.where(answer, rtt_ms / 1000, np.nan))


def finished(path: Path, run: Run) -> Recording:
    """Return the recording of one run."""
    run.lines.unwrap(SEQUENCE_NUMBERS, str(path))
    first, lost_at_end = run.first, run.lost_at_end
    run.lines.count_from(first)
    if (again := run.lines.answered_twice) is not None:
        twice = f"icmp_seq={(first + again) % SEQUENCE_NUMBERS} has two answers, none of them marked (DUP!)"
        what = f"{RESTARTED}, or an outage of {SEQUENCE_NUMBERS} probes"
        raise SimulatorError(f"{path}: {twice}: {what}; cut the log there into two files")
    assumptions = []
    if run.took_s and run.sent > 1:
        interval_s = run.took_s / (run.sent - 1)
    else:
        interval_s = ASSUMED_INTERVAL_S
        assumptions.append(f"{path}: no times of day (ping -D) and no summary: one probe a second is assumed")
    return recording(run.lines, lost_at_end, str(path), interval_s, *assumptions)
