"""The output of `fping -l`, `-c` and `-C`, with and without -D.

    [1700000000.12345] host : [7], 64 bytes, 19.2 ms (19.0 avg, 0% loss)     an answer
    [1700000000.12345] host : [8], timed out (19.0 avg, 1% loss)             none within its timeout
    host : 19.2 - 18.7                                                       -C: all of them, at the end; - is none

The list at the end is read where lines of single probes are missing (-q). Such a log, and any without -D, has no times.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from heartbench.simulator.recordings.lines import Block, Positions, bad_line, blocks, not_a_line
from heartbench.simulator.recordings.numbered import MOST_PROBES, Answers, Lines, recording
from heartbench.simulator.recordings.pinged import same
from heartbench.simulator.recordings.recording import Recording, join
from heartbench.simulator.recordings.stamps import printed_s, without_stamp

PROBE = re.compile(rb"(\S+) *: \[\d+\], ")
RTT = rb"(?:-|\d+(?:\.\d*)?)"
LIST = re.compile(rb"(\S+) *: (" + RTT + rb"(?: " + RTT + rb")*)$")
REMARK = re.compile(rb"$|\[\d\d:\d\d:\d\d\]$|\S+ *: (xmt|duplicate)|ICMP |.*(error|unreachable)|  *[\d.]+ ")
ASSUMED = "no times of day (fping -D): one probe a second is assumed"
LATE = (
    "answers later than fping's timeout (-t) count as lost, so outages that hold packets look as if they dropped them; "
    "-t 10000 waits for 10 s, as long as fping can"
)
"""It remembers a probe for 10 s: SEQMAP_TIMEOUT_IN_S in its source, src/seqmap.c."""


def read_fping(path: Path) -> Recording:
    """Return what a log of fping says."""
    runs, listed = [Lines()], []
    host: bytes | None = None
    for block in blocks(path):
        found = probes_of(block)
        host = one_host(block, np.flatnonzero(found.number >= 0), host)
        for index in np.flatnonzero(found.number < 0).tolist():
            line = without_stamp(block.line(index))
            if values := LIST.match(line):
                listed.append((block.first_line + index, values))
            elif not REMARK.match(line):
                raise not_a_line(block, index, "fping")
        add(block, found, runs)
    if runs[0]:
        for run in runs:
            run.count_from(run.first_of_cut)  # lost probes are printed too: if it is not 0, the log was cut
        got = join([recording(run, 0, str(path), 1.0, f"{path}: {ASSUMED}") for run in runs])
        return replace(got, assumptions=(*got.assumptions, f"{path}: {LATE}"))
    if len(listed) > 1:
        raise bad_line(path, listed[1][0], "a second host; a profile is of one network: keep the lines of one host")
    if not listed:
        raise bad_line(path, 1, "no line of a probe; use fping -D -l, -c or -C")
    return of_list(path, listed[0][1][2].split())


def probes_of(block: Block) -> Answers:
    """Return what each line says, -1 as its number if it is about no probe; raise if one about a probe is damaged."""
    number, number_end = block.numbers(block.after(b" : ["))
    rtt_ms, rtt_end = block.numbers(block.after(b" bytes, "))
    about = ~np.isnan(number)
    counts = about & (number >= 0) & (number < MOST_PROBES)
    answer = counts & ~np.isnan(rtt_ms) & block.reads(rtt_end, b" ms")
    damaged = about & ~answer & ~(counts & block.reads(number_end, b"], timed out"))
    for index in np.flatnonzero(damaged).tolist():
        raise not_a_line(block, index, "fping")
    numbers = np.where(counts, number, -1).astype(np.int32)
    return Answers(numbers, printed_s(block)[0], np.where(answer, rtt_ms / 1000, np.nan))


def add(block: Block, found: Answers, runs: list[Lines]) -> None:
    """Add the lines of a block to the last run; a number of 0 behind others begins a new one.

    If it timed out, and its run has none yet, it is the first one of the run: others had answers meanwhile.
    """
    begin = 0
    for index in np.flatnonzero(found.number == 0).tolist():
        runs[-1].add(block, found, begin, index)
        begin = index
        timed_out = np.isnan(found.rtt_s[index])
        if runs[-1] and runs[-1].pieces[-1].number[-1] > 0 and not (timed_out and runs[-1].first > 0):
            runs.append(Lines())
    runs[-1].add(block, found, begin, len(found.number))


def one_host(block: Block, about: Positions, host: bytes | None) -> bytes | None:
    """Return the host that all probes of a block went to; raise in the line of another."""
    if host:
        text = b"\n" + block.text
        if sum(text.count(before + host + b" : [") for before in (b"\n", b" ")) == len(about):
            return host  # most often: lines of one log are alike
    for index in about.tolist():
        match = PROBE.match(without_stamp(block.line(index)))
        if not match:
            raise not_a_line(block, index, "fping")
        host = same(block, index, match[1], host)
    return host


def of_list(path: Path, values: list[bytes]) -> Recording:
    """Return the recording of a list of round-trip times in ms."""
    rtt_s = np.array([np.nan if value == b"-" else float(value) / 1000 for value in values])
    sent_s, stretch = np.arange(len(rtt_s), dtype=np.float64), np.zeros(len(rtt_s), np.int32)
    return Recording(
        str(path), sent_s, rtt_s, None, None, stretch, 1.0, None, (f"{path}: {ASSUMED}", f"{path}: {LATE}")
    )
