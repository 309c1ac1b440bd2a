from collections import Counter

import pytest

from heartbench.simulator.engines.locust.fleet import Fleet, Member
from heartbench.simulator.scenario import load_scenario


def fleet(nodes: int, worker: int = 0) -> Fleet:
    return Fleet(load_scenario("wireguard-5g-fast").with_nodes(nodes), worker)


def nodes_of(members: list[Member]) -> list[tuple[int, int]]:
    return [(member.seed, member.number) for member in members]


@pytest.mark.parametrize("nodes", [1, 2, 3, 10, 100, 377])
def test_every_node_is_handed_out_before_any_seed_changes(nodes: int) -> None:
    members = [(each := fleet(nodes)).take()] + [each.take() for _ in range(nodes - 1)]
    assert sorted(member.number for member in members) == list(range(nodes))
    assert {member.seed for member in members} == {each.scenario.seed}


def test_no_two_users_of_a_test_are_the_same_node() -> None:
    workers = [fleet(7, worker) for worker in range(4)]
    members = [worker.take() for worker in workers for _ in range(30)]
    assert max(Counter(nodes_of(members)).values()) == 1
    assert max(Counter(member.name for member in members).values()) == 1


def test_who_comes_next_is_the_node_of_who_left() -> None:
    each = fleet(10)
    members = [each.take() for _ in range(5)]
    each.give_back(members[2])
    assert each.take().name == members[2].name
    assert each.take().name not in {member.name for member in members}


def test_a_few_users_are_a_fair_sample_of_the_groups() -> None:
    scenario = load_scenario("wireguard-5g-fast").with_nodes(50)
    two = scenario.model_copy(
        update={"group": (scenario.group[0], scenario.group[0].model_copy(update={"name": "other"}))}
    )
    each = Fleet(two)
    assert Counter(each.take().group.name for _ in range(20))["other"] in range(8, 13)


def test_one_process_has_the_nodes_of_the_other_engines() -> None:
    each = fleet(5)
    assert {each.take().name for _ in range(5)} == {f"edge-{number:05d}" for number in range(5)}


def test_every_heartbeat_asks_for_an_answer() -> None:
    assert fleet(3).take().group.heartbeat_ack
