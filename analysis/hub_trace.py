"""What a hub recorded into `HUB_TRACE_DIR`, piece by piece: messages, and when the hub did not run.

The rule: a time that no piece covers is a time in which the hub was down: between a stop, or a kill, and the next
start; after a full disk; and where pieces were removed. So are its own pauses. Nothing is said about a node for it.
All times are Unix time, s: the hub's monotonic clock, laid on its wall clock as that was at the end of each run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.hub import HubError
from heartbench.hub.events.trace_directory import pieces_of
from heartbench.hub.events.trace_journal import Piece
from heartbench.hub.events.trace_parquet import Recorded, describe_piece, read_piece

Floats: TypeAlias = NDArray[np.float64]
Span: TypeAlias = tuple[float, float]
UNKNOWN = -1
"""The number of a message that its node did not number."""


class NothingRecordedError(AnalysisError):
    """The hub was killed before it recorded anything."""


class PieceError(AnalysisError):
    """A piece cannot be read."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(str(error))
        self.path = path


@dataclass(frozen=True, slots=True)
class RecordedMessages:
    """The messages of one piece, by node and then by time of arrival; n entries each.

    Attributes:
        names: names of the nodes.
        node: index into `names`.
        boot, connection: as the node reports them; greatest values beyond 2^63 - 1 are cut to that.
        seq: as the node numbers it, or UNKNOWN.
        kind: as `heartbench.mesh.kinds.Kind`.
        arrived_s: when the hub read it.
        sent_s: when the node sent it by its own clock; NaN: not known.
    """

    names: Sequence[str]
    node: NDArray[np.int32]
    boot: NDArray[np.int64]
    connection: NDArray[np.int64]
    seq: NDArray[np.int64]
    kind: NDArray[np.int8]
    arrived_s: Floats
    sent_s: Floats


@dataclass(frozen=True, slots=True)
class HubTrace:
    """Pieces of a record, oldest first, and what they state together.

    Attributes:
        pieces: files of the pieces, and by how much the times in each are to be moved, s.
        hub_down: when the hub did not run, in order.
        from_s, to_s: what the record spans.
    """

    pieces: Sequence[tuple[Path, float]]
    hub_down: Sequence[Span]
    from_s: float
    to_s: float

    def messages(self) -> Iterator[RecordedMessages]:
        """Yield the messages, a piece at a time: up to 600,000 of them.

        Raises:
            PieceError: A piece cannot be read.
        """
        for path, moved_s in self.pieces:
            try:
                found = read_piece(path)
            except HubError as error:
                raise PieceError(path, error) from error
            if found is not None:
                yield _messages(found, moved_s)


def read_hub_trace(directory: Path) -> HubTrace:
    """Return the record in HUB_TRACE_DIR of a hub, which may be running; of each piece only what it covers is read.

    Raises:
        AnalysisError: There is no piece in the directory, or one cannot be read.
    """
    try:
        return trace_of(pieces_of(directory))
    except OSError as error:
        raise AnalysisError(f"{directory}: cannot be read: {error.strerror}") from error
    except NothingRecordedError as error:
        raise AnalysisError(f"{directory}: nothing recorded in it; expected the directory of HUB_TRACE_DIR") from error


def newest_threshold_s(directory: Path) -> float | None:
    """Return the `stale_after` of the hub that wrote the newest piece in HUB_TRACE_DIR, s; None if there is none.

    Raises:
        AnalysisError: A piece cannot be read.
    """
    for path in reversed(pieces_of(directory)):
        try:
            piece = describe_piece(path)
        except HubError as error:
            raise PieceError(path, error) from error
        if piece is not None:
            return piece.stale_after_s
    return None


def trace_of(paths: Sequence[Path]) -> HubTrace:
    """Return the record in these pieces, which are in order.

    Raises:
        PieceError: A piece cannot be read.
        NothingRecordedError: Nothing was recorded in any.
    """
    found = []
    for path in paths:
        try:
            piece = describe_piece(path)
        except HubError as error:
            raise PieceError(path, error) from error
        if piece is not None:
            found.append((path, piece))
    if not found:
        raise NothingRecordedError(", ".join(str(path) for path in paths) + ": nothing recorded in it")
    offset_s = {piece.run_unix_s: piece.offset_s for _, piece in found}  # the last of each run
    covered = [
        (piece.from_s + offset_s[piece.run_unix_s], piece.to_s + offset_s[piece.run_unix_s]) for _, piece in found
    ]
    pieces = [(path, offset_s[piece.run_unix_s] - piece.offset_s) for path, piece in found]
    pauses = [
        (from_s + offset_s[piece.run_unix_s], to_s + offset_s[piece.run_unix_s])
        for _, piece in found
        for from_s, to_s in piece.pauses
    ]
    down = sorted([*pauses, *_between([piece for _, piece in found], covered)])
    return HubTrace(pieces, down, min(from_s for from_s, _ in covered), max(to_s for _, to_s in covered))


def _between(pieces: Sequence[Piece], covered: Sequence[Span]) -> Iterator[Span]:
    """Yield the times that no piece covers; a piece that follows another of its run begins where that ends."""
    latest_s = covered[0][1]
    for before, piece, (from_s, to_s) in zip(pieces, pieces[1:], covered[1:], strict=False):
        follows = piece.run_unix_s == before.run_unix_s and piece.number == before.number + 1
        if from_s > latest_s and not follows:
            yield latest_s, from_s
        latest_s = max(latest_s, to_s)


def _messages(found: Recorded, moved_s: float) -> RecordedMessages:
    table = found.messages.combine_chunks().unify_dictionaries()
    column = {name: _column(table, name) for name in table.column_names if name != "node"}
    node: Any = table["node"].chunk(0) if table.num_rows else None
    seq = np.minimum(column["seq"], np.uint64(2**63 - 1)).astype(np.int64)
    return RecordedMessages(
        [] if node is None else node.dictionary.to_pylist(),
        np.zeros(0, np.int32) if node is None else node.indices.to_numpy().astype(np.int32),
        np.minimum(column["boot"], np.uint64(2**63 - 1)).astype(np.int64),
        np.minimum(column["connection"], np.uint64(2**63 - 1)).astype(np.int64),
        np.where(seq == 0, UNKNOWN, seq),
        column["kind"].astype(np.int8),
        column["arrived"] / 1e6 + moved_s,
        np.where(column["sent"] == np.iinfo(np.int64).min, np.nan, column["sent"] / 1e6),
    )


def _column(table: Any, name: str) -> NDArray[Any]:
    """Return a column; times in µs, the least int64 if there is none."""
    values: NDArray[Any] = table[name].to_numpy()
    return values.astype("datetime64[us]").astype(np.int64) if values.dtype.kind == "M" else values
