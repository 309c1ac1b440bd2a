"""The file of our own prober (`heartbench probe`), with the delays of each way and the way of each loss.

A probe may have several lines; the one with an answer counts, else the last. A probe without a line between others was
lost on a way that nobody learned: its prober was killed first. A cut last line is left out: that is how a full disk or
a power failure ends a file, and all that stands before it is true.
"""

import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from heartbench.simulator.probing.rows import COLUMNS, MARK
from heartbench.simulator.recordings.clocks import ASSUMED, fill_lost_answers, one_way_delays
from heartbench.simulator.recordings.lines import Block, bad_line, blocks, not_a_line
from heartbench.simulator.recordings.listed import listed_recording
from heartbench.simulator.recordings.numbered import MOST_PROBES
from heartbench.simulator.recordings.recording import Recording

HEAD = re.compile(rb"^" + MARK.encode())
BEGAN = re.compile(rb"began ([\d.]+)$")
LINE = re.compile(rb"^\d{1,9},\d{1,16},(?:\d{1,16},-?\d{1,16},|,,(?:up|down|\?))\n", re.MULTILINE)
KINDS = dict.fromkeys(COLUMNS.split(",")[:-1], pa.int64()) | {"lost": pa.string()}
US = 1e-6


def read_probed(path: Path) -> Recording:
    """Return what a prober saw."""
    rows: list[pa.Table] = []
    began_unix_s = 0.0
    for block in blocks(path):
        if block.first_line == 1 and (began := BEGAN.search(block.line(0))):
            began_unix_s = float(began[1])
        rows += rows_of(block)
    if not rows:
        raise bad_line(path, 1, "no probe; the file ends before the first answer")
    return assemble(path, pa.concat_tables(rows), began_unix_s)


def rows_of(block: Block) -> list[pa.Table]:
    """Return the rows of a block as a table, or nothing if it has none; raise if a line is neither head nor row."""
    lines = len(block.ends)
    heads = 0
    if block.first_line == 1:
        heads = 1 + (lines > 1 and block.line(1) == COLUMNS.encode())
    found = LINE.findall(block.text)
    if heads + len(found) < lines:
        for index in range(heads, lines - block.cut):
            if not LINE.match(block.line(index) + b"\n"):
                raise not_a_line(block, index, "heartbench probe")
    if not found:
        return []
    options = csv.ConvertOptions(column_types=KINDS, strings_can_be_null=True)
    return [csv.read_csv(io.BytesIO(b"".join(found)), csv.ReadOptions(column_names=list(KINDS)), None, options)]


def assemble(path: Path, rows: pa.Table, began_unix_s: float) -> Recording:
    """Return the recording of rows: the answered one of a probe counts, else its last."""
    number, rtt_us, there_us = (rows[name].to_numpy() for name in ("probe", "rtt_us", "there_us"))
    probes, first = int(number.max()) + 1, int(number.min())
    if probes > MOST_PROBES:
        raise bad_line(path, 1, f"{probes} probes; a log has at most {MOST_PROBES}")
    sent_s, rtt_s, there_s = np.full(probes, np.nan), np.full(probes, np.nan), np.full(probes, np.nan)
    sent_s[number] = rows["sent_us"].to_numpy() * US
    answered = ~np.isnan(rtt_us)
    rtt_s[number[answered]] = rtt_us[answered] * US
    there_s[number[answered]] = there_us[answered] * US
    arrived = np.zeros(probes, bool)
    arrived[number] = pc.is_in(rows["lost"], value_set=pa.array(["down"])).to_numpy()
    known = ~np.isnan(sent_s)
    sent_s = np.interp(np.arange(first, probes), np.flatnonzero(known), sent_s[known])
    if (np.diff(sent_s) < 0).any():
        later = first + int(np.argmax(np.diff(sent_s) < 0)) + 1
        raise bad_line(path, 1, f"probe {later} left before the one before it")
    up_s, down_s = one_way_delays(sent_s, there_s[first:], rtt_s[first:] - there_s[first:])
    up_s = fill_lost_answers(sent_s, up_s, arrived[first:])
    return listed_recording(
        str(path),
        sent_s,
        rtt_s[first:],
        up_s,
        down_s,
        began_unix_s=began_unix_s + float(sent_s[0]) if began_unix_s else None,
        assumptions=(f"{path}: {ASSUMED}",),
    )
