"""Runs of a case with another seed, fleet and interval are still told from those of the others."""

from pathlib import Path

import pytest

from heartbench.analysis.cases import CASES, Case, load_case
from heartbench.analysis.cases.match import compare, kept_signs, match, signature_at, signature_of_case
from heartbench.analysis.cases.run import observe
from heartbench.analysis.cases.signature import Signature, signature_of
from heartbench.analysis.imports import ImportOptions, import_log
from heartbench.analysis.imports.options import parse_span
from heartbench.simulator.engines.sinks import ParquetSink
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.run_directory import RunDirectory


@pytest.fixture(scope="module")
def book() -> dict[str, Signature]:
    return {name: signature_of_case(load_case(name)) for name in CASES.names()}


def varied(case: Case, seed: int, fleet: float, interval: float) -> Signature:
    """Return the signature of a case with another seed, and its fleet and interval times a factor."""
    scenario = case.scenario_with(mended=False)
    group = scenario.group[0]
    changes = [
        f"seed={seed}",
        f"group.*.nodes={max(2, round(group.nodes * fleet))}",
        f"group.*.heartbeat_interval={group.heartbeat_interval_s * interval}s",
    ]
    run = observe(case.scenario_with(mended=False, overrides=changes))
    return signature_of(kept_signs(run.messages, run.scenario.duration_s), run.stale_after_s)


@pytest.mark.parametrize(("seed", "fleet", "interval"), [(11, 0.6, 1.5), (12, 2.0, 0.8)])
def test_at_least_eight_of_ten_runs_are_matched_with_their_case(
    book: dict[str, Signature], seed: int, fleet: float, interval: float
) -> None:
    cases = [load_case(name) for name in CASES.names()]
    missed = []
    for case in cases:
        seen = varied(case, seed, fleet, interval)
        best = max(cases, key=lambda each: compare(each, seen, book[each.name], list(book.values())).likeness)
        missed += [(case.name, best.name)] if best is not case else []
    assert len(missed) <= 0.2 * len(cases), missed


def test_a_run_directory_and_its_bare_trace_are_matched_and_it_is_said_why(
    book: dict[str, Signature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartbench.analysis.cases.match.signature_of_case", lambda case: book[case.name])
    scenario = load_case("kubeedge-6965").scenario_with(mended=False, overrides=["seed=3", "group.edge.nodes=8"])
    directory = RunDirectory.create(tmp_path / "run", "mine", "virtual")
    with ParquetSink(directory) as sink:
        VirtualEngine().run(scenario, sink)
    found = match(signature_at(directory.trace))
    assert found[0].case.name == "kubeedge-6965"
    assert found[0].likeness > 2 * found[1].likeness
    assert any(reason.startswith("long gaps last 6") for reason in found[0].alike)
    assert [each.likeness for each in found] == sorted((each.likeness for each in found), reverse=True)


def test_time_when_the_hub_was_down_is_no_gap_of_a_node(tmp_path: Path) -> None:
    lives = [[*range(start, 3600, 10), *range(7200 + start, 10_800, 10)] for start in range(4)]
    rows = sorted((at, f"n{number}") for number, life in enumerate(lives) for at in life)
    log = tmp_path / "hub.csv"
    log.write_text("\n".join(["time,node", *(f"{1_790_000_000 + at},{name}" for at, name in rows), ""]))
    import_log([log], ImportOptions(), tmp_path / "asked")
    down = parse_span("1790003600..1790007200", "--hub-down")
    import_log([log], ImportOptions(hub_down=(down,)), tmp_path / "told")
    assert signature_at(tmp_path / "asked").together == 1.0
    assert signature_at(tmp_path / "told").silence == 0.0
