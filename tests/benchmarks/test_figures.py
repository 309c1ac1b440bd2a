"""The figures of a run, of a run directory that is written by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.benchmarks.figures import figures_of, quantiles, said_by_hub
from heartbench.hub import HubSettings
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import (
    Happening,
    Kind,
    Messages,
    TraceWriter,
    Truth,
    TruthWriter,
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
    truth = Truth(np.zeros(len(losses), np.int32), np.full(len(losses), Happening.CRASH, np.int8), losses, none)
    with TruthWriter(run.truth) as writer:
        writer.write(truth)
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


@pytest.mark.parametrize("what", [Happening.HUB_STOP, Happening.HUB_PAUSE])
def test_time_in_which_the_hub_was_away_is_no_false_stale(tmp_path: Path, what: Happening) -> None:
    run = a_run(tmp_path, [0.0, 1.0, 9.0, 10.0], [0.0, 1.0, 9.0, 10.0])
    assert figures_of(run, HUB, 11.0)["false_stale_per_node_day"] == pytest.approx(DAY_S / 11.0)
    with TruthWriter(run.truth) as writer:
        writer.write(Truth(np.array([-1], np.int32), np.array([what], np.int8), np.array([2.0]), np.array([8.0])))
    figures = figures_of(run, HUB, 11.0)
    assert (figures["false_stale_per_node_day"], figures["flashes_per_hour"]) == (0.0, 0.0)


def test_where_nothing_was_heard_there_is_no_figure(tmp_path: Path) -> None:
    figures = figures_of(a_run(tmp_path, [], []), HUB, 0.0)
    assert set(figures) == {"latency_s", "false_stale_per_node_day", "flaps_per_node_hour", "flashes_per_hour"}
    assert figures.pop("latency_s") == {"p50": None, "p99": None}
    assert set(figures.values()) == {None}


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
