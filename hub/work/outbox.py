"""What waits to be sent to one node: bounded, in order, and never waited for by the one who hands it in."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from heartbench.mesh.v1.mesh_pb2 import HubMessage

Send = Callable[[HubMessage], Awaitable[None]]


def no_more() -> HubMessage | None:
    """Nothing waits elsewhere."""
    return None


class Outbox:
    """The queue between the hub and one stream, bounded by what the hub has to say and by `ack_limit`.

    Acknowledgements wait apart from all else. Where they are too many, the oldest goes: a node that does not read them
    needs the newest at most. `more` is asked for what is to be taken only when it can be sent, while the box is open.
    """

    __slots__ = ("_acks", "_closed", "_messages", "_more", "_something")

    def __init__(self, ack_limit: int, more: Callable[[], HubMessage | None] = no_more) -> None:
        self._messages: deque[HubMessage] = deque()
        self._acks: deque[HubMessage] = deque(maxlen=ack_limit)
        self._more = more
        self._something = asyncio.Event()
        self._closed = False

    def put(self, message: HubMessage) -> None:
        """Have a message sent, before anything else that waits."""
        self._messages.append(message)
        self._something.set()

    def put_ack(self, message: HubMessage) -> None:
        """Have an acknowledgement sent if the node reads."""
        self._acks.append(message)
        self._something.set()

    def wake(self) -> None:
        """Have `more` asked."""
        self._something.set()

    def close(self) -> None:
        """Nothing more comes: `send_all` returns when what waits is sent."""
        self._closed = True
        self._something.set()

    async def send_all(self, send: Send) -> None:
        """Send what is put, one at a time, until closed."""
        while True:
            while (message := self._next()) is not None:
                await send(message)
            if self._closed:
                return
            self._something.clear()
            await self._something.wait()

    def _next(self) -> HubMessage | None:
        if self._messages:
            return self._messages.popleft()
        if not self._closed and (message := self._more()) is not None:
            return message
        return self._acks.popleft() if self._acks else None
