"""Scopes for the tasks of a stream: a group that fails with one plain error, and a block that another task can end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

FLUSH_S = 1.0
"""Time to send what is queued on a stream that the hub ends."""


@asynccontextmanager
async def task_scope() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a TaskGroup that raises its first error itself instead of an ExceptionGroup."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class CancelScope:
    """A block that another task can end: `async with scope:` is left without an error after `scope.cancel()`."""

    __slots__ = ("_inside", "_timeout")

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._inside = False

    def cancel(self) -> None:
        """Leave the block at its next wait; before and after the block this has no effect."""
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
