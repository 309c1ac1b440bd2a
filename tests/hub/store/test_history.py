from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.store.history import History, StoredChunk

chunks = st.builds(
    StoredChunk,
    boot_id=st.integers(1, 3),
    seq=st.integers(1, 12),
    sent_unix_s=st.just(0.0),
    data=st.binary(max_size=12),
)


class NaiveHistory:
    """Keeps everything, and computes what should be left from the definition."""

    def __init__(self, max_chunks: int, max_bytes: int) -> None:
        self.max_chunks, self.max_bytes = max_chunks, max_bytes
        self.all: list[StoredChunk] = []

    def append(self, chunk: StoredChunk) -> bool:
        if any(known.position >= chunk.position for known in self.all):
            return False
        self.all.append(chunk)
        return True

    def kept(self) -> list[StoredChunk]:
        runs = (self.all[first:] for first in range(len(self.all) + 1))
        return next(
            run for run in runs if len(run) <= self.max_chunks and sum(len(c.data) for c in run) <= self.max_bytes
        )


@given(st.lists(chunks, max_size=40), st.integers(1, 6), st.integers(0, 40))
def test_a_history_is_the_longest_newest_run_within_both_bounds(
    arriving: list[StoredChunk], max_chunks: int, max_bytes: int
) -> None:
    history, naive = History(max_chunks, max_bytes), NaiveHistory(max_chunks, max_bytes)
    for chunk in arriving:
        assert history.append(chunk) == naive.append(chunk)
        assert list(history) == naive.kept()
        assert len(history) == len(naive.kept())
        assert history.size_bytes == sum(len(kept.data) for kept in naive.kept())


@given(st.lists(chunks, max_size=20))
def test_sending_everything_again_changes_nothing(arriving: list[StoredChunk]) -> None:
    history = History(5, 30)
    for chunk in arriving:
        history.append(chunk)
    before = list(history)
    assert not any(history.append(chunk) for chunk in arriving)
    assert list(history) == before


def test_a_new_boot_counts_from_the_start_and_ends_the_older_one() -> None:
    history = History(10, 1000)
    history.append(StoredChunk(1, 7, 0.0, b"before"))
    assert history.append(StoredChunk(2, 1, 1.0, b"after"))
    assert not history.append(StoredChunk(1, 8, 2.0, b"late"))
    assert history.newest == (2, 1)
    assert [chunk.data for chunk in history] == [b"before", b"after"]


def test_a_chunk_larger_than_the_budget_is_counted_but_not_held() -> None:
    history = History(10, 4)
    assert history.append(StoredChunk(1, 1, 0.0, b"12345"))
    assert (len(history), history.size_bytes, history.newest) == (0, 0, (1, 1))


@given(st.lists(chunks, max_size=30), chunks)
def test_after_gives_what_is_newer_than_a_position(arriving: list[StoredChunk], at: StoredChunk) -> None:
    history = History(5, 30)
    for chunk in arriving:
        history.append(chunk)
    assert history.after(at.position) == [chunk for chunk in history if chunk.position > at.position]
    assert history.after((0, 0)) == list(history)


def test_oldest_is_where_the_history_begins() -> None:
    history = History(2, 10)
    assert history.oldest == (0, 1)
    for seq in (1, 2, 3):
        history.append(StoredChunk(1, seq, 0.0, b"abc"))
    assert history.oldest == (1, 2)
    history.append(StoredChunk(1, 4, 0.0, b"over the budget"))
    assert (list(history), history.oldest) == ([], (1, 5))


def test_a_restored_history_goes_on_where_it_ended() -> None:
    stored = [StoredChunk(3, seq, 0.0, b"x") for seq in (17, 18, 19)]
    history = History(2, 1000)
    history.restore(stored, newest=(3, 20))
    assert list(history) == stored[1:]
    assert not history.append(StoredChunk(3, 20, 0.0, b"again"))
    assert history.append(StoredChunk(3, 21, 0.0, b"next"))
