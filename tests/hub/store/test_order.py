from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.errors import BadMessageError, HubError
from heartbench.hub.store.history import START, History, Position, StoredChunk
from heartbench.hub.store.order import LARGEST, check_name, check_new, check_repeated

chunks = st.builds(
    StoredChunk,
    boot_id=st.integers(1, 2),
    seq=st.integers(1, 9),
    sent_unix_s=st.just(0.0),
    data=st.sampled_from([b"a", b"b", b"long"]),
)


@given(st.lists(chunks, max_size=40), st.booleans())
def test_a_chunk_is_taken_or_was_taken_or_is_refused(arriving: list[StoredChunk], saves: bool) -> None:
    history = History(3, 6)
    taken: dict[Position, bytes] = {}
    for chunk in arriving:
        saved = history.newest if saves else START
        try:
            if chunk.position > history.newest:
                check_new(chunk, history.newest)
                history.append(chunk)
                taken[chunk.position] = chunk.data
            else:
                check_repeated(chunk, history, saved)
        except HubError:
            assert history.at(chunk.position) != chunk or chunk.boot_id < history.newest[0]
        else:
            dropped_unsaved = not saves and chunk.position < history.oldest
            assert taken.get(chunk.position) == chunk.data or dropped_unsaved


@given(st.lists(chunks, max_size=20), chunks)
def test_a_history_finds_what_it_holds(arriving: list[StoredChunk], asked: StoredChunk) -> None:
    history = History(4, 8)
    for chunk in arriving:
        history.append(chunk)
    assert history.at(asked.position) == {held.position: held for held in history}.get(asked.position)


@pytest.mark.parametrize(
    ("boot_id", "seq", "sent_unix_s"),
    [(0, 1, 0.0), (1, 0, 0.0), (LARGEST + 1, 1, 0.0), (1, LARGEST + 1, 0.0), (1, 1, nan), (1, 1, inf)],
)
def test_a_chunk_that_no_store_can_hold_is_refused(boot_id: int, seq: int, sent_unix_s: float) -> None:
    with pytest.raises(BadMessageError, match="expected boot_id and seq from 1 to"):
        check_name(StoredChunk(boot_id, seq, sent_unix_s, b""))
