"""One fleet, its log in each format: the same gaps from each, and the same false stales."""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from tests.analysis.imports.fleet import (
    DIED,
    DOWN_S,
    INTERVAL_S,
    MARKED_AFTER_S,
    OF_STATUSES,
    STEP_S,
    WRITERS,
    Fleet,
    fleet,
    options_of,
)

from heartbench.analysis.imports import ImportRecord, import_log
from heartbench.analysis.imports.formats import FORMATS
from heartbench.simulator.trace import read_nodes, read_trace

LONGEST_USUAL_S = 60
"""No gap of the fleet lies between its usual ones and this, nor between this and MARKED_AFTER_S."""


@pytest.fixture(scope="module")
def the_fleet() -> Fleet:
    return fleet()


class Log(NamedTuple):
    """A log of the fleet in one format, and its import with all that a user knows."""

    name: str
    paths: list[Path]
    told: dict[str, Any]
    record: ImportRecord
    gaps: pd.DataFrame


@pytest.fixture(scope="module", params=WRITERS)
def log(request: pytest.FixtureRequest, the_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("log")
    paths, told = WRITERS[request.param](the_fleet, folder)
    record = import_log(paths, options_of(told, dead=True), folder / "out")
    return Log(request.param, paths, told, record, gaps_of(folder / "out", record))


def gaps_of(out: Path, record: ImportRecord) -> pd.DataFrame:
    """Return the gaps of an import: name, at_s (Unix time), length_s, restart (whether it ended with one)."""
    trace, nodes = read_trace(out), read_nodes(out / "trace")
    assert nodes is not None
    trace["name"] = trace.node.map(dict(zip(nodes.node, nodes.name, strict=True)))
    trace["at_s"] = trace.arrived_s + record.origin_unix_s
    later = trace.groupby("node").shift(-1)
    gaps = trace.assign(length_s=later.at_s - trace.at_s, restart=later.boot > trace.boot)
    return gaps[gaps.length_s > 0].sort_values(["name", "at_s"])[["name", "at_s", "length_s", "restart"]]


def of_fleet(fleet: Fleet) -> pd.DataFrame:
    rows = [
        (name, before.at_s, after.at_s - before.at_s, after.boot > before.boot)
        for name, own in sorted(fleet.of_node.items())
        for before, after in pairwise(own)
    ]
    return pd.DataFrame(rows, columns=["name", "at_s", "length_s", "restart"])


def watched(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the gaps in which the hub was up."""
    return gaps[~((gaps.at_s < DOWN_S[1]) & (gaps.at_s + gaps.length_s > DOWN_S[0]))]


def false_stales(gaps: pd.DataFrame) -> int:
    seen = watched(gaps)
    return int(np.sum((seen.length_s > MARKED_AFTER_S) & ~seen.restart))


def test_the_same_gaps_from_each_format(log: Log, the_fleet: Fleet) -> None:
    name, record, gaps, expected = log.name, log.record, log.gaps, of_fleet(the_fleet)
    assert (record.format, record.nodes, record.restarts) == (name, 50, 1)
    np.testing.assert_allclose(record.hub_down, [np.subtract(DOWN_S, record.origin_unix_s)])
    if name == "prometheus" or name in OF_STATUSES:
        least_s = LONGEST_USUAL_S if name == "prometheus" else MARKED_AFTER_S
        gaps, expected = (watched(each)[watched(each).length_s > least_s] for each in (gaps, expected))
    within_s = STEP_S if name == "prometheus" else 1e-6
    assert gaps.name.tolist() == expected.name.tolist()
    np.testing.assert_allclose(gaps.length_s, expected.length_s, atol=within_s)
    np.testing.assert_allclose(gaps.at_s, expected.at_s, atol=within_s)
    assert gaps.restart.tolist() == expected.restart.tolist()


def test_neither_death_nor_restarts_are_false_stales(log: Log, the_fleet: Fleet) -> None:
    gaps = of_fleet(the_fleet)
    assert np.sum(gaps.restart & (gaps.length_s > MARKED_AFTER_S)) == 1
    # Between samples, a gap of 90 to 105 s may look shorter.
    near = int(np.sum(abs(gaps.length_s - MARKED_AFTER_S) < STEP_S)) if log.name == "prometheus" else 0
    assert false_stales(log.gaps) == pytest.approx(false_stales(gaps), abs=near)
    assert log.record.suspects == ()
    ((node, at_s),) = log.record.dead
    assert node == DIED[0]
    last_s = the_fleet.of_node[node][-1].at_s
    assert at_s + log.record.origin_unix_s == pytest.approx(last_s, abs=STEP_S if log.name == "prometheus" else 1e-6)


def test_what_the_user_does_not_say_is_asked(log: Log, tmp_path: Path) -> None:
    record = import_log(log.paths, options_of({**log.told, "hub_down": ()}, dead=False), tmp_path / "out")
    assert [each.node for each in record.suspects] == [DIED[0]]
    if log.name not in OF_STATUSES:  # those cannot show that the hub was away
        (span,) = (*record.all_silent, *record.hub_down)
        np.testing.assert_allclose(span, np.subtract(DOWN_S, record.origin_unix_s), atol=INTERVAL_S)


def test_each_format_is_tried_here() -> None:
    assert set(WRITERS) == {form.name for form in FORMATS}
