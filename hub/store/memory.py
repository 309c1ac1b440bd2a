"""`memory:` stores nothing: the hub's own memory is the only copy, and it is lost with the process."""

from collections.abc import Iterator, Sequence

from heartbench.hub.store.protocol import NodeWrite, StoredNode


class MemoryStore:
    """A store that keeps nothing. Its epoch is the wall clock in ms, which grows from start to start."""

    def __init__(self, unix_s: float) -> None:
        self.epoch = round(unix_s * 1000)

    def load(self) -> Iterator[StoredNode]:
        """Return nothing."""
        return iter(())

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
