"""The record of a run in four Parquet tables: messages (the trace), nodes, truth, and the hub's status changes.

The rule of a trace: rows are sorted by (node, sent_s), and all rows of a node are in one part, so that a reader that
goes part by part sees each node whole. Times are seconds since the start of the run. Nothing is computed here. Readers
check what they read, because a trace may have been recorded elsewhere.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.parquet_columns import MAY_BE_EMPTY, check_columns, read_pieces, read_table


class TruthEvent(enum.IntEnum):
    """What really happened to a node; `truth.parquet` has the names in lower case. The hub's node is -1.

    OUTAGE and HOLD cut both directions, OUTAGE_UP, HOLD_DOWN and so on one. An outage drops packets, a hold keeps them.
    An outage of a site has one row for each of its nodes.

    PARTITION_..., FLAP_..., RESET, HALF_OPEN and REBIND are faults of the scenario; a flap has one row from its first
    cut to its end. REBIND is also a change of address that the profile draws. NAT_EXPIRED is a
    NAT that forgets an idle TCP connection, which the next packet on it finds out.

    HANDSHAKE_... and KEY_EXPIRED happen at the node's end of a WireGuard tunnel: a handshake that did not succeed with
    its first message, or for which packets waited; and the first packet that waits because its key has expired.
    """

    OUTAGE = 0
    CRASH = 1
    EXIT = 2
    RESTART = 3
    CLOSE = 4
    PARTITION = 5
    HUB_PAUSE = 6
    HUB_KILL = 7
    HUB_STOP = 8
    HUB_SLOW_STORE = 9
    OUTAGE_UP = 10
    OUTAGE_DOWN = 11
    HOLD = 12
    HOLD_UP = 13
    HOLD_DOWN = 14
    PARTITION_UP = 15
    PARTITION_DOWN = 16
    PARTITION_HOLD = 17
    PARTITION_HOLD_UP = 18
    PARTITION_HOLD_DOWN = 19
    FLAP = 20
    FLAP_UP = 21
    FLAP_DOWN = 22
    RESET = 23
    HALF_OPEN = 24
    REBIND = 25
    HANDSHAKE_BEGUN = 26
    HANDSHAKE_SUCCEEDED = 27
    HANDSHAKE_GIVEN_UP = 28
    KEY_EXPIRED = 29
    NAT_EXPIRED = 30


OUTAGES = tuple(event for event in TruthEvent if event.name.startswith(("OUTAGE", "HOLD")))
"""The events in which a link passes nothing, in one direction or in both."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Columns of a trace, one entry per message; `arrived_s` is NaN for a message that was never received."""

    node: NDArray[np.int32]
    boot: NDArray[np.int32]
    connection: NDArray[np.int32]
    seq: NDArray[np.int64]
    kind: NDArray[np.int8]
    sent_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.node)

    def select(self, rows: Any) -> "Messages":
        """Return the rows that a mask, slice or index array picks."""
        return Messages(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Truth:
    """Columns of the truth: `event` holds values of `TruthEvent`; `end_s` is NaN if the event has no end."""

    node: NDArray[np.int32]
    event: NDArray[np.int8]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.node)

    def frame(self) -> pd.DataFrame:
        """Return a frame like that of `read_truth`: events by name."""
        names = np.array([event.name.lower() for event in TruthEvent])
        columns = {"node": self.node, "event": names[self.event], "start_s": self.start_s, "end_s": self.end_s}
        return pd.DataFrame(columns)


NODES_FILE = "nodes.parquet"
PIECE = 1 << 20
"""Rows that are read at once from a longer part."""


