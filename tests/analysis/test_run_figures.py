"""The figures of a run, of a run directory that is written by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.run_figures import figures_of, said_by_hub
from heartbench.analysis.tally import quantiles
from heartbench.hub import HubSettings
from heartbench.mesh.kinds import Kind
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import (
    Messages,
    NodesWriter,
    TraceWriter,
    Truth,
    TruthEvent,
    TruthWriter,
    read_blocks,
    write_transitions,
)

HUB = HubSettings.of(stale_after_s=3.0)
DAY_S = 86_400.0


def a_run(path: Path, sent_s: list[float], arrived_s: list[float], crash_s: float | None = None) -> RunDirectory:
    """One node's heartbeats, and perhaps its power loss."""
    run = RunDirectory.create(path, "test", "live")
    n = len(sent_s)
    zeros = np.zeros(n, np.int32)
    kind = np.full(n, Kind.HEARTBEAT, np.int8)
    seq = np.arange(1, n + 1)
    messages = Messages(zeros, zeros + 1, zeros, seq, kind, np.array(sent_s, float), np.array(arrived_s, float))
    TraceWriter(run.trace).write_part(0, messages)
    losses = np.array([] if crash_s is None else [crash_s])
    none = np.full(len(losses), np.nan)
    truth = Truth(np.zeros(len(losses), np.int32), np.full(len(losses), TruthEvent.CRASH, np.int8), losses, none)
    with TruthWriter(run.truth) as writer:
        writer.write(truth)
    with NodesWriter(run.nodes) as names:
        names.write("edge", {0: "edge-00000"})
    return run


def a_fleet(path: Path) -> RunDirectory:
    """Two groups in one part: `lte` is silent for 4 s twice, `wired` speaks every second, one of it never."""
    run = a_run(path, [], [])
    node = np.repeat(np.array([0, 1], np.int32), [3, 11])
    at = np.array([0.0, 4.0, 8.0, *range(11)])
    ones, seq = np.ones(len(at), np.int32), np.arange(len(at))
    kind = np.full(len(at), Kind.HEARTBEAT, np.int8)
    TraceWriter(run.trace).write_part(0, Messages(node, ones, ones, seq, kind, at, at + np.where(node == 0, 0.5, 0.0)))
    with NodesWriter(run.nodes) as names:
        names.write("lte", {0: "lte-00000"})
        names.write("wired", {1: "wired-00001", 2: "wired-00002"})
    return run


def say(run: RunDirectory, *said: tuple[float, str, bool, str]) -> None:
    columns = ["at_s", "status", "flapping", "reason"]
    write_transitions(run.transitions, pd.DataFrame(said, columns=columns).assign(node=0, connected=True))


def test_latency_is_of_the_heartbeats_that_were_seen(tmp_path: Path) -> None:
    figures = figures_of(a_run(tmp_path, [0.0, 1.0, 2.0, 3.0], [0.1, 1.1, np.nan, 3.3]), HUB, 10.0)
    assert figures["latency_s"] == {"p50": pytest.approx(0.1), "p99": pytest.approx(0.3, rel=0.02)}


def test_what_a_hub_would_have_said_is_told_per_node_and_time(tmp_path: Path) -> None:
    figures = figures_of(a_run(tmp_path, [0.0, 4.0, 5.0], [0.0, 4.0, 5.0]), HUB, 6.0)
    assert figures["false_stale_per_node_day"] == pytest.approx(DAY_S / 6.0)
    assert figures["flaps_per_node_hour"] == pytest.approx(2 * 3600 / 6.0)


@pytest.mark.parametrize("what", [TruthEvent.HUB_STOP, TruthEvent.HUB_PAUSE])
def test_time_in_which_the_hub_was_away_is_no_false_stale(tmp_path: Path, what: TruthEvent) -> None:
    run = a_run(tmp_path, [0.0, 1.0, 9.0, 10.0], [0.0, 1.0, 9.0, 10.0])
    assert figures_of(run, HUB, 11.0)["false_stale_per_node_day"] == pytest.approx(DAY_S / 11.0)
    with TruthWriter(run.truth) as writer:
        writer.write(Truth(np.array([-1], np.int32), np.array([what], np.int8), np.array([2.0]), np.array([8.0])))
    figures = figures_of(run, HUB, 11.0)
    assert (figures["false_stale_per_node_day"], figures["flashes_per_hour"]) == (0.0, 0.0)


