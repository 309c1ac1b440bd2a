"""The end of a real connection that the hub caused, and how the model learns of it."""

from dataclasses import dataclass

from heartbench.simulator.engines.live.world import World


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a connection ended.

    Attributes:
        away_s: for how long the hub asked the node to stay away; 0: it did not ask.
        refused: the connection ended without a Welcome and without such a request, like one to a dead hub.
    """

    away_s: float
    refused: bool


def end_stream(world: World, node: int, number: int, loss: Loss, now_s: float) -> bool:
    """End connection `number` of a node in the model; return False if the node has left that connection already."""
    if world.ties.wire[node] != number:
        return False
    world.cut[node] = True
    world.nodes.is_refused[node] = loss.refused
    world.away_s[node] = loss.away_s
    world.next_s[node] = min(world.next_s[node], now_s)
    return True