def _table(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(columns)


MESSAGES = _table(
    node=pa.int32(),
    boot=pa.int32(),
    connection=pa.int32(),
    seq=pa.int64(),
    kind=pa.int8(),
    sent_s=pa.float64(),
    arrived_s=pa.float64(),
)
TRUTH = _table(node=pa.int32(), event=pa.dictionary(pa.int8(), pa.string()), start_s=pa.float64(), end_s=pa.float64())
TRANSITIONS = _table(
    node=pa.int32(),
    at_s=pa.float64(),
    status=pa.string(),
    connected=pa.bool_(),
    flapping=pa.bool_(),
    reason=pa.string(),
)
NODES = _table(node=pa.int32(), group=pa.string(), name=pa.string())
LATEST_S = 1e11
"""Times lie within ± this, s: Unix time in s does so for three thousand years, in ms it does not."""
NODE = pa.schema([MESSAGES.field("node")])
_TIMES = (-LATEST_S, LATEST_S, f"in s, within {LATEST_S:g} of 0")
POSSIBLE = {
    "node": (0, np.inf, "0 or more"),
    "kind": (min(Kind), max(Kind), f"{min(Kind):d} to {max(Kind):d}"),
    "sent_s": _TIMES,
    "arrived_s": _TIMES,
}
"""Smallest and largest value of a trace's column, and both in words."""


def trace_parts(path: Path) -> list[Path]:
    """Return the Parquet files of a trace: a run directory's, those of a folder, or the one file itself.

    Raises:
        SimulatorError: there is no such file or folder, or it is not a trace.
    """
    if (path / "trace").is_dir():
        path = path / "trace"
    if path.is_dir():
        parts = [part for part in sorted(path.glob("*.parquet")) if part.name != NODES_FILE]
    elif path.exists():
        parts = [path]
    else:
        raise SimulatorError(
            f"{path}: no such file or folder; expected a run directory, a folder of Parquet files or one file"
        )
    if not parts:
        raise SimulatorError(f"{path}: no trace in it; expected a run directory, a folder of Parquet files or one file")
    for part in parts:
        check_columns(part, MESSAGES, "trace")
    return parts


def read_nodes(path: Path) -> pd.DataFrame | None:
    """Return the nodes of a trace by ascending number: node (int32), group, name; None if they are not listed.

    Args:
        path: a run directory, or a trace: a folder or a file. `nodes.parquet` is looked for in the run directory, or in
            the trace's folder and then in the folder above.

    Raises:
        SimulatorError: it is damaged, or lists a node twice.
    """
    found = next((file for file in _nodes_files(path) if file.is_file()), None)
    if found is None:
        return None
    nodes = read_table(found, NODES, "list of nodes").to_pandas()
    for column in ("node", "name"):
        twice = nodes[column][nodes[column].duplicated()]
        if len(twice):
            raise SimulatorError(f"{found}: {column} {twice.tolist()[0]!r} is listed twice; must be listed once")
    if (nodes.node < 0).any():
        raise SimulatorError(f"{found}: node {nodes.node.min()}: must be at least 0")
    return nodes.sort_values("node", ignore_index=True)


def _nodes_files(path: Path) -> list[Path]:
    """Return where `nodes.parquet` may be, best first; a trace file of that name is not a list of nodes."""
    if (path / "trace").is_dir():
        return [path / NODES_FILE]
    folder = path if path.is_dir() else path.parent
    places = [folder / NODES_FILE, folder.resolve().parent / NODES_FILE]
    return [place for place in places if place != path]


def read_blocks(path: Path) -> Iterator[Messages]:
    """Yield a trace block by block, each node whole and in order.

    A part of more than PIECE rows is several blocks. A foreign trace that breaks that rule (a node in two parts, rows
    out of order) is read as one sorted block.
    """
    parts = trace_parts(path)
    if _parts_share_a_node(parts):
        yield _sorted(_concatenate([_read_messages(part) for part in parts]))
        return
    for part in parts:
        if pq.read_metadata(part).num_rows <= PIECE or not _nodes_ascend(part):
            yield _sorted(_read_messages(part))
        else:
            yield from _whole_nodes(_checked(part, piece) for piece in read_pieces(part, MESSAGES, "trace", PIECE))


def _nodes_ascend(part: Path) -> bool:
    last = -1
    for piece in read_pieces(part, NODE, "trace", PIECE):
        nodes = piece["node"].to_numpy()
        if np.any(np.diff(nodes, prepend=last) < 0):
            return False
        last = nodes[-1]
    return True


def _whole_nodes(pieces: Iterator[Messages]) -> Iterator[Messages]:
    """Yield pieces of a part whose nodes ascend, each ending with the last message of a node."""
    held = next(pieces)
    for piece in pieces:
        joined = _concatenate([held, piece])
        last = int(np.searchsorted(joined.node, joined.node[-1]))
        if last:
            yield _sorted(joined.select(slice(last)))
        held = joined.select(slice(last, None))
    yield _sorted(held)


def read_trace(path: Path) -> pd.DataFrame:
    """Return a whole trace as a frame with the columns of `Messages`, sorted by (node, sent_s)."""
    messages = _concatenate(list(read_blocks(path)))
    return pd.DataFrame({field.name: getattr(messages, field.name) for field in fields(messages)})


def read_truth(path: Path) -> pd.DataFrame:
    """Return `truth.parquet`: node, event (categorical), start_s, end_s (NaN if it has no end).

    Raises:
        SimulatorError: it does not exist, or is damaged.
    """
    return read_table(path, TRUTH, "truth").to_pandas()


def read_transitions(path: Path) -> pd.DataFrame:
    """Return `transitions.parquet`: node, at_s, status, connected, flapping, reason.

    Raises:
        SimulatorError: it does not exist, or is damaged.
    """
    return read_table(path, TRANSITIONS, "list of transitions").to_pandas()


def _read_messages(part: Path) -> Messages:
    return _checked(part, read_table(part, MESSAGES, "trace"))


def _checked(part: Path, table: pa.Table) -> Messages:
    messages = Messages(*(column.to_numpy() for column in table.columns))
    for name, (least, most, allowed) in POSSIBLE.items():
        column = getattr(messages, name)
        odd = ~((column >= least) & (column <= most))
        if name in MAY_BE_EMPTY:
            odd &= ~np.isnan(column)
        if np.any(odd):
            raise SimulatorError(f"{part}: column {name}: {column[np.argmax(odd)]:g}: must be {allowed}")
    return messages


def _parts_share_a_node(parts: Sequence[Path]) -> bool:
    if len(parts) == 1:
        return False
    nodes = [np.unique(read_table(part, NODE, "trace")["node"].to_numpy()) for part in parts]
    return len(np.unique(np.concatenate(nodes))) < sum(map(len, nodes))


def _concatenate(blocks: Sequence[Messages]) -> Messages:
    return Messages(*(np.concatenate([getattr(b, field.name) for b in blocks]) for field in fields(Messages)))


def _sorted(messages: Messages) -> Messages:
    step = np.diff(messages.node)
    if np.all((step > 0) | ((step == 0) & (np.diff(messages.sent_s) >= 0))):
        return messages
    return messages.select(np.lexsort((messages.sent_s, messages.node)))
