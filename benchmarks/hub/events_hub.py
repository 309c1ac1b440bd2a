"""A hub with many events: `python -m ….events_hub RATE` prints its address and publishes RATE events per second.

They are published on a fixed schedule, whatever the subscribers do, and carry the time of publishing.
"""

import asyncio
import sys
import time

from heartbench.hub import logs
from heartbench.hub.config import HubSettings
from heartbench.hub.events.fanout import StoreChanged
from heartbench.hub.rpc.server import HubServer

TEXT = "an error message of a store, of some length; " * 48
"""2 kB, so that unread events soon fill gRPC's own buffers."""


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
