"""The state of a radio: a stationary normal process, interpolated between normals that are drawn by their number."""

from math import floor, sqrt

import numpy as np

from heartbench.simulator import counter_rng
from heartbench.simulator.kernel import part
from heartbench.simulator.record import Record

NO_KNOT = -2  # not the neighbour of any that can be asked for


class Radio(Record):
    """The two normals, z0 of `knot` and z1 of the next, between which the state was interpolated last."""

    knot: int
    z0: float
    z1: float


@part
def forget(radio: Radio) -> None:
    """Reset a radio; the next question draws both normals."""
    radio.knot = NO_KNOT


@part
def score(radio: Radio, sequence: np.uint64, position: float) -> float:
    """Return the standard normal score at `position`, in numbers of normals of `sequence`; it must not be negative."""
    knot = floor(position)
    if knot != radio.knot:
        radio.z0 = radio.z1 if knot == radio.knot + 1 else counter_rng.normal(sequence, knot)
        radio.z1 = counter_rng.normal(sequence, knot + 1)
        radio.knot = knot
    w = position - knot
    return ((1.0 - w) * radio.z0 + w * radio.z1) / sqrt((1.0 - w) * (1.0 - w) + w * w)
