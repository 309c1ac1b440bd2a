"""Messages to the node processes after one of them has exited."""

from multiprocessing.connection import Connection, Pipe

import pytest

from heartbench.simulator.engines.live.shard import LEAVE, Start
from heartbench.simulator.engines.live.shards import Shards
from heartbench.simulator.errors import SimulatorError


def shards_of(count: int) -> tuple[Shards, list[Connection]]:
    """Shards without processes, and the ends of the pipes that the processes would hold."""
    shards = Shards([])
    theirs = []
    for _ in range(count):
        ours, other = Pipe()
        shards._pipes.append(ours)
        theirs.append(other)
    return shards, theirs


def test_a_message_to_a_process_that_has_exited_raises() -> None:
    shards, theirs = shards_of(2)
    with shards:
        theirs[1].close()
        with pytest.raises(SimulatorError, match="a node process exited unexpectedly"):
            shards.start(Start(0.0, 0.0, 0))
        with pytest.raises(SimulatorError, match="a node process exited unexpectedly"):
            shards.end(1.0)


def test_the_others_leave_after_one_process_has_exited() -> None:
    shards, theirs = shards_of(3)
    with shards:
        theirs[0].close()
        for living in theirs[1:]:
            living.send(LEAVE)
        shards.leave()
        for ours, living in zip(shards._pipes[1:], theirs[1:], strict=True):
            assert living.poll()
            assert living.recv() == LEAVE
            assert not ours.poll()  # its last message was read
