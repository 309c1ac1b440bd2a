"""What the hub received and what it reported, recorded so that the one can be computed again from the other.

JSON Lines: each line is an array of the name of a record below and its values, times in s on the hub's monotonic clock.
The first line is `["header", {"schema", "monotonic_s", "unix_s", "epoch", "settings"}]`. A last line without its line
end, as a killed hub leaves it, is ignored.

Lines are collected in memory and written each second by the hub's ticker: a write of some 100 KB into the page cache
takes under a millisecond, a write for each heartbeat would cost more than the heartbeat.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import structlog

from heartbench.hub.errors import HubError
from heartbench.hub.liveness.rules import Change, MoveReason, Status

SCHEMA = "heartbench.observer/1"
MAX_LINES_HELD = 20_000

# One json call for many lines parses twice as fast as a call for each. One call for a whole file is slower again,
# because Python's garbage collector then walks millions of rows.
LINES_PER_BATCH = 20_000

log = structlog.get_logger()

encode = json.JSONEncoder(separators=(",", ":")).encode


class Header(NamedTuple):
    """One moment on both clocks, the epoch of the hub's store, and the hub's settings as JSON values."""

    monotonic_s: float
    unix_s: float
    epoch: int
    settings: dict[str, Any]


class Receipt(NamedTuple):
    """A message that was received and counted; `kind` is one of `heartbench.mesh.kinds.WORDS`."""

    at_s: float
    node_id: str
    boot_id: int
    connection: int
    kind: str
    seq: int
    sent_unix_s: float


class Throttled(NamedTuple):
    """The Hello that follows was a sign of life and began no stream."""

    at_s: float
    node_id: str
    boot_id: int
    connection: int


class Closed(NamedTuple):
    """A stream ended without Goodbye."""

    at_s: float
    node_id: str
    boot_id: int
    connection: int


class Removed(NamedTuple):
    """A node was removed for good."""

    at_s: float
    node_id: str


class Restored(NamedTuple):
    """A node was taken over from the hub's last run; `deadline_s` is None unless it is online."""

    at_s: float
    node_id: str
    boot_id: int
    connection: int
    status: Status
    flapping: bool
    flaps_s: list[float]
    heard_s: float
    deadline_s: float | None


class DeadlineMoved(NamedTuple):
    """A deadline moved without a sign of life."""

    at_s: float
    node_id: str
    deadline_s: float
    reason: MoveReason


class End(NamedTuple):
    """The hub looked for passed deadlines until `at_s`, and the file is complete."""

    at_s: float


Record: TypeAlias = Receipt | Throttled | Closed | Removed | Restored | DeadlineMoved | Change | End
Row: TypeAlias = list[Any]
"""A line as it is parsed: the name of a record, and its values."""

RECORDS: dict[str, type[Record]] = {
    "receipt": Receipt,
    "throttled": Throttled,
    "closed": Closed,
    "forgotten": Removed,
    "restored": Restored,
    "deadline": DeadlineMoved,
    "change": Change,
    "end": End,
}
NAMES = {record: name for name, record in RECORDS.items()}
WIDTHS = {name: 1 + len(record._fields) for name, record in RECORDS.items()}


def check_observer_file(path: Path | None) -> None:
    """Raise HubError if the file of HUB_OBSERVE_FILE cannot be written; its content is not changed."""
    if path is not None:
        _open(path, "a").close()


def _open(path: Path, mode: str) -> IO[str]:
    try:
        return path.open(mode, encoding="utf-8")
    except OSError as error:
        raise HubError(
            f"HUB_OBSERVE_FILE={str(path)!r} cannot be written: {error.strerror}; use a file in a directory that exists"
        ) from None


class Observer:
    """Writes records to a file, of which `header` is the first line.

    If the file cannot be written, as on a full disk, recording stops for good: a file with a gap could not be checked.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.lost = 0  # records
        self._path = path
        self._file = _open(path, "w")
        self._lines = [encode(["header", {"schema": SCHEMA, **header._asdict()}])]
        self.flush()

    def write(self, record: Record) -> None:
        """Add one line, unless recording has stopped."""
        if self._file.closed:
            self.lost += 1
            return
        self._lines.append(encode((NAMES[type(record)], *record)))
        if len(self._lines) >= MAX_LINES_HELD:
            self.flush()

    def end(self, at_s: float) -> None:
        """Complete the file: the hub has looked for passed deadlines for the last time."""
        self.write(End(at_s))
        self.flush()
        with suppress(OSError):
            self._file.close()

    def flush(self) -> None:
        """Write the lines that are held."""
        if not self._lines:
            return
        try:
            self._file.write("\n".join(self._lines) + "\n")
            self._file.flush()
        except OSError as error:
            self.lost += len(self._lines)
            with suppress(OSError):
                self._file.close()
            reason = error.strerror or str(error)
            log.error("recording has stopped: HUB_OBSERVE_FILE cannot be written", file=str(self._path), reason=reason)
        self._lines.clear()


def read_batches(path: Path) -> tuple[Header, Iterator[list[Row]]]:
    """Return the header of an observer's file, and its rows, thousands at a time: the quick way to read a long file.

    Each row has a known name and as many values as its record has fields; their types are not checked. HubError if the
    file cannot be read or is not an observer's file, now or when a batch is taken.
    """
    batches = _parsed(path)
    first = next(batches, [])
    match first[:1]:
        case [["header", {"schema": str(schema), "settings": dict()}]] if schema == SCHEMA:
            values = first[0][1]
            header = Header._make(values.get(name) for name in Header._fields)
            return header, _checked(path, chain([first[1:]], batches))
    raise HubError(f"{path}: not an observer file; its first line must be a header of {SCHEMA}")


def _checked(path: Path, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
    for rows in batches:
        for row in rows:
            if not isinstance(row[0], str) or WIDTHS.get(row[0]) != len(row):
                raise HubError(f"{path}: {_mistake(row)}")
        yield rows


def _mistake(row: Row) -> str:
    record = RECORDS.get(row[0]) if isinstance(row[0], str) else None
    if record is None:
        return f"{str(row)[:60]} is not a record of {SCHEMA}; expected one of {', '.join(RECORDS)}"
    return f"a {row[0]} line has other values than {', '.join(record._fields)}"


def _parsed(path: Path) -> Iterator[list[Row]]:
    """Yield the file's lines as lists, many at a time."""
    first = 1
    try:
        with path.open(encoding="utf-8") as file:
            while lines := list(islice(file, LINES_PER_BATCH)):
                if not lines[-1].endswith("\n"):
                    lines.pop()
                yield _parse(path, first, lines)
                first += len(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path}: cannot be read as an observer file ({error})") from None


def _parse(path: Path, first: int, lines: list[str]) -> list[Row]:
    with suppress(ValueError):
        rows: list[Row] = json.loads("[" + ",".join(lines) + "]")
        if len(rows) == len(lines) and all(isinstance(row, list) and row for row in rows):
            return rows
    return [_parse_line(path, number, line) for number, line in enumerate(lines, first)]


def _parse_line(path: Path, number: int, line: str) -> Row:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, list) and row:
            return row
    raise HubError(f"{path}: line {number} is not a JSON array: {line.strip()[:60]}")
