"""Short names of benchmarks for tables: their common beginning is shown once, and the rest is cut to what differs.

A name is cut between words, never within one. The words at which it first differs from another name of the table are
always kept, so no two names look the same; more words are kept from the left while there is room.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

GAP = "…"


def shared_start(names: Sequence[str]) -> str:
    """Return the folders, or the file, that all names start with."""
    files = {name.partition("::")[0] for name in names}
    if len(files) == 1:
        return f"{files.pop()}::" if all("::" in name for name in names) else ""
    parts = [PurePosixPath(file).parent.parts for file in files]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))
    return "".join(f"{level[0]}/" for level in shared)


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Return each name in up to `width` characters, or in as few as distinguish it from the others."""
    split = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    return [_short(words, _distinguishing(words, split), width) for words in split]


def _distinguishing(words: list[str], others: Sequence[list[str]]) -> set[int]:
    """Return the positions at which a name first differs from each of the others, or that of its first word."""
    shared = {_shared(words, other) for other in others if other != words}
    return {min(place, len(words) - 1) for place in shared} or {0}


def _shared(words: list[str], other: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, other, strict=False)))


def _short(words: list[str], kept: set[int], width: int) -> str:
    whole = "".join(words)
    if len(whole) <= width:
        return whole
    starts = (kept | set(range(end)) for end in range(len(words), 0, -1) if words[end - 1].isalnum())
    return next((short for start in starts if len(short := _joined(words, start)) <= width), _joined(words, kept))


def _joined(words: list[str], kept: set[int]) -> str:
    """Return the kept words, with one ellipsis for each gap between them."""
    parts = [word if place in kept else GAP for place, word in enumerate(words)]
    return re.sub(f"{GAP}+", GAP, "".join(parts))
