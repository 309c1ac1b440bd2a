"""The journal of `HUB_TRACE_DIR`: what a hub received, appended twice a second and readable at any time.

A file is a sequence of blocks, each a head (what it is, bytes of its body, CRC-32 of both) and a body:

    run      JSON, first in each file: which run of the hub, which piece of its trace, and both clocks when it began
    sources  JSON: [node_id, boot_id, connection, kind] of what was not yet heard in this file, numbered from 0
    messages both clocks, then four columns, one entry per message: at_s (float64, on the hub's monotonic clock),
             source (uint32), seq (uint64), sent_unix_s (float64, as the node reports it; 0: it does not); no entry: the
             hub ran and received nothing
    pause    from and to when the hub did not run (two float64, monotonic)
    end      the hub stopped as it should

The rule: a reader ends at the first block that is cut off or has another CRC. So a hub may be killed at any time, and
its journal may be read while it is written. Numbers are in the machine's byte order. A message takes 28 bytes, as
Parquet (`trace_parquet.py`) less than half of that.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, pack
from typing import Any, NamedTuple
from zlib import crc32

from heartbench.hub.errors import HubError

SCHEMA = "heartbench.trace/1"
MAGIC = b"HBT1"
RUN, SOURCES, MESSAGES, PAUSE, END = range(5)
HEAD = Struct("=4sIII")
CLOCKS = Struct("=dd")  # at_s, and Unix time minus it
COLUMNS = "dIQd"
ROW_BYTES = sum(array(code).itemsize for code in COLUMNS)


class Source(NamedTuple):
    """A stream's messages of one kind (`heartbench.mesh.kinds.Kind`)."""

    node_id: str
    boot_id: int
    connection: int
    kind: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What one file covers: piece `number`, from 0, of the run of a hub that began at `run_unix_s`.

    Times are in s on the hub's monotonic clock; `offset_s` is Unix time minus it, when the piece was last written.
    The hub ran from `from_s` to `to_s`, except in `pauses`; `ended`: it stopped as it should, and not by a kill.
    """

    run_unix_s: float
    number: int
    epoch: int
    stale_after_s: float
    from_s: float
    to_s: float
    offset_s: float
    pauses: Sequence[tuple[float, float]] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """The content of a journal; `columns` are those of the messages, in order of receipt."""

    piece: Piece
    sources: Sequence[Source]
    columns: Sequence["array[Any]"]


def block(what: int, body: bytes) -> bytes:
    """Return a block as it is written."""
    return HEAD.pack(MAGIC, what, len(body), crc32(body, what)) + body


def run_block(piece: Piece) -> bytes:
    """Return the first block of a journal: the beginning of a piece."""
    began = {"run_unix_s": piece.run_unix_s, "number": piece.number, "epoch": piece.epoch}
    clocks = {"stale_after_s": piece.stale_after_s, "from_s": piece.from_s, "offset_s": piece.offset_s}
    return block(RUN, _json({"schema": SCHEMA, **began, **clocks}))


def sources_block(sources: Sequence[Source]) -> bytes:
    """Return the block of the sources that follow those written before."""
    return block(SOURCES, _json(sources))


def messages_block(at_s: float, offset_s: float, columns: Sequence[Sequence[Any]]) -> bytes:
    """Return the block of the messages that came before `at_s`, by columns."""
    count = len(columns[0])  # `array(code, column)` would take twice as long
    packed = (pack(f"{count}{code}", *column) for code, column in zip(COLUMNS, columns, strict=True))
    return block(MESSAGES, CLOCKS.pack(at_s, offset_s) + b"".join(packed))


def pause_block(from_s: float, to_s: float) -> bytes:
    """Return the block of a time in which the hub did not run."""
    return block(PAUSE, CLOCKS.pack(from_s, to_s))


def read_journal(path: Path) -> Journal | None:
    """Return what a journal holds, up to its last whole block; None if the hub was killed before its first.

    Raises HubError if it cannot be read or is something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HubError(f"{path}: cannot be read: {error.strerror}") from None
    blocks = _blocks(data)
    try:
        first = next(blocks, None)
        if first is None and MAGIC.startswith(data[: len(MAGIC)]):
            return None
        return _journal(_beginning(first or (END, b"")), blocks)
    except (ValueError, TypeError, KeyError) as error:
        raise HubError(f"{path}: not a journal of HUB_TRACE_DIR ({error})") from None


def _beginning(first: tuple[int, bytes]) -> Piece:
    what, body = first
    found = json.loads(body) if what == RUN else {}
    if found.pop("schema", None) != SCHEMA:
        raise ValueError(f"its first block must be the run of {SCHEMA}")
    return Piece(**found, to_s=found["from_s"])


def _journal(piece: Piece, blocks: Iterator[tuple[int, bytes]]) -> Journal:
    """Collect the blocks that follow the first."""
    to_s, offset_s, ended = piece.to_s, piece.offset_s, False
    sources: list[Source] = []
    pauses: list[tuple[float, float]] = []
    columns = [array(code) for code in COLUMNS]
    for what, body in blocks:
        if what == SOURCES:
            sources += (Source(*source) for source in json.loads(body))
        elif what == MESSAGES:
            to_s, offset_s = CLOCKS.unpack_from(body)
            _extend(columns, memoryview(body)[CLOCKS.size :])
        elif what == PAUSE:
            from_s, until_s = CLOCKS.unpack(body)
            pauses.append((from_s, until_s))
        elif what == END:
            ended = True
    if max(columns[1], default=-1) >= len(sources):
        raise ValueError(f"a message has source {max(columns[1])} of {len(sources)}")
    fixed = piece.run_unix_s, piece.number, piece.epoch, piece.stale_after_s, piece.from_s
    return Journal(Piece(*fixed, to_s, offset_s, pauses, ended), sources, columns)


def _extend(columns: "Sequence[array[Any]]", body: memoryview) -> None:
    """Add the columns of one block of messages."""
    count, rest = divmod(len(body), ROW_BYTES)
    if rest:
        raise ValueError(f"{len(body)} bytes of messages, of {ROW_BYTES} bytes each")
    first = 0
    for column in columns:
        last = first + count * column.itemsize
        column.frombytes(body[first:last])
        first = last


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what each whole block is, and its body."""
    first = 0
    while len(data) - first >= HEAD.size:
        magic, what, size, crc = HEAD.unpack_from(data, first)
        body = data[first + HEAD.size : first + HEAD.size + size]
        if magic != MAGIC or len(body) != size or crc32(body, what) != crc:
            return
        yield what, body
        first += HEAD.size + size


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def columns_of(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """Return the columns of messages whose values follow one another in one list."""
    return [rows[first :: len(COLUMNS)] for first in range(len(COLUMNS))]
