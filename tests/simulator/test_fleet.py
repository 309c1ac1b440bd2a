"""From a scenario to what happens to each node."""

from pathlib import Path

import numpy as np
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.link import MAX_PARTITIONS
from heartbench.simulator.node import CRASH, EXIT, START
from heartbench.simulator.scenario import load_scenario

TWO_GROUPS = """
seed = 3
duration = "10m"
[[group]]
name = "a"
nodes = 10
profile = "lan"
[[group]]
name = "b"
nodes = 40
profile = "lan"
start_spread = "4s"
output_rate = 50
chunk_bytes = 200
[[fault]]
kind = "restart"
group = "b"
at = "5m"
fraction = {fraction}
"""


def load(tmp_path: Path, fraction: float) -> list[Squad]:
    path = tmp_path / "two.toml"
    path.write_text(TWO_GROUPS.format(fraction=fraction))
    return list(squads(load_scenario(str(path))))


def hit(squad: Squad) -> set[int]:
    owner = np.repeat(np.arange(squad.first, squad.first + squad.count), np.diff(squad.begin))
    return set(owner[squad.what == EXIT])


def test_nodes_are_numbered_through_and_start_within_their_spread(tmp_path: Path) -> None:
    a, b = load(tmp_path, 0.5)
    assert (a.first, a.count, b.first, b.count) == (0, 10, 10, 40)
    starts = b.at_s[b.begin[:-1]]
    assert np.all(b.what[b.begin[:-1]] == START)
    assert 0.0 < starts.min() < starts.max() < 4.0


def test_a_fault_hits_as_many_as_it_says_and_a_larger_one_hits_them_too(tmp_path: Path) -> None:
    _, some = load(tmp_path, 0.25)
    _, more = load(tmp_path, 0.5)
    assert len(hit(some)) == 10
    assert len(hit(more)) == 20
    assert hit(some) < hit(more)


def test_a_restart_is_an_exit_and_a_start(tmp_path: Path) -> None:
    _, b = load(tmp_path, 1.0)
    events = list(zip(b.at_s[b.begin[0] : b.begin[1]], b.what[b.begin[0] : b.begin[1]], strict=True))
    assert events[1:] == [(300.0, EXIT), (301.0, START)]


def test_output_becomes_chunks_at_its_rate(tmp_path: Path) -> None:
    _, b = load(tmp_path, 1.0)
    assert b.behaviour["chunk_interval_s"][0] == 4.0


FAULTY = """
duration = "10m"
[[group]]
name = "a"
nodes = 20
profile = "lan"
"""
FAULT = '[[fault]]\nkind = "{}"\ngroup = "a"\nat = "{}s"\nfor = "{}s"\n'


def faulty(tmp_path: Path, *faults: tuple[str, float, float]) -> Squad:
    """Twenty nodes that start within 10 s, and what happens to all of them: (kind, at, for)."""
    path = tmp_path / "faulty.toml"
    path.write_text(FAULTY + "".join(FAULT.format(*fault) for fault in faults))
    return next(squads(load_scenario(str(path))))


def life_of_each(squad: Squad) -> list[list[tuple[float, int]]]:
    each = [slice(*ends) for ends in zip(squad.begin, squad.begin[1:], strict=False)]
    return [list(zip(squad.at_s[mine].tolist(), squad.what[mine].tolist(), strict=True)) for mine in each]


def test_a_fault_before_a_nodes_start_puts_the_start_off(tmp_path: Path) -> None:
    starts = [life[0][0] for life in life_of_each(faulty(tmp_path))]
    assert 0 < sum(start < 5.0 for start in starts) < 20

    crashed = life_of_each(faulty(tmp_path, ("crash", 5.0, 60.0)))
    for life, start in zip(crashed, starts, strict=True):
        if start < 5.0:
            assert life == [(start, START), (5.0, CRASH), (65.0, START)]
        else:
            assert life == [(65.0, START)]

    for life, start in zip(life_of_each(faulty(tmp_path, ("exit", 5.0, 0.0))), starts, strict=True):
        assert life == ([(start, START), (5.0, EXIT)] if start < 5.0 else [])


def test_a_fault_that_is_over_before_a_nodes_start_does_nothing(tmp_path: Path) -> None:
    assert life_of_each(faulty(tmp_path, ("restart", 0.0, 0.0001))) == life_of_each(faulty(tmp_path))


def test_a_node_that_several_faults_have_down_is_back_when_the_last_is_over(tmp_path: Path) -> None:
    lives = life_of_each(faulty(tmp_path, ("exit", 60.0, 100.0), ("crash", 20.0, 60.0), ("restart", 100.0, 0.0)))

    assert all(life[1:] == [(20.0, CRASH), (160.0, START)] for life in lives)


def test_more_partitions_than_there_is_room_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="group a: 17 partitions; at most 16"):
        faulty(tmp_path, *[("partition", i, 0.5) for i in range(MAX_PARTITIONS + 1)])
