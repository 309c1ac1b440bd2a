"""Other ways to keep the last chunks, to be measured: the list that is copied at each append, and a bare `deque`."""

from collections import deque

from heartbench.hub.store.history import StoredChunk


class SplicedHistory:
    """The last `max_chunks` chunks as `history = history[-150:]` keeps them: no byte budget, no repetition noticed."""

    def __init__(self, max_chunks: int) -> None:
        self.max_chunks = max_chunks
        self.history: list[StoredChunk] = []

    def append(self, chunk: StoredChunk) -> bool:
        """Take a chunk in; always True."""
        self.history.append(chunk)
        self.history = self.history[-self.max_chunks :]
        return True


class PlainDeque:
    """The last `max_chunks` chunks in a `deque`: no byte budget, no repetition noticed."""

    def __init__(self, max_chunks: int) -> None:
        self.history: deque[StoredChunk] = deque(maxlen=max_chunks)

    def append(self, chunk: StoredChunk) -> bool:
        """Take a chunk in; always True."""
        self.history.append(chunk)
        return True
