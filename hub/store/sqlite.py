"""Histories in one SQLite file: WAL, one connection, one transaction per batch (group commit).

Measurements that decide the form, at 4,000 chunks/s of 2,000 nodes:

- A statement carries many rows (`_execute`): sqlite3 releases Python's global lock at every step, and a writer that
  had to reacquire it from a busy event loop for each row wrote 3,700 chunks/s; this one wrote 8,400.
- The cost of a write is its pages. So a chunk is one row on one page: the newest position is that of the newest row,
  and chunks that a history dropped are deleted only now and then (`TRIM_PAGES`).
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from heartbench.hub.errors import HubError
from heartbench.hub.printable import shown
from heartbench.hub.store.history import START, Position, StoredChunk
from heartbench.hub.store.loading import chunk_in, damaged, record_in
from heartbench.hub.store.order import LARGEST
from heartbench.hub.store.protocol import (
    Durability,
    FencedError,
    NodeWrite,
    StoredNode,
    StoreLostError,
    StoreUnavailableError,
)
from heartbench.hub.store.sqlite_file import identity, open_database, remove_if_empty

BEGIN_EPOCH = "UPDATE hub SET epoch = CASE epoch WHEN 0 THEN ? ELSE epoch + 1 END RETURNING epoch"
EMPTY_EPOCH, NEW_EPOCH = "INSERT INTO hub VALUES (?)", "UPDATE hub SET epoch = ?"
FORGET_CHUNKS = "DELETE FROM chunk WHERE node_id IN (VALUES {rows})"
FORGET_NODES = "DELETE FROM node WHERE node_id IN (VALUES {rows})"
APPEND = "INSERT INTO chunk (node_id, boot_id, seq, sent_unix_s, data) VALUES {rows}"
TRIM = """
    WITH history (node_id, oldest_boot, oldest_seq) AS (VALUES {rows})
    DELETE FROM chunk WHERE (node_id, boot_id, seq) IN (
        SELECT chunk.node_id, chunk.boot_id, chunk.seq FROM history JOIN chunk ON chunk.node_id = history.node_id
        AND (chunk.boot_id, chunk.seq) < (history.oldest_boot, history.oldest_seq)
    )
"""
SAVE = """
    INSERT INTO node (node_id, record) VALUES {rows}
    ON CONFLICT (node_id) DO UPDATE SET record = excluded.record
"""
NEWEST = "SELECT boot_id, seq FROM chunk WHERE node_id = ? ORDER BY boot_id DESC, seq DESC LIMIT 1"
LOAD = "SELECT node_id, boot_id, seq, sent_unix_s, data FROM chunk ORDER BY node_id, boot_id, seq"

ROWS_PER_STATEMENT = 200
"""A row has up to 5 values: far below SQLite's limit of 32,766."""

PAGE_BYTES = 4096
TRIM_PAGES = 32
"""Pages of chunks between two deletions of what a history dropped."""

UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What Python raises for a database that SQLite cannot read: the second if SQLite's message quotes damaged text."""


