"""From a scenario to what happens to each node."""

import numpy as np

from heartbench.simulator.fleet import squads
from heartbench.simulator.node import EXIT, START
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


def load(tmp_path, fraction: float):
    path = tmp_path / "two.toml"
    path.write_text(TWO_GROUPS.format(fraction=fraction))
    return list(squads(load_scenario(str(path))))


def hit(squad) -> set[int]:
    owner = np.repeat(np.arange(squad.first, squad.first + squad.count), np.diff(squad.begin))
    return set(owner[squad.what == EXIT])


def test_nodes_are_numbered_through_and_start_within_their_spread(tmp_path) -> None:
    a, b = load(tmp_path, 0.5)
    assert (a.first, a.count, b.first, b.count) == (0, 10, 10, 40)
    starts = b.at_s[b.begin[:-1]]
    assert np.all(b.what[b.begin[:-1]] == START)
    assert 0.0 < starts.min() < starts.max() < 4.0


def test_a_fault_hits_as_many_as_it_says_and_a_larger_one_hits_them_too(tmp_path) -> None:
    _, some = load(tmp_path, 0.25)
    _, more = load(tmp_path, 0.5)
    assert len(hit(some)) == 10
    assert len(hit(more)) == 20
    assert hit(some) < hit(more)


def test_a_restart_is_an_exit_and_a_start(tmp_path) -> None:
    _, b = load(tmp_path, 1.0)
    events = list(zip(b.at_s[b.begin[0] : b.begin[1]], b.what[b.begin[0] : b.begin[1]], strict=True))
    assert events[1:] == [(300.0, EXIT), (301.0, START)]


def test_output_becomes_chunks_at_its_rate(tmp_path) -> None:
    _, b = load(tmp_path, 1.0)
    assert b.behaviour["chunk_interval_s"][0] == 4.0
