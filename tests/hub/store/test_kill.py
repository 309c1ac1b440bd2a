"""`kill -9` in the middle of writes: nothing that was acknowledged is missing, nothing is there twice, order is kept.

The long form: `python -m pytest tests/hub/store/test_kill.py --kills 100`.
"""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import closing, suppress
from pathlib import Path

import pytest

from heartbench.hub.history import History, Position, StoredChunk
from heartbench.hub.store import open_store

SEED = 20_240_607
NODES = 5
MAX_CHUNKS, MAX_BYTES = 150, 16_384
IN_FLIGHT = 40
CHILD = Path(__file__).with_name("writing_child.py")


class PlayedNode:
    """A node that keeps what is not acknowledged, and knows what a store may and must hold of it."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name, self.chance = name, chance
        self.boot_id, self.seq = 1, 0
        self.unacknowledged: list[StoredChunk] = []
        self.unchecked: list[StoredChunk] = []
        self.acknowledged: Position = (0, 0)
        self.stored = History(MAX_CHUNKS, MAX_BYTES)

    def speak(self) -> StoredChunk:
        self.seq += 1
        text = f"{self.name}/{self.boot_id}/{self.seq} ".encode()
        chunk = StoredChunk(self.boot_id, self.seq, 0.0, text * self.chance.randint(1, 20))
        self.unacknowledged.append(chunk)
        self.unchecked.append(chunk)
        return chunk

    def hear(self, position: Position) -> None:
        self.acknowledged = max(self.acknowledged, position)
        self.unacknowledged = [chunk for chunk in self.unacknowledged if chunk.position > position]

    def check(self, held: list[StoredChunk], newest: Position) -> None:
        """What is held is what the history of all stored chunks holds; unacknowledged ones may or may not be stored."""
        assert newest >= self.acknowledged
        for chunk in self.unchecked:
            if chunk.position <= newest:
                self.stored.append(chunk)
        self.unchecked = [chunk for chunk in self.unchecked if chunk.position > newest]
        restored = History.restore(MAX_CHUNKS, MAX_BYTES, held, newest)
        assert list(restored) == list(self.stored)

    def reboot(self) -> None:
        """What a node did not get rid of is gone with its process."""
        self.boot_id, self.seq, self.unacknowledged, self.unchecked = self.boot_id + 1, 0, [], []


class Run:
    """A child that is killed again and again, and the nodes that write to it."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.chance = random.Random(seed)
        self.nodes = {f"edge-{number}": PlayedNode(f"edge-{number}", self.chance) for number in range(NODES)}
        self.with_unacknowledged = 0

    async def live_and_die(self) -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, CHILD, self.url, str(MAX_CHUNKS), str(MAX_BYTES), stdin=PIPE, stdout=PIPE
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        for node in self.nodes.values():
            for chunk in node.unacknowledged:
                self.send(child, node, chunk)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(0.005, 0.15)):
                await self.converse(child)
        child.kill()
        await child.wait()
        for line in (await child.stdout.read()).splitlines(keepends=True):
            self.hear(line)
        self.with_unacknowledged += any(node.unacknowledged for node in self.nodes.values())

    async def converse(self, child: Process) -> None:
        assert child.stdout is not None
        while True:
            for node in self.nodes.values():
                while len(node.unacknowledged) < IN_FLIGHT:
                    self.send(child, node, node.speak())
            self.hear(await child.stdout.readline())

    def send(self, child: Process, node: PlayedNode, chunk: StoredChunk) -> None:
        assert child.stdin is not None
        child.stdin.write(f"{node.name} {chunk.boot_id} {chunk.seq} {chunk.data.hex()}\n".encode())

    def hear(self, line: bytes) -> None:
        if line.endswith(b"\n"):
            name, boot_id, seq = line.decode().split()
            self.nodes[name].hear((int(boot_id), int(seq)))

    def check(self) -> None:
        with closing(open_store(self.url)) as store:
            held = {node.node_id: node for node in store.load()}
        for name, node in self.nodes.items():
            node.check(list(held[name].chunks) if name in held else [], held[name].newest if name in held else (0, 0))
            if self.chance.random() < 0.1:
                node.reboot()


def test_kill_in_the_middle_of_writes(store_url: str, kills: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> Run:
        run = Run(store_url, SEED)
        for _ in range(kills):
            await run.live_and_die()
            run.check()
        return run

    run = asyncio.run(scenario())
    kind = store_url.partition(":")[0]
    acknowledged = sum(node.acknowledged[1] for node in run.nodes.values())
    with capsys.disabled():
        print(f"\n{kind}: kills={kills} seed={SEED} with_unacknowledged={run.with_unacknowledged} {acknowledged=}")
    assert run.with_unacknowledged >= 0.3 * kills
