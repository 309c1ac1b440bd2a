"""The file of a SQLite store: how it is created, brought up to date, and told from another file at the same path.

A file can be deleted, moved, replaced or emptied while a hub has it open. SQLite reports none of this and goes on
writing into a file that has no name any more. So a store compares `identity` before and after each commit.
"""

import os
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path

from heartbench.hub.errors import HubError
from heartbench.hub.store.protocol import Durability

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

Identity = tuple[tuple[int, int, bool], ...]


def open_database(path: Path, durability: Durability, busy_timeout_s: float) -> sqlite3.Connection:
    """Open or create the file, and bring its schema up to date.

    Raises HubError for a database of another program or a newer hub, sqlite3.Error and OSError for all else.
    """
    _create(path)
    db = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    with ExitStack() as undo:
        undo.callback(db.close)
        _migrate(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        # A commit survives the process in either case; FULL survives a power loss too, for one fsync a batch.
        level = "FULL" if durability is Durability.COMMITTED else "NORMAL"
        db.execute(f"PRAGMA synchronous = {level}")
        undo.pop_all()
    return db


def identity(path: Path) -> Identity:
    """Return what tells the database and its write-ahead log from other files; empty if one of them is missing."""
    try:
        files = path.stat(), _beside(path, "-wal").stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    holds_something = files[0].st_size > 0, True
    return tuple((file.st_dev, file.st_ino, holds) for file, holds in zip(files, holds_something, strict=True))


def remove_if_empty(path: Path) -> None:
    """Remove a database that somebody emptied: SQLite would write the pages of its log into it when it is closed."""
    with suppress(FileNotFoundError):
        if path.stat().st_size == 0:
            path.unlink()


def _create(path: Path) -> None:
    """Create the file, readable by its owner alone, unless it exists; SQLite gives its other files the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if path.stat().st_size == 0:  # the files beside it belong to one that is gone, and perhaps to a hub that uses it
        for suffix in ("-wal", "-shm"):
            _beside(path, suffix).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = _pragma(db, "user_version")
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if _pragma(db, "application_id") != APPLICATION_ID and (version or tables):
        raise HubError(f"HUB_STORE_URL: {path} is a database of another program; use another file")
    if version > len(MIGRATIONS):
        raise HubError(
            f"HUB_STORE_URL: {path} has schema {version}, written by a newer hub; this one knows {len(MIGRATIONS)}"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number}; COMMIT;"
        )


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
