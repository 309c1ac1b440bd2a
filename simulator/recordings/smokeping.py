"""Rounds of SmokePing, as `rrdtool fetch FILE.rrd AVERAGE` prints them.

                            uptime                loss              median               ping1               ping2
    1700000100: -nan 2.0000000000e+00 1.9200000000e-02 1.8100000000e-02 1.9200000000e-02

A round is some 20 probes in a row, every five minutes. SmokePing sorts their round-trip times and keeps how many were
lost, so what was lost next to what is gone. Of each round one probe is read, at a place that runs evenly through the
sorted round with the lost ones at its end: over a day, delays and losses keep their distribution. What lasts less than
the time between two rounds is not seen as one outage. A round without a loss count did not take place.
"""

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.lines import Block, bad_line, blocks, not_a_line
from heartbench.simulator.recordings.listed import listed_recording
from heartbench.simulator.recordings.recording import Recording

HEAD = re.compile(rb"^[^\n]*\bloss +median +ping1\s", re.MULTILINE)
ROW = re.compile(rb"(\d{1,11}):((?: +-?[\w.+-]+)+)\s*$")
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, fill the range from 0 to 1 evenly (Weyl 1916)."""


def read_smokeping(path: Path) -> Recording:
    """Return one probe of each round."""
    times: list[int] = []
    rows: list[list[float]] = []
    names: list[str] = []
    for block in blocks(path):
        for index, line in enumerate(block.text.split(b"\n")[:-1]):
            if HEAD.match(line):
                names = line.decode("ascii", "replace").split()
            elif match := ROW.match(line):
                times.append(int(match[1]))
                rows.append(values(block, index, match[2], len(names)))
                if times[-2:-1] >= times[-1:]:
                    raise block.error(index, f"the time goes back by {times[-2] - times[-1]} s")
            elif line.strip():
                raise not_a_line(block, index, "rrdtool fetch")
    table = np.array(rows)
    lost = table[:, names.index("loss")] if len(table) else np.empty(0)
    took_place = ~np.isnan(lost)
    if not took_place.any():
        raise bad_line(path, 1, "no round with a loss count")
    first = names.index("ping1")
    sent_s = np.array(times, dtype=np.float64)[took_place]
    rtt_s = one_of_each(table[took_place, first:], lost[took_place])
    assumed = (
        f"{path}: SmokePing keeps no order within a round: one probe of each round is read, lost ones in proportion"
    )
    return listed_recording(str(path), sent_s, rtt_s, began_unix_s=float(sent_s[0]), assumptions=(assumed,))


def values(block: Block, index: int, text: bytes, expected: int) -> list[float]:
    """Return the numbers of a row; raise if there are not as many as names."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        raise not_a_line(block, index, "rrdtool fetch") from None
    if len(numbers) != expected or any(number < 0 or number == math.inf for number in numbers):
        raise not_a_line(block, index, f"rrdtool fetch with {expected} numbers of at least 0")
    return numbers


def one_of_each(pings_s: NDArray[np.float64], lost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the round-trip time at one place of each sorted round; NaN where that probe was lost."""
    rounds, size = pings_s.shape
    place = (np.arange(rounds) * GOLDEN) % 1.0
    answered = np.sort(pings_s, axis=1)  # NaN last
    count = np.sum(~np.isnan(answered), axis=1)
    picked = answered[np.arange(rounds), np.minimum((place * size).astype(np.int64), size - 1)]
    clamped = answered[np.arange(rounds), np.maximum(count - 1, 0)]
    arrived = place * size < size - lost
    return np.where(arrived, np.where(np.isnan(picked), clamped, picked), np.nan)
