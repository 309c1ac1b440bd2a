"""A hub that was stopped, and wakes after a second one took its store."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import closing, suppress
from pathlib import Path

import grpc
import grpc.aio

from heartbench.hub.store.url import open_store
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, hello, upload_metadata
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub


async def start_hub(store_url: str) -> tuple[Process, str]:
    environment = {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": store_url, "HUB_LOG_LEVEL": "error"}
    command = Path(sys.executable).with_name("heartbench")
    hub = await asyncio.create_subprocess_exec(command, "hub", "--json", stdout=PIPE, stderr=PIPE, env=environment)
    assert hub.stdout is not None
    return hub, json.loads(await hub.stdout.readline())["address"]


def stop(hub: Process) -> None:
    """Stop all threads of a hub; the signal alone stops them one after the other."""
    hub.send_signal(signal.SIGSTOP)
    threads = Path(f"/proc/{hub.pid}/task")
    while any(each.read_text().rpartition(")")[2].split()[0] != "T" for each in threads.glob("*/stat")):
        time.sleep(0.01)


def test_a_hub_that_hears_only_heartbeats_ends_when_its_store_is_taken_over(store_url: str) -> None:
    async def scene() -> None:
        older, address = await start_hub(store_url)
        async with open_aio_channel(address) as channel:
            connect = NodeMeshStub(channel).Connect()
            await connect.write(hello("edge"))
            await connect.read()
            newer, _ = await start_hub(store_url)
            _, said = await asyncio.wait_for(older.communicate(), 10)
        assert b"has taken the store" in said.strip().splitlines()[-1]
        assert older.returncode == 2
        newer.terminate()
        await newer.communicate()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_hub_whose_store_was_taken_over_acknowledges_nothing_says_so_and_ends(store_url: str) -> None:
    async def scene() -> None:
        stopped, address = await start_hub(store_url)
        async with open_aio_channel(address) as channel:
            connect = NodeMeshStub(channel).Connect()
            await connect.write(hello("edge"))
            await connect.read()
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("edge"))
            await upload.write(chunk(1, b"before"))
            assert (await upload.read()).seq == 1
            stop(stopped)
            await upload.write(chunk(2, b"too late"))
            newer, _ = await start_hub(store_url)
            stopped.send_signal(signal.SIGCONT)
            with suppress(grpc.aio.AioRpcError):  # or the stream ends, if it finds out before it reads the chunk
                assert await upload.read() is grpc.aio.EOF
        _, said = await asyncio.wait_for(stopped.communicate(), 10)
        assert b"has taken the store" in said.strip().splitlines()[-1]
        assert b"Traceback" not in said
        assert stopped.returncode == 2
        newer.terminate()
        await newer.communicate()

    asyncio.run(asyncio.wait_for(scene(), 30))
    with closing(open_store(store_url)) as store:
        (node,) = store.load()
    assert [chunk.data for chunk in node.chunks] == [b"before"]
