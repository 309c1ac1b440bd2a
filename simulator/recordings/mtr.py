"""The output of `mtr --raw`: every probe to every hop; of these the ones to the target are read.

    x 9 33017        probe 33017 left for hop 9 (the first is 0)
    h 9 192.0.2.1    who answers at hop 9
    p 9 19230 33017  its answer, after 19230 µs
    d 9 name         its name

The reports (--json, --csv, --xml) hold only totals of each hop: how many probes were lost, but not which.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heartbench.simulator.recordings.lines import bad_line, blocks, not_a_line
from heartbench.simulator.recordings.recording import Recording

LINE = re.compile(rb"(?:([xp]) (\d+) (\d+)(?: (\d+))?|h (\d+) (\S+)|[dm] \d+ .*|)\r?$")
INTERVAL_S = 1.0
TOTALS = (
    "a report of mtr holds only totals of each hop, not single probes; record with `mtr --raw -n HOST`, "
    "or better with `ping -D -O HOST`"
)


@dataclass
class Hops:
    """Round-trip times by hop, in the order of sending; NaN: no answer."""

    rtt_s: dict[int, list[float]] = field(default_factory=dict)
    address: dict[int, bytes] = field(default_factory=dict)
    waiting: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By number of the probe: its hop, and its place there. Numbers come again, the last one counts."""

    def sent(self, hop: int, number: int) -> None:
        """Note that a probe left."""
        probes = self.rtt_s.setdefault(hop, [])
        self.waiting[number] = hop, len(probes)
        probes.append(np.nan)

    def answered(self, hop: int, rtt_us: int, number: int) -> None:
        """Note an answer; without a probe, or with one to another hop, it is none."""
        at, place = self.waiting.pop(number, (-1, 0))
        if at == hop:
            self.rtt_s[hop][place] = rtt_us / 1e6

    def target(self) -> int | None:
        """Return the first hop at which the last one that answers was met; mtr asks beyond it at first."""
        if not self.address:
            return None
        last = self.address[max(self.address)]
        return min(hop for hop, address in self.address.items() if address == last)


def read_mtr(path: Path) -> Recording:
    """Return what a raw log of mtr says of its target."""
    hops = Hops()
    for block in blocks(path):
        for index, line in enumerate(block.text.split(b"\n")[:-1]):
            match = LINE.match(line)
            if not match or (match[1] == b"p" and not match[4]):
                raise not_a_line(block, index, "mtr --raw")
            if match[1] == b"x":
                hops.sent(int(match[2]), int(match[3]))
            elif match[1] == b"p":
                hops.answered(int(match[2]), int(match[3]), int(match[4]))
            elif match[5]:
                hops.address[int(match[5])] = match[6]
    hop = hops.target()
    if hop is None or hop not in hops.rtt_s:
        raise bad_line(path, 1, "no hop answered")
    rtt_s = np.array(hops.rtt_s[hop])
    if len(rtt_s) > 1 and np.isnan(rtt_s[-1]):
        rtt_s = rtt_s[:-1]  # it may have been on its way
    sent_s = np.arange(len(rtt_s), dtype=np.float64) * INTERVAL_S
    assumed = f"{path}: mtr writes no times: one round a second is assumed (mtr -i 1)"
    return Recording(str(path), sent_s, rtt_s, None, None, np.zeros(len(rtt_s), np.int32), INTERVAL_S, None, (assumed,))
