"""How much may wait: a bound in items and in bytes, and a line in front of it, first come, first served.

The rule: an item is let in when it fits and nobody waits before it. One that is larger than the whole budget is let in
when nothing else is held, so that it cannot wait for ever.
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
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._closed: Exception | None = None

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def would_wait(self, size_bytes: int) -> bool:
        """Whether `acquire` would not return at once."""
        return bool(self._line) or not self._fits(size_bytes)

    async def acquire(self, size_bytes: int) -> None:
        """Take room for one item; waits for it, and does not yield where there is some."""
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        if not self.would_wait(size_bytes):
            self._take(size_bytes)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(1, size_bytes)  # it was let in, and is cancelled before it noticed
            else:
                self._admit()
            raise

    def release(self, items: int, size_bytes: int) -> None:
        """Give room back."""
        self.items -= items
        self.size_bytes -= size_bytes
        self._admit()

    def close(self, reason: Exception) -> None:
        """Refuse whoever waits and whoever comes."""
        self._closed = reason
        while self._line:
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(reason)

    def _fits(self, size_bytes: int) -> bool:
        return self.items < self.max_items and (self.size_bytes + size_bytes <= self.max_bytes or self.items == 0)

    def _take(self, size_bytes: int) -> None:
        self.items += 1
        self.size_bytes += size_bytes

    def _admit(self) -> None:
        line = self._line
        while line and (line[0][1].done() or self._fits(line[0][0])):
            size_bytes, turn = line.popleft()
            if not turn.done():
                self._take(size_bytes)
                turn.set_result(None)
