"""What a reader of a format yields: rows of messages as the log lists them, and what the log states about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind

Floats = NDArray[np.float64]
UNKNOWN = -1
"""A number or boot that the log does not give."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Messages in the order of the log; n entries each.

    Attributes:
        names: names of the nodes.
        node: index into `names`.
        arrived_s: when the hub received it: Unix time, or s from an unknown moment.
        sent_s: when the node sent it by its own clock, s; NaN: not known.
        seq: number of the message, or UNKNOWN.
        boot: a number that is another one after a restart of the node, or UNKNOWN.
        kind: as `Kind`.
        file: number of their file, if they are in the order in which its clock ran; None: they are in no order.
    """

    names: Sequence[str]
    node: NDArray[np.int32]
    arrived_s: Floats
    sent_s: Floats
    seq: NDArray[np.int64]
    boot: NDArray[np.int64]
    kind: NDArray[np.int8]
    file: int | None = None

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def of(
        cls,
        names: "Sequence[str] | pa.Array[pa.StringScalar] | NDArray[np.object_]",
        arrived_s: Floats,
        *,
        sent_s: Floats | None = None,
        seq: NDArray[np.int64] | None = None,
        boot: NDArray[np.int64] | None = None,
        kind: NDArray[np.int8] | None = None,
    ) -> "Rows":
        """Return rows from a name for each; what is left out is not known, and a message is a heartbeat."""
        texts = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
        coded = texts.dictionary_encode()
        count = len(texts)
        return cls(
            [str(name) for name in coded.dictionary.to_pylist()],
            coded.indices.to_numpy(zero_copy_only=False).astype(np.int32),
            np.asarray(arrived_s, np.float64),
            np.full(count, np.nan) if sent_s is None else sent_s,
            np.full(count, UNKNOWN, np.int64) if seq is None else seq,
            np.full(count, UNKNOWN, np.int64) if boot is None else boot,
            np.full(count, Kind.HEARTBEAT, np.int8) if kind is None else kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a log states about itself; times as in `Rows.arrived_s`.

    Attributes:
        hub_down: when the hub was down.
        interval_s: the heartbeat interval, s.
        step_s: each time is known to within this, s.
        statuses_s: the log has changes of status by a detector with this timeout, s.
        ended_s: the log goes on until then, if not only until its last message.
        note: a sentence for the user.
    """

    hub_down: tuple[tuple[float, float], ...] = ()
    interval_s: float | None = None
    step_s: float | None = None
    statuses_s: float | None = None
    ended_s: float | None = None
    note: str | None = None


Read: TypeAlias = Rows | Stated
"""What readers yield."""
