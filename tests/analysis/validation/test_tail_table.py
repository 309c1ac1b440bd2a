"""The validation of a log's tail, on few logs."""

import math

import numpy as np

from heartbench.analysis.validation.tail import DECADE, WORLDS, try_world


def test_a_line_says_how_many_logs_are_refused_and_how_many_cover() -> None:
    lines = []
    for world in (WORLDS[1], WORLDS[-1]):
        decade_s = float(world.quantile_s(np.array([np.log(world.expected / DECADE)]))[0])
        lines.append(try_world(world.name, list(world.lengths(2)), world.true_rate, decade_s))
    assert lines[0].startswith("| shape 0, 200 gaps | 0 of 2 | ")
    assert lines[0].endswith(" | 2 of 2 |")
    assert lines[1] == "| ladder, 200 gaps | 2 of 2 | – | – |"
    assert 1.3 * WORLDS[1].true_rate(40.0) > WORLDS[1].expected / 20 / math.e > 0.7 * WORLDS[1].true_rate(40.0)
