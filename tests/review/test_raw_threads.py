"""Finding: messages that come before the executor is ready get a raw thread each, and nothing bounds their number."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from threading import Thread
from zlib import crc32

import pytest
from tests.review.conftest import Measured

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.node import Hello
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.server import files_of
from heartbench.hub.rpc.upload import UploadService
from heartbench.hub.work.executor import ExecutorClosedError
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, FileChunk

NODES = [f"n{number}" for number in range(200)]
FILE = FileChunk(path="a", data=b"1", crc32=crc32(b"1"), last=True, sha256=sha256(b"1").digest())


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Thread]:
    """All threads that are started from now on."""
    threads: list[Thread] = []
    start = Thread.start

    def noted(thread: Thread) -> None:
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(Thread, "start", noted)
    return threads


async def one_file() -> AsyncIterator[Chunk]:
    yield Chunk(boot_id=1, file=FILE)


async def no_answer(_: ChunkAck) -> None:
    pass


def test_messages_before_the_executor_is_ready_are_refused_and_start_no_thread(
    tmp_path: Path, started: list[Thread], measured: Measured
) -> None:
    settings, clock = HubSettings.of(files_dir=tmp_path), ManualClock()
    hub, files = open_hub(settings, clock), files_of(settings)
    assert files is not None
    service = UploadService(hub, clock, files)

    async def all_nodes_send() -> list[BaseException | None]:
        sending = [service.upload(Peer("10.0.0.1:1"), node_id, one_file(), no_answer) for node_id in NODES]
        return await asyncio.gather(*sending, return_exceptions=True)

    async def scene() -> None:
        for node_id in NODES:
            hub.hello(Hello(node_id, 1, 0), clock.now_s)
        refused = await all_nodes_send()
        measured(f"threads for {len(NODES)} messages before the executor is ready", str(len(started)))
        assert started == []
        assert {type(error) for error in refused} == {ExecutorClosedError}

        files.executor.start()
        assert set(await all_nodes_send()) == {None}
        await files.executor.close()
        assert len(started) == settings.executor_workers

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert len([*tmp_path.rglob("a")]) == len(NODES)
