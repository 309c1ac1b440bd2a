"""The file of our own prober (`heartbench probe`), with the delays of each way and the way of each loss.

A probe may have several lines; the one with an answer counts, else the last. A probe without a line between others was
lost on a way that nobody learned: its prober was killed first. A cut last line is left out: that is how a full disk or
a power failure ends a file, and all that stands before it is true.
"""

import re
from pathlib import Path

import numpy as np

from heartbench.simulator.probing.rows import COLUMNS, MARK
from heartbench.simulator.recordings.clocks import fill_lost_answers, one_way_delays
from heartbench.simulator.recordings.lines import Block, bad_line, blocks, not_a_line
from heartbench.simulator.recordings.listed import recording
from heartbench.simulator.recordings.numbered import MOST_PROBES
from heartbench.simulator.recordings.recording import Recording

HEAD = re.compile(rb"^" + MARK.encode())
LINE = re.compile(rb"^(\d{1,9}),(\d{1,16}),(?:(\d{1,16}),(-?\d{1,16}),|,,(up|down|\?))\n", re.MULTILINE)
BEGAN = re.compile(rb"began ([\d.]+)$")
US = 1e-6
EXCHANGE_OF_CLOCKS = "one-way delays: both ways are assumed to take equally long at their fastest"


def read_probed(path: Path) -> Recording:
    """Return what a prober saw."""
    began, found = 0.0, []
    for block in blocks(path):
        rows = LINE.findall(block.text)
        if len(rows) < len(block.ends):
            began = check_others(block) or began
        found += rows
    if not found:
        raise bad_line(path, 1, "no probe; the file ends before the first answer")
    return assemble(path, found, began)


def check_others(block: Block) -> float | None:
    """Return when the prober began, if the head is in this block; raise if a line is neither head nor row."""
    began = None
    for index in range(len(block.ends)):
        line = block.line(index)
        if match := HEAD.match(line) and BEGAN.search(line):
            began = float(match[1])
        elif line != COLUMNS.encode() and not LINE.match(line + b"\n"):
            if block.cut and index == len(block.ends) - 1:
                break
            raise not_a_line(block, index, "heartbench probe")
    return began


def assemble(path: Path, rows: list[tuple[bytes, ...]], began_unix_s: float) -> Recording:
    """Return the recording of rows: the answered one of a probe counts, else its last."""
    number = np.array([int(row[0]) for row in rows])
    probes = int(number.max()) + 1
    if probes > MOST_PROBES:
        raise bad_line(path, 1, f"{probes} probes; a log has at most {MOST_PROBES}")
    sent_s, rtt_s, there_s = np.full(probes, np.nan), np.full(probes, np.nan), np.full(probes, np.nan)
    arrived = np.zeros(probes, bool)
    sent_s[number] = [int(row[1]) * US for row in rows]
    arrived[number] = [row[4] == b"down" for row in rows]
    answered = np.array([row[2] != b"" for row in rows])
    rtt_s[number[answered]] = [int(row[2]) * US for row in rows if row[2]]
    there_s[number[answered]] = [int(row[3]) * US for row in rows if row[2]]
    first = int(number.min())
    known = ~np.isnan(sent_s)
    sent_s = np.interp(np.arange(probes), np.flatnonzero(known), sent_s[known])[first:]
    if (np.diff(sent_s) < 0).any():
        later = first + int(np.argmax(np.diff(sent_s) < 0)) + 1
        raise bad_line(path, 1, f"probe {later} left before the one before it")
    rtt_s, there_s = rtt_s[first:], there_s[first:]
    up_s, down_s = one_way_delays(sent_s, there_s, rtt_s - there_s)
    up_s = fill_lost_answers(sent_s, up_s, arrived[first:])
    began = began_unix_s + float(sent_s[0]) if began_unix_s else None
    return recording(
        str(path), sent_s, rtt_s, up_s, down_s, began_unix_s=began, assumptions=(f"{path}: {EXCHANGE_OF_CLOCKS}",)
    )
