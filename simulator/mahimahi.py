"""Reads Mahimahi's traces of delivery opportunities: a whole number of milliseconds per line, which never falls.

`simulator.opportunity_link` says what they mean.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.link import DOWN, UP
from heartbench.simulator.recordings.lines import bad_line, quoted
from heartbench.simulator.recordings.outages import LEAST_S

Floats = NDArray[np.float64]

HEAD_BYTES = 64
EXPECTED = "expected a whole number of milliseconds, as in a trace of Mahimahi"
MOST_DIGITS = 15
NUMBER = re.compile(rb"-?\d+(?:\.\d*)?")


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The delivery opportunities of one direction: times in s, which end with the lap; and rows of holds."""

    times_s: Floats
    holds: Floats

    @property
    def length_s(self) -> float:
        """Length of a lap, s."""
        return float(self.times_s[-1])

    def waits_s(self, at_s: Floats) -> Floats:
        """Return how long a packet that is alone waits at these places of the trace, s."""
        place_s = at_s % self.length_s
        return np.asarray(self.times_s[np.searchsorted(self.times_s, place_s)] - place_s)


def is_mahimahi(path: Path) -> bool:
    """Return whether a file begins as a trace of Mahimahi does, with a number alone; `read_mahimahi` checks which."""
    with path.open("rb") as file:
        first, *_ = file.read(HEAD_BYTES).splitlines() or [b""]
    return NUMBER.fullmatch(first.strip()) is not None


def read_mahimahi(path: Path, direction: int) -> Trace:
    """Return the trace of a direction in a file.

    Raises:
        SimulatorError: in one line with file and line, it is not a trace.
    """
    times_ms: list[int] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        word = line.strip()
        if not word.isdigit() or len(word) > MOST_DIGITS:
            raise bad_line(path, number, f"{quoted(line)}: {EXPECTED}")
        at_ms = int(word)
        if times_ms and at_ms < times_ms[-1]:
            raise bad_line(path, number, f"{at_ms}: comes after {times_ms[-1]}; times must not fall")
        times_ms.append(at_ms)
    if not times_ms or times_ms[-1] == 0:
        raise bad_line(path, max(len(times_ms), 1), "the last opportunity must be later than 0, where the trace begins")
    times_s = np.array(times_ms) / 1000
    return Trace(times_s, _holds(times_s, direction))


def _holds(times_s: Floats, direction: int) -> Floats:
    """Return rows (from, to, what it cuts, whether it holds) of the times without an opportunity."""
    if direction not in (UP, DOWN):
        raise ValueError(f"{direction}: must be UP or DOWN")
    begins = np.append(0.0, times_s[:-1])
    long = times_s - begins >= LEAST_S
    return np.column_stack([begins[long], times_s[long], np.full(long.sum(), direction), np.ones(long.sum())])
