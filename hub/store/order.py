"""Which chunk of a node is taken, which is a duplicate, and which is refused.

What is acknowledged is held, or was held and made room for newer chunks. So a chunk is taken if it comes after the
newest; the numbers between them are of chunks that the node dropped. Any other must be one that was taken:

    chunk                                         outcome
    boot_id 0, seq 0, or more than a store holds   BadMessageError
    of a boot before that of the newest            OutdatedStreamError
    more than LONGEST_SKIP after the newest        BadMessageError
    held, with the same data                       duplicate
    held, with other data                          BadMessageError: the node's counter began anew within a boot
    before all that is held, and not yet saved     duplicate: the history dropped it before the store had it
    else                                           OutOfOrderError

The last line includes chunks that were saved and then dropped: the hub cannot tell them from those of a counter that
began anew. A node does not send them, because Welcome names the last that is saved.
"""

from math import isfinite

from heartbench.hub.errors import BadMessageError, OutdatedStreamError, OutOfOrderError
from heartbench.hub.store.history import History, Position, StoredChunk

LARGEST = 2**63 - 1
"""Largest boot_id or seq: what SQLite's integers hold."""

LONGEST_SKIP = 2**40
"""Most chunks that a node may drop at once: more than any sends. One wrong number does not use up those of its boot."""


def check_name(chunk: StoredChunk) -> None:
    """Raise BadMessageError for a chunk that no store can hold: it would be retried for ever."""
    if not (0 < chunk.boot_id <= LARGEST and 0 < chunk.seq <= LARGEST and isfinite(chunk.sent_unix_s)):
        raise BadMessageError(
            f"chunk {named(chunk.position)}, sent_unix_s={chunk.sent_unix_s}: expected boot_id and seq from 1 to "
            f"{LARGEST} and a finite time"
        )


def check_new(chunk: StoredChunk, newest: Position) -> None:
    """Raise BadMessageError for a chunk that comes too far after the newest."""
    boot_id, seq = newest
    after = seq if chunk.boot_id == boot_id else 0
    if chunk.seq - after > LONGEST_SKIP:
        raise BadMessageError(
            f"chunk {named(chunk.position)} comes after {chunk.boot_id}/{after} and skips more than {LONGEST_SKIP} "
            "chunks; seq counts the chunks of a boot"
        )


def check_repeated(chunk: StoredChunk, history: History, saved: Position) -> None:
    """Raise an error for a chunk not after the newest, unless it was taken before; `saved`: the last one stored."""
    boot_id, seq = history.newest
    if chunk.boot_id < boot_id:
        raise OutdatedStreamError(f"chunk {named(chunk.position)}: that boot is over since chunk {boot_id}/{seq}")
    expected = f"the next one must be {boot_id}/{seq + 1} or later, or of a new boot"
    held = history.at(chunk.position)
    if held is not None and held.data != chunk.data:
        raise BadMessageError(f"chunk {named(chunk.position)} was sent before with other data; {expected}")
    if held is None and not saved < chunk.position < history.oldest:
        raise OutOfOrderError(
            f"chunk {named(chunk.position)} comes after chunk {boot_id}/{seq} and is not held; {expected}"
        )


def named(position: Position) -> str:
    """Return the name of a chunk as messages show it."""
    boot_id, seq = position
    return f"{boot_id}/{seq}"
