"""The old way to keep the last chunks: a list that is copied at each append once it is full. Kept to be measured."""

from heartbench.hub.history import StoredChunk


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
