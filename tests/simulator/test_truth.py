"""The truth: what was ordered and drawn, sorted, and nothing that the run did not live to see."""

import numpy as np

from heartbench.simulator.fleet import squads
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import Happening
from heartbench.simulator.truth import truth_of

FAULTS = """
seed = 5
duration = "1h"
[[group]]
name = "edge"
nodes = 20
profile = "wireguard-5g"
[[fault]]
kind = "crash"
group = "edge"
at = "10m"
for = "5m"
fraction = 0.5
[[fault]]
kind = "partition"
group = "edge"
at = "20m"
for = "1m"
nodes = 3
"""


def test_truth_holds_what_happened_before_the_end(tmp_path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(FAULTS)
    squad = next(iter(squads(load_scenario(str(path)))))
    closes = np.array([[4.0, 700.0, np.nan], [4.0, 4000.0, 4001.0]])
    truth = truth_of(squad, 5, range(20), closes, 3600.0)
    count = {event: int((truth.event == event).sum()) for event in Happening}
    assert count[Happening.CRASH] == count[Happening.RESTART] == 10
    assert count[Happening.PARTITION] == 3
    assert count[Happening.CLOSE] == 1
    assert count[Happening.OUTAGE] > 100
    keys = list(zip(truth.node, truth.start_s, strict=True))
    assert keys == sorted(keys)


def test_a_node_that_a_fault_kept_from_starting_neither_crashed_nor_restarted(tmp_path) -> None:
    path = tmp_path / "early.toml"
    path.write_text(FAULTS.replace('at = "10m"\nfor = "5m"\nfraction = 0.5', 'at = "5s"\nfor = "5m"'))
    scenario = load_scenario(str(path))
    squad = next(squads(scenario))
    unharmed = next(squads(scenario.model_copy(update={"fault": ()})))
    begun = np.flatnonzero(unharmed.at_s < 5.0)  # one event a node: its start

    truth = truth_of(squad, 5, range(20), np.zeros((0, 3)), 3600.0)

    assert 0 < len(begun) < 20
    for event, at_s in ((Happening.CRASH, 5.0), (Happening.RESTART, 305.0)):
        of_event = truth.event == event
        assert truth.node[of_event].tolist() == begun.tolist()
        assert set(truth.start_s[of_event]) == {at_s}


def test_a_node_that_never_starts_has_no_history_of_its_own(tmp_path) -> None:
    path = tmp_path / "never.toml"
    path.write_text(FAULTS.replace('at = "10m"\nfor = "5m"\nfraction = 0.5', 'at = "0s"'))
    truth = truth_of(next(squads(load_scenario(str(path)))), 5, range(20), np.zeros((0, 3)), 3600.0)

    assert set(truth.event) == {Happening.OUTAGE, Happening.PARTITION}