class SqliteStore:
    """A file that one hub at a time writes; a second one that opens it takes over."""

    def __init__(self, path: Path, durability: Durability = Durability.COMMITTED, busy_timeout_s: float = 1.0) -> None:
        """Open or create the file, check all that it holds, and then begin an epoch.

        In this order a hub that uses the file is not disturbed by one that cannot start. HubError if it is not a file
        of ours, StoreDamagedError if it is damaged.
        """
        self._path = path
        self._options = (path.resolve(), durability, busy_timeout_s)
        self._newest: dict[str, Position] = {}  # no other hub changes it once the epoch has begun
        self._untrimmed: dict[str, int] = {}  # pages since the last deletion
        self._lost = False
        with ExitStack() as undo:
            try:
                self._db = open_database(*self._options)
                undo.callback(self._db.close)
                self._verify()
                # A new file begins at the current time: its hubs are newer than those of a file that was deleted.
                self.epoch: int
                (self.epoch,) = self._db.execute(BEGIN_EPOCH, (round(time.time() * 1000),)).fetchall()[0]
            except (sqlite3.OperationalError, OSError) as error:
                raise HubError(f"HUB_STORE_URL: cannot open {path} as a SQLite store: {error}") from error
            except UNREADABLE as error:
                raise damaged(path, str(error)) from error
            undo.pop_all()
        self._files = identity(self._options[0])

    def _verify(self) -> None:
        found = {name for (name,) in self._db.execute("SELECT name FROM sqlite_schema")}
        for table in ("hub", "node", "chunk"):
            if table not in found:
                raise damaged(self._path, f"the table {table} is missing")
        epochs = self._db.execute("SELECT epoch FROM hub").fetchall()
        if len(epochs) != 1:
            raise damaged(self._path, f"the table hub has {len(epochs)} rows; expected one")
        (epoch,) = epochs[0]
        if type(epoch) is not int or not 0 <= epoch < LARGEST:
            raise damaged(self._path, f"the table hub: epoch={shown(epoch)} is not a number from 0 to {LARGEST - 1}")
        (result,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise damaged(self._path, f"quick_check: {result}")
        for _ in self.load():
            pass

    def load(self) -> Iterator[StoredNode]:
        """Yield every known node, in no order, with its chunks in order; StoreDamagedError for what is not ours."""
        try:
            yield from self._read()
        except (sqlite3.Error, ValueError) as error:
            raise damaged(self._path, str(error)) from error

    def _read(self) -> Iterator[StoredNode]:
        stored = self._db.execute("SELECT node_id, record FROM node")
        records = {node_id: record_in(record, node_id) for node_id, record in stored}
        for node_id, rows in groupby(self._db.execute(LOAD), key=itemgetter(0)):
            chunks: list[StoredChunk] = []
            for _, boot_id, seq, sent_unix_s, data in rows:
                chunk = chunk_in(node_id, boot_id, seq, sent_unix_s, b"" if data is None else data)
                newest = chunk.position
                if data is None:
                    chunks.clear()
                else:
                    chunks.append(chunk)
            yield StoredNode(node_id, records.pop(node_id, None), chunks, newest)
        for node_id, record in records.items():
            yield StoredNode(node_id, record, (), START)

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Make the batch durable in one transaction: all of it, or nothing."""
        self._check_files()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._check_rows()
            due = {write.node_id for write in batch if self._is_due(write)}
            self._apply(batch, due)
            self._db.execute("COMMIT")
        except UNREADABLE as error:
            raise StoreUnavailableError(f"{self._path}: {error}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._check_files()  # a file that was deleted meanwhile took the commit with it
        for write in batch:
            self._confirm(write, write.node_id in due)

    def check(self) -> None:
        """Raise the error that `write` would raise if the file is not in its place, whole and ours."""
        self._check_files()
        try:
            self._check_rows()
        except UNREADABLE as error:
            raise StoreUnavailableError(f"{self._path}: {error}") from error

    def _check_files(self) -> None:
        """Raise StoreLostError if the files are no longer at their path; the next call begins with new ones."""
        if self._lost:
            self._begin_again()
        elif identity(self._options[0]) != self._files:
            raise self._loss()

    def _check_rows(self) -> None:
        row = self._db.execute("SELECT epoch FROM hub").fetchone()
        if row is None or (self._untrimmed and self._db.execute("SELECT 1 FROM chunk LIMIT 1").fetchone() is None):
            raise self._loss()
        self._check_epoch(row[0])

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise FencedError(f"{self._path}: a hub with epoch {epoch} has taken the store; this one had {self.epoch}")

    def _loss(self) -> StoreLostError:
        self._lost = True
        return StoreLostError(
            f"{self._path} was deleted, moved, replaced or emptied while the hub used it; all that the hub knows is "
            "written again"
        )

    def _begin_again(self) -> None:
        """Open what is at the path now, or a new file, and go on with the same epoch unless another hub has it."""
        try:
            remove_if_empty(self._options[0])
            self._db.close()
            self._db = open_database(*self._options)
            row = self._db.execute("SELECT epoch FROM hub").fetchone()
            if row is None or row == (0,):  # emptied, or new
                self._db.execute(EMPTY_EPOCH if row is None else NEW_EPOCH, (self.epoch,))
            else:
                self._check_epoch(row[0])
            self._files = identity(self._options[0])
        except FencedError:
            raise
        except (*UNREADABLE, OSError, HubError) as error:
            raise StoreUnavailableError(f"{self._path} cannot be opened again: {error}") from error
        self._newest.clear()
        self._untrimmed.clear()
        self._lost = False

    def _apply(self, batch: Sequence[NodeWrite], due: set[str]) -> None:
        forgotten = [(write.node_id,) for write in batch if write.anew]
        self._execute(FORGET_CHUNKS, forgotten)
        self._execute(FORGET_NODES, forgotten)
        self._execute(APPEND, [row for write in batch for row in self._new_rows(write)])
        cuts = ((write.node_id, *min(write.oldest, write.newest)) for write in batch)
        self._execute(TRIM, [cut for cut in cuts if cut[0] in due])
        self._execute(SAVE, [(write.node_id, write.record.to_json()) for write in batch if write.record])

    def _new_rows(self, write: NodeWrite) -> Iterator[tuple[str, int, int, float, bytes | None]]:
        stored = START if write.anew else self._stored(write.node_id)
        for chunk in write.chunks:
            if chunk.position > stored:
                stored = chunk.position
                yield write.node_id, chunk.boot_id, chunk.seq, chunk.sent_unix_s, chunk.data
        if write.newest > stored:
            yield write.node_id, *write.newest, 0.0, None

    def _is_due(self, write: NodeWrite) -> bool:
        """Return whether to delete now: also at the first write, and when everything stored may be deleted."""
        untrimmed = self._untrimmed.get(write.node_id, TRIM_PAGES)
        return untrimmed + pages(write) > TRIM_PAGES or write.oldest > self._stored(write.node_id)

    def _stored(self, node_id: str) -> Position:
        newest = self._newest.get(node_id)
        if newest is None:
            newest = self._newest[node_id] = self._db.execute(NEWEST, (node_id,)).fetchone() or START
        return newest

    def _confirm(self, write: NodeWrite, was_trimmed: bool) -> None:
        node_id = write.node_id
        if write.anew:
            self._newest.pop(node_id, None)
            self._untrimmed.pop(node_id, None)
        if write.newest != START:
            self._newest[node_id] = write.newest if write.anew else max(write.newest, self._stored(node_id))
            if node_id not in self._untrimmed:
                # Each node starts elsewhere in the cycle, so that nodes that write together do not delete together.
                self._untrimmed[node_id] = len(self._untrimmed) % TRIM_PAGES
            else:
                self._untrimmed[node_id] = 0 if was_trimmed else self._untrimmed[node_id] + pages(write)

    def _execute(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        for first in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[first : first + ROWS_PER_STATEMENT]
            row = f"({', '.join('?' * len(part[0]))})"
            values = [value for one in part for value in one]
            self._db.execute(sql.format(rows=", ".join([row] * len(part))), values)

    def close(self) -> None:
        """Merge the write-ahead log into the file and close it."""
        self._db.close()


def pages(write: NodeWrite) -> int:
    """Return the pages that a write adds to what must be deleted later."""
    return sum(1 + len(chunk.data) // PAGE_BYTES for chunk in write.chunks)
