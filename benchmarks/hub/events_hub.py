"""A hub with something to tell: `python -m ….events_hub RATE` prints its address and publishes RATE events a second.

They are published at times that were fixed before, whatever the subscribers do, and carry the time at which they were.
"""

import asyncio
import sys
import time

from heartbench.hub import logs
from heartbench.hub.config import HubSettings
from heartbench.hub.events.types import StoreChanged
from heartbench.hub.rpc.server import HubServer

TEXT = "what a store may have to say about itself; " * 48
"""2 kB: so long that gRPC's own buffers are soon full of what a subscriber does not read."""


async def serve(rate: float) -> None:
    """Serve and publish until killed."""
    settings = HubSettings.load()
    logs.configure(settings.log_level)
    async with HubServer(settings) as server:
        print(server.address, flush=True)  # noqa: T201
        due_s = time.monotonic()
        while True:
            due_s += 1 / rate
            await asyncio.sleep(due_s - time.monotonic())
            server.hub.fanout.publish(time.monotonic(), StoreChanged("ok", TEXT))


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