def test_where_nothing_was_heard_there_is_no_figure(tmp_path: Path) -> None:
    figures = figures_of(a_run(tmp_path, [], []), HUB, 0.0)
    groups = figures.pop("groups")
    assert groups == {"edge": {"nodes": 1, "heartbeats": 0, **figures}}
    assert figures.pop("latency_s") == {"p50": None, "p99": None}
    assert set(figures.values()) == {None}


def test_each_group_has_figures_of_its_own(tmp_path: Path) -> None:
    figures = figures_of(a_fleet(tmp_path), HUB, 10.0)
    lte, wired = (figures["groups"][name] for name in ("lte", "wired"))
    assert (lte["nodes"], lte["heartbeats"], lte["false_stale"]) == (1, 3, 2)
    assert (wired["nodes"], wired["heartbeats"], wired["false_stale"]) == (2, 11, 0)
    assert figures["false_stale"] == 2
    assert lte["false_stale_per_node_day"] == pytest.approx(2 * DAY_S / 9.5)
    assert figures["false_stale_per_node_day"] == pytest.approx(2 * DAY_S / 19.5)
    assert lte["latency_s"]["p50"] == pytest.approx(0.5)
    assert wired["latency_s"]["p50"] == 0


def test_a_short_run_says_how_little_it_knows(tmp_path: Path) -> None:
    groups = figures_of(a_fleet(tmp_path), HUB, 10.0)["groups"]
    low, high = groups["wired"]["false_stale_ci"]
    assert (low, high) == (0, pytest.approx(3.69 * DAY_S / 10, rel=0.01))
    low, high = groups["lte"]["false_stale_ci"]
    assert low < groups["lte"]["false_stale_per_node_day"] / 5
    assert high > groups["lte"]["false_stale_per_node_day"] * 3


def test_the_parts_of_a_trace_do_not_change_its_figures(tmp_path: Path) -> None:
    whole, parts = a_fleet(tmp_path / "whole"), a_fleet(tmp_path / "parts")
    (block,) = read_blocks(whole.path)
    for index in (0, 1):
        TraceWriter(parts.trace).write_part(index, block.select(block.node == index))
    assert figures_of(parts, HUB, 10.0) == figures_of(whole, HUB, 10.0)


def test_a_node_that_no_group_has_is_refused(tmp_path: Path) -> None:
    run = a_fleet(tmp_path)
    with NodesWriter(run.nodes) as names:
        names.write("lte", {0: "lte-00000"})
    with pytest.raises(AnalysisError, match=r"nodes\.parquet: node 1 of the trace is not in it"):
        figures_of(run, HUB, 10.0)
    run.nodes.unlink()
    with pytest.raises(AnalysisError, match=r"nodes\.parquet: no such file"):
        figures_of(run, HUB, 10.0)


def test_a_node_without_power_is_rightly_stale(tmp_path: Path) -> None:
    run = a_run(tmp_path, [0.0, 4.0], [0.0, 4.0], crash_s=5.0)
    say(
        run,
        (0.0, "online", False, "registered"),
        (3.0, "stale", False, "silence"),
        (4.0, "online", False, "heard"),
        (7.0, "stale", False, "silence"),
    )
    said = said_by_hub(run, 3600.0)
    assert said == {"stale": 2, "false_stale": 1, "flaps": 3, "flashes": 3, "flashes_per_hour": 3.0}


def test_a_flapping_node_does_not_flash_and_a_return_from_offline_is_no_flap(tmp_path: Path) -> None:
    run = a_run(tmp_path, [0.0], [0.0])
    say(
        run,
        (3.0, "stale", False, "silence"),
        (3.0, "stale", True, "flaps_entry"),
        (4.0, "online", True, "heard"),
        (5.0, "offline", True, "goodbye"),
        (6.0, "online", False, "heard"),
    )
    said = said_by_hub(run, 3600.0)
    assert (said["flaps"], said["flashes"]) == (2, 2)


def test_the_return_of_a_node_that_was_stale_before_the_run_is_no_flap_of_the_run(tmp_path: Path) -> None:
    run = a_run(tmp_path, [0.0, 9.0], [0.0, 9.0])
    say(run, (0.0, "online", False, "heard"), (3.0, "stale", False, "silence"), (9.0, "online", False, "heard"))
    assert said_by_hub(run, 3600.0)["flaps"] == 2


def test_quantiles_go_by_their_names() -> None:
    assert quantiles(np.arange(101.0), ("p50", "p99", "max")) == {"p50": 50.0, "p99": 99.0, "max": 100.0}
