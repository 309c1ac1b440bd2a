"""The queue of messages to one node: bounded, in order, and `put` never waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from heartbench.mesh.v1.mesh_pb2 import HubMessage

Send = Callable[[HubMessage], Awaitable[None]]


class Outbox:
    """The queue between the hub and one stream.

    Acknowledgements wait apart from other messages. If there are more than `ack_limit`, the oldest is dropped: a node
    that does not read them needs the newest at most. `more` is called for messages that are taken only when they can be
    sent, while the outbox is open.
    """

    __slots__ = ("_acks", "_changed", "_closed", "_messages", "_more")

    def __init__(self, ack_limit: int, more: Callable[[], HubMessage | None] = lambda: None) -> None:
        self._messages: deque[HubMessage] = deque()
        self._acks: deque[HubMessage] = deque(maxlen=ack_limit)
        self._more = more
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, message: HubMessage) -> None:
        """Queue a message before all acknowledgements."""
        self._messages.append(message)
        self._changed.set()

    def put_ack(self, message: HubMessage) -> None:
        """Queue an acknowledgement."""
        self._acks.append(message)
        self._changed.set()

    def wake(self) -> None:
        """Wake `send_all`, because `more` may have a message."""
        self._changed.set()

    def close(self) -> None:
        """Accept no more messages; `send_all` returns when the queue is sent."""
        self._closed = True
        self._changed.set()

    def discard(self) -> None:
        """Drop what is queued."""
        self._messages.clear()
        self._acks.clear()

    async def send_all(self, send: Send) -> None:
        """Send the queued messages, one at a time, until closed."""
        while True:
            while (message := self._next()) is not None:
                await send(message)
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()

    def _next(self) -> HubMessage | None:
        if self._messages:
            return self._messages.popleft()
        if not self._closed and (message := self._more()) is not None:
            return message
        return self._acks.popleft() if self._acks else None
