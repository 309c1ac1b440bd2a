"""Records each message that a hub receives into `HUB_TRACE_DIR`, cheaply and for good.

The rule: the hub never waits and never fails for it. A message is one `extend` of a list (`add`). Twice a second, the
list goes to a thread, which appends it to the journal (`trace_journal.py`), begins another one when that is full, has
the full one turned into Parquet by a process, and removes the oldest files beyond `HUB_TRACE_BYTES`. If the thread
cannot write, or falls far behind, recording stops for good with one line in the log; what is not recorded is counted.

A killed process loses what it did not append: at most the last FLUSH_S, and what the thread was about to write. A
machine that loses its power also loses what its kernel had not yet written to the disk.
"""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

import structlog

from heartbench.hub.events import trace_directory as directory_of
from heartbench.hub.events.trace_journal import (
    COLUMNS,
    END,
    Piece,
    Source,
    block,
    columns_of,
    messages_block,
    pause_block,
    run_block,
    sources_block,
)
from heartbench.hub.liveness.node import Session
from heartbench.mesh.kinds import Kind

FLUSH_S = 0.5
MAX_WAITING = 60
"""Flushes that may wait for the thread: half a minute of a disk that does not answer."""
PIECE_BYTES = 16 << 20
PIECES = 16
"""A piece takes at most this share of all: what is being written and converted must fit beside the others."""
CONVERT_EVERY = 8
"""Pieces that are converted together: the start of a process that loads pyarrow costs as much as four of them."""
END_S = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Flush:
    """What the thread appends: messages as `add` took them, pauses, and both clocks at `at_s`."""

    at_s: float
    offset_s: float
    rows: Sequence[Any]
    pauses: Sequence[tuple[float, float]]
    is_end: bool = False


class Recorder:
    """Collects messages on the hub's event loop, and writes nothing before the first flush."""

    def __init__(self, directory: Path, most_bytes: int, begins: Piece) -> None:
        """`begins` has the clocks, the epoch and the threshold of this run of the hub."""
        self._rows: list[Any] = []
        self._pauses: list[tuple[float, float]] = []
        self._offset_s = begins.offset_s
        self._unqueued = 0
        self._queue: SimpleQueue[Flush] = SimpleQueue()
        self._writer = JournalWriter(directory, most_bytes, begins)
        self._thread = Thread(target=self._writer.run, args=(self._queue,), name="recorder", daemon=True)
        self.add = self._rows.extend
        """Record a message: (time of receipt, its Session if it is a heartbeat or else its Source, seq, sent)."""

    @property
    def lost(self) -> int:
        """Number of messages that were not recorded."""
        return self._unqueued + self._writer.lost

    def paused(self, at_s: float, lasted_s: float) -> None:
        """Record that the hub did not run for `lasted_s` before `at_s`."""
        self._pauses.append((at_s - lasted_s, at_s))

    def flush(self, at_s: float, unix_s: float) -> None:
        """Hand over what came before `at_s`, which is `unix_s` on the wall clock."""
        self._offset_s = unix_s - at_s
        self._hand_over(at_s)

    def end(self, at_s: float) -> None:
        """Record that the hub stops as it should, and wait up to END_S for the thread."""
        self._hand_over(at_s, is_end=True)
        self._thread.join(END_S)

    def _hand_over(self, at_s: float, is_end: bool = False) -> None:
        if self._thread.ident is None:  # not before the hub runs: one that cannot start leaves no file
            self._thread.start()
        rows, pauses = self._rows[:], self._pauses[:]
        self._rows.clear()  # and not replaced: `add` belongs to this list
        self._pauses.clear()
        if self._queue.qsize() >= MAX_WAITING:
            self._unqueued += len(rows) // len(COLUMNS)
            self._writer.is_late = True
        else:
            self._queue.put(Flush(at_s, self._offset_s, rows, pauses, is_end))


