"""The kinds of message that a node sends: numbers in a trace, words in the hub's observer file and log."""

from enum import IntEnum


class Kind(IntEnum):
    """What a message is; a chunk of a file is a CHUNK with seq 0."""

    HELLO = 0
    HEARTBEAT = 1
    CHUNK = 2
    GOODBYE = 3


WORDS = tuple(kind.name.lower() for kind in Kind)
"""The word for each kind, by its number."""

KINDS = dict(zip(WORDS, Kind, strict=True))
"""Each kind by its word."""
