"""What becomes of what is said to the processes of the nodes where one of them has ended."""

from multiprocessing.connection import Connection, Pipe

import pytest

from heartbench.simulator.engines.live.shard import LEAVE, Start
from heartbench.simulator.engines.live.shards import Shards
from heartbench.simulator.errors import SimulatorError


def shards_of(count: int) -> tuple[Shards, list[Connection]]:
    """Shards that are nobody yet, and the ends of their pipes at which processes would be."""
    shards = Shards([])
    theirs = []
    for _ in range(count):
        ours, other = Pipe()
        shards._pipes.append(ours)
        theirs.append(other)
    return shards, theirs


def test_what_is_said_to_a_process_that_has_ended_is_the_mistake_that_it_has() -> None:
    shards, theirs = shards_of(2)
    with shards:
        theirs[1].close()
        with pytest.raises(SimulatorError, match="a process of the nodes has ended unexpectedly"):
            shards.start(Start(0.0, 0.0))
        with pytest.raises(SimulatorError, match="a process of the nodes has ended unexpectedly"):
            shards.end(1.0)


def test_the_others_leave_where_one_process_has_ended() -> None:
    shards, theirs = shards_of(3)
    with shards:
        theirs[0].close()
        for living in theirs[1:]:
            living.send(LEAVE)
        shards.leave()
        for ours, living in zip(shards._pipes[1:], theirs[1:], strict=True):
            assert living.poll()
            assert living.recv() == LEAVE
            assert not ours.poll()  # that it has left was heard, and not cut off
