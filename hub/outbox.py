"""What waits to be sent to one node: bounded, in order, and never waited for by the one who hands it in."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from heartbench.mesh.v1.mesh_pb2 import HubMessage

Send = Callable[[HubMessage], Awaitable[None]]


class Outbox:
    """The queue between the hub and one stream, bounded by what the hub has to say and by `ack_limit`.

    Acknowledgements wait apart from all else. Where they are too many, the oldest goes: a node that does not read them
    needs the newest at most.
    """

    __slots__ = ("_acks", "_closed", "_messages", "_something")

    def __init__(self, ack_limit: int) -> None:
        self._messages: deque[HubMessage] = deque()
        self._acks: deque[HubMessage] = deque(maxlen=ack_limit)
        self._something = asyncio.Event()
        self._closed = False

    def put(self, message: HubMessage) -> None:
        """Have a message sent, before any acknowledgement that waits."""
        self._messages.append(message)
        self._something.set()

    def put_ack(self, message: HubMessage) -> None:
        """Have an acknowledgement sent if the node reads."""
        self._acks.append(message)
        self._something.set()

    def close(self) -> None:
        """Nothing more comes: `send_all` returns when what waits is sent."""
        self._closed = True
        self._something.set()

    async def send_all(self, send: Send) -> None:
        """Send what is put, one at a time, until closed."""
        while True:
            while waiting := self._messages or self._acks:
                await send(waiting.popleft())
            if self._closed:
                return
            self._something.clear()
            await self._something.wait()
