"""What a hub must have said, computed from what it heard: the hub's rules again, written over whole arrays.

It shares no line with `heartbench.hub.liveness.registry`, so that the one can be held against the other. A receipt at
`a` sets
the deadline a + stale_after; a move sets it as it says, and was made only of nodes that were online; who is forgotten
begins anew. With `d` the deadline after a node's row and `b` the time of its next row (or the end):

    silence   online → stale at d       if d < b, and the next row is no move
    heard     → online at b             if the node was stale or offline, and b is no Goodbye
    goodbye   → offline at b

A flap is a change between online and stale. Beside these stand the entry and exit of flapping. Not computed here: what
happens to connections alone (connected, stream_ended, replaced), and what a hub knew from before it started.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.simulator.observer_frames import Observed

REASONS = (Reason.REGISTERED, Reason.HEARD, Reason.SILENCE, Reason.GOODBYE, Reason.FLAPS_ENTRY, Reason.FLAPS_EXIT)
"""The reasons of the changes that are computed."""

FORGOTTEN = "forgotten"
"""Stands among the changes of a node where nothing of before counts any more; the hub says nothing then."""

STATUS = {
    Reason.REGISTERED: Status.ONLINE,
    Reason.HEARD: Status.ONLINE,
    Reason.SILENCE: Status.STALE,
    Reason.GOODBYE: Status.OFFLINE,
}


class StatusChange(NamedTuple):
    """One change, as the hub's observer writes it but for `connected`."""

    node_id: str
    at_s: float
    status: Status
    flapping: bool
    reason: Reason


def replay(observed: Observed, until_s: float) -> pd.DataFrame:
    """Return the changes that follow from receipts and moves of deadlines (node_id, at_s, status, flapping, reason).

    Args:
        observed: what the hub heard; its header holds the settings.
        until_s: when the hub last looked for passed deadlines, s on its clock.

    Returns:
        Rows sorted by node and time, in the order in which they were said of each node.
    """
    settings = HubSettings.of(**observed.header.settings)
    changes = status_changes(rows_of(observed, settings.stale_after_s), until_s)
    said = [
        each
        for node_id, own in changes.groupby("node_id", sort=True)
        for each in with_flapping(str(node_id), own, settings, until_s)
    ]
    return pd.DataFrame(said, columns=list(StatusChange._fields))


def rows_of(observed: Observed, stale_after_s: float) -> pd.DataFrame:
    """What counts of each node in the order of time: node_id, at_s, kind (of a receipt, `move`, FORGOTTEN), deadline_s.

    A message from which the hub learns that it could not hear moves all deadlines first, at the same time: so do moves
    come first.
    """
    moves = observed.deadlines[["node_id", "at_s", "deadline_s"]].assign(kind="move")
    receipts = observed.receipts[["node_id", "at_s", "kind"]].astype({"kind": str})
    receipts["deadline_s"] = receipts.at_s + stale_after_s
    forgotten = observed.forgotten[["node_id", "at_s"]].assign(kind=FORGOTTEN, deadline_s=np.inf)
    parts = [part.astype({"node_id": str}) for part in (moves, receipts, forgotten) if len(part)]
    rows = pd.concat(parts or [receipts], ignore_index=True)
    rows = rows.sort_values(["node_id", "at_s"], kind="stable", ignore_index=True)
    turns = rows.kind.where(rows.kind.isin(["hello", "goodbye", FORGOTTEN]))
    before = turns.groupby(rows.node_id).ffill().groupby(rows.node_id).shift()
    listened_to = (before != "goodbye") | rows.kind.isin(["hello", FORGOTTEN])  # who left is not
    return rows[listened_to].reset_index(drop=True)


def status_changes(rows: pd.DataFrame, until_s: float) -> pd.DataFrame:
    """The changes of status, by node and time: node_id, at_s, reason (FORGOTTEN among them), flap."""
    gone, goodbye = rows.kind == FORGOTTEN, rows.kind == "goodbye"
    last = rows.node_id != rows.node_id.shift(-1)
    first = (rows.node_id != rows.node_id.shift(1)) | gone.shift(1, fill_value=False)
    online = ~goodbye & ~gone
    until = rows.at_s.shift(-1).where(~last, until_s)
    silent = online & (last | (rows.kind.shift(-1) != "move")) & (rows.deadline_s < until)
    was_stale = silent.shift(1, fill_value=False) & ~first
    was_offline = goodbye.shift(1, fill_value=False) & ~first
    parts = [
        change(rows.assign(at_s=rows.deadline_s), silent, Reason.SILENCE, flap=True),
        change(rows, first & ~gone, Reason.REGISTERED, flap=False),
        change(rows, online & was_stale, Reason.HEARD, flap=True),
        change(rows, online & was_offline, Reason.HEARD, flap=False),
        change(rows, goodbye & ~was_offline, Reason.GOODBYE, flap=False),
        change(rows, gone, FORGOTTEN, flap=False),
    ]
    return pd.concat(parts).sort_values(["node_id", "at_s"], kind="stable")


def change(rows: pd.DataFrame, chosen: "pd.Series[bool]", reason: str, *, flap: bool) -> pd.DataFrame:
    """The chosen rows as changes for one reason."""
    return rows.loc[np.asarray(chosen, bool), ["node_id", "at_s"]].assign(reason=reason, flap=flap)


def with_flapping(node_id: str, changes: pd.DataFrame, settings: HubSettings, until_s: float) -> Iterator[StatusChange]:
    """One node's changes, and between them when it began and ended to be flapping."""
    window_s, enter, leave = settings.flap_window_s, settings.flap_threshold, settings.flap_exit
    status, ends_s = Status.ONLINE, np.inf  # ends_s: when the flapping ends if no flap comes
    flaps: list[float] = []
    for at_s, reason, flap in zip(changes.at_s, changes.reason, changes.flap, strict=True):
        if ends_s <= at_s:
            yield StatusChange(node_id, ends_s, status, False, Reason.FLAPS_EXIT)
            ends_s = np.inf
        if reason == FORGOTTEN:
            flaps, ends_s = [], np.inf
            continue
        status = STATUS[reason]
        yield StatusChange(node_id, at_s, status, ends_s < np.inf, reason)
        if flap:
            flaps.append(at_s)
            entered = len(flaps) >= enter and flaps[-enter] + window_s > at_s
            if ends_s == np.inf and entered:
                yield StatusChange(node_id, at_s, status, True, Reason.FLAPS_ENTRY)
            if ends_s < np.inf or entered:
                ends_s = flaps[-leave] + window_s
    if ends_s < until_s:
        yield StatusChange(node_id, ends_s, status, False, Reason.FLAPS_EXIT)
