"""How the tasks of a stream belong together: they fail with one plain error, and somebody else may end them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup of which the first error comes out as it is: those who serve a stream map it to an answer."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class CancelScope:
    """A block that another task can end: `async with ending:` is left quietly after `ending.end()`."""

    __slots__ = ("_inside", "_timeout")

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._inside = False

    def end(self) -> None:
        """Leave the block at its next wait; nothing happens before it or after it."""
        if self._inside and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._inside = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._inside = False
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return False