class JournalWriter:
    """Writes journals, in a thread of its own."""

    def __init__(self, directory: Path, most_bytes: int, begins: Piece) -> None:
        self.lost = 0
        self.is_late = False  # a flush was dropped: what follows would be a record with a hole
        self._directory = directory
        self._piece_bytes = min(PIECE_BYTES, most_bytes // PIECES)
        self._most_bytes = most_bytes - 2 * self._piece_bytes  # of finished pieces
        self._piece = begins
        self._numbers: dict[Session | Source, int] = {}  # in this piece
        self._file: IO[bytes] | None = None
        self._path = directory
        self._written = 0  # bytes, of this piece
        self._converter: subprocess.Popen[str] | None = None

    def run(self, queue: "SimpleQueue[Flush]") -> None:
        """Append what comes until the hub ends."""
        self._try(self._begin)
        while True:
            flush = queue.get()
            if self.is_late and self._file:
                self._stop("the disk is too slow")
            if not self._file or not self._try(partial(self._append, flush)):
                self.lost += len(flush.rows) // len(COLUMNS)
            self._look_after_converter()
            if flush.is_end:
                self._end()
                return

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except OSError as error:
            self._stop(error.strerror or str(error))
            return False
        return True

    def _stop(self, reason: str) -> None:
        if self._file:
            with suppress(OSError):
                self._file.close()
        self._file = None
        log.error("recording has stopped: HUB_TRACE_DIR cannot be written", file=str(self._path), reason=reason)

    def _begin(self) -> None:
        """Begin with piece 0, and have converted what earlier runs left."""
        directory_of.remove_parts(self._directory)
        self._open(self._piece)

    def _open(self, piece: Piece) -> None:
        self._piece = piece
        self._path = self._directory / (directory_of.name_of(piece) + directory_of.JOURNAL)
        self._file = directory_of.create(self._path)
        self._numbers = {}
        self._written = 0
        self._write(run_block(piece))
        self._tidy()

    def _append(self, flush: Flush) -> None:
        at_s, sources, seqs, sent_s = columns_of(flush.rows)
        data, numbers = b"", list(map(self._numbers.get, sources))
        if None in numbers:
            data = self._number(dict.fromkeys(source for source in sources if source not in self._numbers))
            numbers = list(map(self._numbers.get, sources))
        data += messages_block(flush.at_s, flush.offset_s, [at_s, numbers, seqs, sent_s])
        data += b"".join(pause_block(*pause) for pause in flush.pauses)
        self._write(data + (block(END, b"") if flush.is_end else b""))
        if self._written >= self._piece_bytes and not flush.is_end:
            self._rotate(flush)

    def _number(self, new: Iterable[Session | Source]) -> bytes:
        """Return the block that lists new sources, which get their numbers in this piece."""
        self._numbers.update(zip(new, count(len(self._numbers)), strict=False))
        return sources_block([_source(one) for one in new])

    def _write(self, data: bytes) -> None:
        assert self._file is not None  # noqa: S101
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._written += len(data)

    def _rotate(self, flush: Flush) -> None:
        assert self._file is not None  # noqa: S101
        self._file.close()
        number = self._piece.number + 1
        self._open(replace(self._piece, number=number, from_s=flush.at_s, to_s=flush.at_s, offset_s=flush.offset_s))

    def _tidy(self) -> None:
        """Make room, and have converted what is complete."""
        directory_of.prune(self._directory, self._most_bytes, self._path)
        if self._piece.number % CONVERT_EVERY == 0 and self._converter is None:
            try:
                self._converter = directory_of.start_converter(self._directory)
            except OSError as error:
                self._stays_a_journal(str(error))

    def _look_after_converter(self) -> None:
        """Log why a conversion failed; its journals stay, are read as they are, and are tried again."""
        if self._converter is None or self._converter.poll() is None:
            return
        _, said = self._converter.communicate()
        if self._converter.returncode:
            self._stays_a_journal((said.strip() or f"status {self._converter.returncode}").splitlines()[-1])
        self._converter = None

    def _stays_a_journal(self, reason: str) -> None:
        log.warning("a piece of HUB_TRACE_DIR stays a journal", directory=str(self._directory), reason=reason)

    def _end(self) -> None:
        """Close the journal. A conversion that runs is ended: the next start does it again."""
        if self._file:
            with suppress(OSError):
                self._file.close()
        if self._converter is not None:
            self._converter.terminate()
            self._converter.communicate()


def _source(source: Session | Source) -> Source:
    if isinstance(source, Source):
        return source
    return Source(source.node.node_id, source.boot_id, source.connection, Kind.HEARTBEAT)
