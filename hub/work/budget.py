"""A limit in items and bytes, with a queue in front of it, first come, first served.

The rule: an item is admitted when it fits and no other waits before it. One that is larger than the whole budget is
admitted when nothing else is held, so that it cannot wait for ever.
"""

import asyncio
from collections import deque


class Budget:
    """Room for `max_items` and `max_bytes`; of one event loop."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.items = 0
        self.size_bytes = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._closed: Exception | None = None

    @property
    def waiting(self) -> int:
        """Number of items that wait for room."""
        return len(self._queue)

    def would_wait(self, size_bytes: int) -> bool:
        """Return whether `acquire` would wait."""
        return bool(self._queue) or not self._fits(size_bytes)

    async def acquire(self, size_bytes: int) -> None:
        """Take room for one item, and wait if there is none; otherwise return without yielding."""
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        if not self.would_wait(size_bytes):
            self._take(size_bytes)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(1, size_bytes)  # it was admitted, and cancelled before it resumed
            else:
                self._admit()
            raise

    def release(self, items: int, size_bytes: int) -> None:
        """Release room."""
        self.items -= items
        self.size_bytes -= size_bytes
        self._admit()

    def close(self, reason: Exception) -> None:
        """Fail all waiters and all later calls with `reason`."""
        self._closed = reason
        while self._queue:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(reason)

    def _fits(self, size_bytes: int) -> bool:
        return self.items < self.max_items and (self.size_bytes + size_bytes <= self.max_bytes or self.items == 0)

    def _take(self, size_bytes: int) -> None:
        self.items += 1
        self.size_bytes += size_bytes

    def _admit(self) -> None:
        queue = self._queue
        while queue and (queue[0][1].done() or self._fits(queue[0][0])):
            size_bytes, turn = queue.popleft()
            if not turn.done():
                self._take(size_bytes)
                turn.set_result(None)
