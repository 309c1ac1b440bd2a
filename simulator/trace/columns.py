"""A run's messages and truth in memory: one array per column, and the codes that the columns hold."""

import enum
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class TruthEvent(enum.IntEnum):
    """What really happened to a node; `truth.parquet` has the names in lower case. The hub's node is -1.

    OUTAGE and HOLD cut both directions, OUTAGE_UP, HOLD_DOWN and so on one. An outage drops packets, a hold keeps them.
    An outage of a site has one row for each of its nodes.
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
