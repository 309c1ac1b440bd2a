"""One connection's behaviour over an in-memory transport: no gRPC, no time but what is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, OutdatedStreamError, ReplacedStreamError
from heartbench.hub.liveness.rules import Status
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.store.memory import MemoryStore
from heartbench.mesh.v1.mesh_pb2 import Goodbye, Heartbeat, Hello, HubMessage, NodeMessage


class Line:
    """A stream in memory: what the node said, and what the hub answered."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[NodeMessage | None] = asyncio.Queue()
        self.answered: list[HubMessage] = []

    def say(self, *messages: NodeMessage | None) -> "Line":
        for message in messages:
            self.said.put_nowait(message)
        return self

    async def __aiter__(self) -> AsyncIterator[NodeMessage]:
        while (message := await self.said.get()) is not None:
            yield message

    async def send(self, message: HubMessage) -> None:
        self.answered.append(message)

    @property
    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("body") for message in self.answered]


def hello(node_id: str = "n", boot_id: int = 1, connection: int = 0) -> NodeMessage:
    return NodeMessage(hello=Hello(node_id=node_id, boot_id=boot_id, connection=connection))


def beat(seq: int, ack: bool = False) -> NodeMessage:
    return NodeMessage(heartbeat=Heartbeat(seq=seq, sent_unix_s=seq / 2, ack=ack))


CLOCK = ManualClock()


def a_hub() -> Hub:
    return open_hub(HubSettings.of(), CLOCK, MemoryStore(0.007))


async def settle() -> None:
    """Let every task go on until it waits for something that nobody does."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(scene: Callable[[Hub, NodeService], Awaitable[None]]) -> None:
    hub = a_hub()
    asyncio.run(asyncio.wait_for(scene(hub, NodeService(hub, CLOCK)), 10))  # type: ignore[arg-type]


def test_a_node_is_welcomed_and_acknowledged_where_it_asks() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello(), beat(1), beat(2, ack=True), NodeMessage(goodbye=Goodbye()))
        await service.connect(aiter(line), line.send)
        assert line.kinds == ["welcome", "heartbeat_ack"]
        assert (line.answered[0].welcome.epoch, line.answered[0].welcome.stale_after_s) == (7, 30.0)
        assert (line.answered[1].heartbeat_ack.seq, line.answered[1].heartbeat_ack.sent_unix_s) == (2, 1.0)
        assert hub.registry.nodes["n"].status is Status.OFFLINE
        assert hub.registry.nodes["n"].heartbeats == 2

    run(scene)


def test_a_stream_that_just_ends_leaves_the_status() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello(), beat(1), None)
        await service.connect(aiter(line), line.send)
        node = hub.registry.nodes["n"]
        assert (node.status, node.connected) == (Status.ONLINE, False)

    run(scene)


def test_a_stream_that_is_cancelled_has_ended() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello())
        task = asyncio.create_task(service.connect(aiter(line), line.send))
        await settle()
        assert hub.registry.nodes["n"].connected
        task.cancel()
        await asyncio.wait([task])
        assert not hub.registry.nodes["n"].connected
        assert task.cancelled()

    run(scene)


def test_the_newer_stream_ends_the_older_and_is_heard() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        old, new = Line().say(hello()), Line().say(hello(connection=1))
        first = asyncio.create_task(service.connect(aiter(old), old.send))
        await settle()
        second = asyncio.create_task(service.connect(aiter(new), new.send))
        with pytest.raises(ReplacedStreamError):
            await first
        new.say(beat(1))
        await settle()
        node = hub.registry.nodes["n"]
        assert (node.connected, node.connection, node.heartbeats) == (True, 1, 1)
        new.say(None)
        await second
        assert not node.connected

    run(scene)


@pytest.mark.parametrize(
    ("first", "error"),
    [(beat(1), BadMessageError), (hello(""), BadMessageError), (hello(boot_id=0), OutdatedStreamError)],
)
def test_a_stream_that_begins_wrongly_is_refused(first: NodeMessage, error: type[Exception]) -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        known, line = Line().say(hello(), None), Line().say(first)
        await service.connect(aiter(known), known.send)
        with pytest.raises(error):
            await service.connect(aiter(line), line.send)
        assert line.answered == []

    run(scene)


def test_a_stream_without_a_word_is_nothing() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(None)
        await service.connect(aiter(line), line.send)
        assert not hub.registry.nodes

    run(scene)


def test_a_node_that_does_not_read_is_heard_all_the_same() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        reads = asyncio.Event()

        async def send(message: HubMessage) -> None:
            await reads.wait()
            line.answered.append(message)

        line = Line().say(hello(), *(beat(seq, ack=True) for seq in range(1, 501)))
        task = asyncio.create_task(service.connect(aiter(line), send))
        await settle()
        await asyncio.sleep(0.01)
        assert hub.registry.nodes["n"].heartbeats == 500
        reads.set()
        line.say(None)
        await task
        assert len(line.answered) == hub.settings.acks_waiting + 1
        assert line.answered[-1].heartbeat_ack.seq == 500

    run(scene)


def test_a_hub_that_drains_says_so_on_each_stream_and_ends_it() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        lines = [Line().say(hello(name)) for name in ("a", "b")]
        tasks = [asyncio.create_task(service.connect(aiter(line), line.send)) for line in lines]
        await settle()
        hub.end(CLOCK.now_s)
        service.drain(2.5)
        await asyncio.gather(*tasks)
        assert [line.kinds for line in lines] == [["welcome", "drain"]] * 2
        assert lines[0].answered[1].drain.reconnect_after_s == 2.5
        assert all(node.connected for node in hub.registry.nodes.values())

    run(scene)
