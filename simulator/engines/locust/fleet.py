"""The nodes of a scenario, assigned one at a time, so that no two users of a test are the same node.

    node = (seed, number)        seed = the scenario's + 1000 · lap + worker

A worker has seeds of its own, so workers need not coordinate. A user that stops gives its node back, and the next user
gets it. When all numbers are in use, they are assigned again with another seed. Numbers are assigned in steps of about
0.618 of the fleet, so that a few users are a fair sample of all groups.
"""

from heapq import heappop, heappush
from math import gcd
from typing import NamedTuple

from heartbench.simulator.fleet import Squad, check_runs_alone, group_of_each, node_name, squads
from heartbench.simulator.group import Group
from heartbench.simulator.scenario import Scenario

MAX_WORKERS = 1000
GOLDEN = 0.6180339887


class Member(NamedTuple):
    """One node: its place in the fleet, its name, and the seed and number that its random draws come from."""

    place: int
    name: str
    group: Group
    number: int
    seed: int
    squads: list[Squad]


class Fleet:
    """Assigns the nodes of `scenario` in worker number `worker`."""

    def __init__(self, scenario: Scenario, worker: int = 0) -> None:
        check_runs_alone(scenario)
        self.scenario = asking(scenario)
        self._worker = worker
        self._groups = group_of_each(self.scenario)
        self._step = _coprime(len(self._groups))
        self._free: list[int] = []
        self._used = 0
        self._squads: dict[int, list[Squad]] = {}

    def take(self) -> Member:
        """Return a node that no other user has."""
        place = heappop(self._free) if self._free else self._used
        self._used = max(self._used, place + 1)
        lap, turn = divmod(place, len(self._groups))
        number = turn * self._step % len(self._groups)
        seed = self.scenario.seed + MAX_WORKERS * lap + self._worker
        name = node_name(self._groups[number].name, number)
        if seed != self.scenario.seed:
            name += f"-{MAX_WORKERS * lap + self._worker}"
        return Member(place, name, self._groups[number], number, seed, self._squads_of(seed))

    def give_back(self, member: Member) -> None:
        """Free this node for another user."""
        heappush(self._free, member.place)

    def _squads_of(self, seed: int) -> list[Squad]:
        if seed not in self._squads:
            self._squads[seed] = list(squads(self.scenario.model_copy(update={"seed": seed})))
        return self._squads[seed]


def asking(scenario: Scenario) -> Scenario:
    """Return the scenario with every heartbeat acknowledged, which is what Locust measures, and without files.

    It has no faults of the hub, because the hub is not ours.
    """
    changes = {"heartbeat_ack": True, "file_bytes": 0, "file_every_s": 0.0}
    groups = tuple(group.model_copy(update=changes) for group in scenario.group)
    return scenario.model_copy(update={"group": groups, "hub_fault": ()})


def _coprime(count: int) -> int:
    """Return the step nearest to the golden section of `count` that reaches every number."""
    nearest = sorted(range(1, count + 1), key=lambda step: abs(step - GOLDEN * count))
    return next(step for step in nearest if gcd(step, count) == 1)
