"""A process that hosts a store and its writer, to be killed: chunks on standard input, acknowledgements on the output.

Lines in: `node boot seq hex-data`. Lines out: `ready`, then `node boot seq` for each chunk that is committed.
"""

import asyncio
import sys

from heartbench.hub.history import History, StoredChunk
from heartbench.hub.store import Writer, open_store


async def host(url: str, max_chunks: int, max_bytes: int) -> None:
    store = open_store(url)
    histories = {
        node.node_id: History.restore(max_chunks, max_bytes, node.chunks, node.newest) for node in store.load()
    }
    writer = Writer(store, linger_s=0.001)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run())
        async for line in lines:
            node_id, boot_id, seq, data = line.decode().split(" ")
            history = histories.setdefault(node_id, History(max_chunks, max_bytes))
            saved = await writer.append(
                node_id, history, StoredChunk(int(boot_id), int(seq), 0.0, bytes.fromhex(data.strip()))
            )
            saved.add_done_callback(lambda _, name=f"{node_id} {boot_id} {seq}": print(name, flush=True))


asyncio.run(host(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
