"""Histories in one SQLite file: WAL, one connection, one transaction per batch (group commit).

Measurements that decide the form, at 4,000 chunks/s of 2,000 nodes:

- A statement carries many rows (`_execute`): sqlite3 releases Python's global lock at every step, and a writer that
  had to reacquire it from a busy event loop for each row wrote 3,700 chunks/s; this one wrote 8,400.
- The cost of a write is its pages. So a chunk is one row on one page: the newest position is that of the newest row,
  and chunks that a history dropped are deleted only now and then (`TRIM_PAGES`).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from heartbench.hub.errors import HubError
from heartbench.hub.store.history import START, Position, StoredChunk
from heartbench.hub.store.protocol import Durability, FencedError, NodeWrite, StoredNode, StoreUnavailableError
from heartbench.hub.store.record import NodeRecord

APPLICATION_ID = 0x48425448
"""`HBTH`, in the file's header: marks the database as ours."""

MIGRATIONS = (
    """
    CREATE TABLE hub (epoch INTEGER NOT NULL);
    INSERT INTO hub VALUES (0);

    CREATE TABLE node (
        node_id TEXT NOT NULL PRIMARY KEY,
        record  TEXT NOT NULL  -- NodeRecord as JSON
    ) WITHOUT ROWID;

    CREATE TABLE chunk (
        node_id     TEXT    NOT NULL,
        boot_id     INTEGER NOT NULL,
        seq         INTEGER NOT NULL,
        sent_unix_s REAL    NOT NULL,
        data        BLOB,  -- NULL: longer than a whole history, so that it and all before it are not held
        PRIMARY KEY (node_id, boot_id, seq)
    ) WITHOUT ROWID;
    """,
)
"""The n-th script turns schema version n - 1 into n. Only append to this tuple."""

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


class SqliteStore:
    """A file that one hub at a time writes; a second one that opens it takes over."""

    def __init__(self, path: Path, durability: Durability = Durability.COMMITTED, busy_timeout_s: float = 1.0) -> None:
        """Open or create the file, migrate its schema and begin an epoch; HubError if it is not a file of ours."""
        self._path = path
        self._newest: dict[str, Position] = {}  # no other hub changes it once the epoch has begun
        self._untrimmed: dict[str, int] = {}  # pages since the last deletion
        try:
            self._db = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
            with ExitStack() as undo:
                undo.callback(self._db.close)
                self._migrate()
                self._db.execute("PRAGMA journal_mode = WAL")
                # A commit survives the process in either case; FULL survives a power loss too, for one fsync a batch.
                level = "FULL" if durability is Durability.COMMITTED else "NORMAL"
                self._db.execute(f"PRAGMA synchronous = {level}")
                self.epoch: int
                (self.epoch,) = self._db.execute("UPDATE hub SET epoch = epoch + 1 RETURNING epoch").fetchall()[0]
                undo.pop_all()
        except sqlite3.Error as error:
            raise HubError(f"HUB_STORE_URL: cannot open {path} as a SQLite store: {error}") from error

    def _migrate(self) -> None:
        version = self._pragma("user_version")
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if self._pragma("application_id") != APPLICATION_ID and (version or tables):
            raise HubError(f"HUB_STORE_URL: {self._path} is a database of another program; use another file")
        if version > len(MIGRATIONS):
            raise HubError(
                f"HUB_STORE_URL: {self._path} has schema {version}, written by a newer hub;"
                f" this one knows {len(MIGRATIONS)}"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number}; COMMIT;"
            )

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def load(self) -> Iterator[StoredNode]:
        """Yield every known node, in no order, with its chunks in order."""
        stored = self._db.execute("SELECT node_id, record FROM node")
        records = {node_id: NodeRecord.from_json(record) for node_id, record in stored}
        for node_id, rows in groupby(self._db.execute(LOAD), key=itemgetter(0)):
            chunks: list[StoredChunk] = []
            for _, boot_id, seq, sent_unix_s, data in rows:
                newest = (boot_id, seq)
                if data is None:
                    chunks.clear()
                else:
                    chunks.append(StoredChunk(boot_id, seq, sent_unix_s, data))
            yield StoredNode(node_id, records.pop(node_id, None), chunks, newest)
        for node_id, record in records.items():
            yield StoredNode(node_id, record, (), START)

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Make the batch durable in one transaction: all of it, or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._check_epoch()
            due = {write.node_id for write in batch if self._is_due(write)}
            self._apply(batch, due)
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise StoreUnavailableError(f"{self._path}: {error}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        for write in batch:
            self._confirm(write, write.node_id in due)

    def check(self) -> None:
        """Compare the epoch in the file with that of this store."""
        try:
            self._check_epoch()
        except sqlite3.DatabaseError as error:
            raise StoreUnavailableError(f"{self._path}: {error}") from error

    def _check_epoch(self) -> None:
        (epoch,) = self._db.execute("SELECT epoch FROM hub").fetchone()
        if epoch != self.epoch:
            raise FencedError(f"{self._path}: a hub with epoch {epoch} has taken the store; this one had {self.epoch}")

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
        if write.forgets:
            self._newest.pop(node_id, None)
            self._untrimmed.pop(node_id, None)
        elif write.newest != START:
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
