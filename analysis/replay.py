"""The status changes that follow from what a hub received: the hub's rules again, written over whole arrays.

It shares no code with `heartbench.hub.liveness.registry`, so that each can be validated against the other. A receipt
sets the deadline that the array form of the hub's policy computes (`policies`); a move sets it as recorded, and is made
only of online nodes; a forgotten node starts over. With `d` the deadline after a node's row and `b` the time of its
next row (or the end):

    silence   online → stale at d       if d < b, and the next row is no move
    heard     → online at b             if the node was stale or offline, and b is no Goodbye
    goodbye   → offline at b

A flap is a change between online and stale. The entry and exit of flapping are computed too. Not computed: changes of
connections alone (connected, stream_ended, replaced), and what a hub knew from before it started, its detectors
included. The hub's record does not contain the heartbeat intervals and labels that nodes announce, nor which Hellos
began no stream: intervals are passed in, all nodes are judged as if without labels, and every Hello begins a stream.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from heartbench.analysis.policies import Arrivals, allowed_silence
from heartbench.hub import FlapRule, HubSettings, PolicySpec, Reason, Status
from heartbench.mesh.kinds import KINDS
from heartbench.simulator.observer_frames import Observed

REASONS = (Reason.REGISTERED, Reason.HEARD, Reason.SILENCE, Reason.GOODBYE, Reason.FLAPS_ENTRY, Reason.FLAPS_EXIT)
"""The reasons of the changes that are computed."""

FORGOTTEN = "forgotten"
"""Marks, among the changes of a node, that nothing before it counts any more; the hub reports no change then."""

STATUS = {
    Reason.REGISTERED: Status.ONLINE,
    Reason.HEARD: Status.ONLINE,
    Reason.SILENCE: Status.STALE,
    Reason.GOODBYE: Status.OFFLINE,
}

UNKNOWN: Mapping[str, float] = {}
"""Heartbeat intervals of nodes that announce none, or of which it is not known."""


class StatusChange(NamedTuple):
    """One change, as the hub's observer writes it, without `connected`."""

    node_id: str
    at_s: float
    status: Status
    flapping: bool
    reason: Reason


def replay(observed: Observed, until_s: float, interval_s: Mapping[str, float] = UNKNOWN) -> pd.DataFrame:
    """Return the changes that follow from receipts and moves of deadlines (node_id, at_s, status, flapping, reason).

    Rows are sorted by node, in the order in which the hub reports them. The hub last checked deadlines at `until_s`, s
    on its clock. `interval_s` has the heartbeat interval that each node announces, by its name; a fixed timeout does
    not need it.
    """
    policy = HubSettings.of(**observed.header.settings).policy
    changes = status_changes(rows_of(observed, policy, interval_s), until_s)
    said = [
        each
        for node_id, own in changes.groupby("node_id", sort=True, observed=True)
        for each in with_flapping(str(node_id), own, policy.flap_rule, until_s)
    ]
    return pd.DataFrame(said, columns=list(StatusChange._fields))


def rows_of(observed: Observed, policy: PolicySpec, interval_s: Mapping[str, float]) -> pd.DataFrame:
    """Return what counts, by node and time: node_id, at_s, kind (of a receipt, `move`, FORGOTTEN), deadline_s.

    A message that shows the hub that it was paused moves all deadlines first, at the same time: so moves come first.
    """
    moves = observed.deadlines[["node_id", "at_s", "deadline_s"]].assign(kind="move")
    receipts = observed.receipts[["node_id", "at_s", "kind", "seq"]].astype({"kind": str}).assign(deadline_s=np.nan)
    forgotten = observed.forgotten[["node_id", "at_s"]].assign(kind=FORGOTTEN, deadline_s=np.inf)
    parts = [part.astype({"node_id": str}) for part in (moves, receipts, forgotten) if len(part)]
    rows = pd.concat(parts or [receipts], ignore_index=True)
    rows = rows.sort_values(["node_id", "at_s"], kind="stable", ignore_index=True)
    turns = rows.kind.where(rows.kind.isin(["hello", "goodbye", FORGOTTEN]))
    before = turns.groupby(rows.node_id, observed=True).ffill().groupby(rows.node_id, observed=True).shift()
    listened_to = (before != "goodbye") | rows.kind.isin(["hello", FORGOTTEN])  # a node that left is not
    return with_deadlines(rows[listened_to].reset_index(drop=True), policy, interval_s)


def with_deadlines(rows: pd.DataFrame, policy: PolicySpec, interval_s: Mapping[str, float]) -> pd.DataFrame:
    """Return the rows with the deadline that each receipt sets."""
    received = ~rows.kind.isin(["move", FORGOTTEN])
    life = ((rows.node_id != rows.node_id.shift()) | (rows.kind.shift() == FORGOTTEN)).cumsum()
    seen, lives = rows[received], life[received].to_numpy()
    first = np.flatnonzero(np.append(True, lives[1:] != lives[:-1])[: len(lives)])
    arrivals = Arrivals(
        first=np.append(first, len(lives)),
        at_s=seen.at_s.to_numpy(float),
        seq=seen.seq.to_numpy(np.int32),
        kind=np.array([KINDS[each] for each in seen.kind], np.int8),
        interval_s=np.array([interval_s.get(node_id, 0.0) for node_id in seen.node_id.iloc[first]]),
    )
    deadline_s = rows.deadline_s.copy()
    deadline_s[received] = arrivals.at_s + allowed_silence(policy, lambda: arrivals)
    return rows.assign(deadline_s=deadline_s)


def status_changes(rows: pd.DataFrame, until_s: float) -> pd.DataFrame:
    """Return the changes of status, by node and time: node_id, at_s, reason (FORGOTTEN among them), flap."""
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
    """Return the chosen rows as changes for one reason."""
    return rows.loc[np.asarray(chosen, bool), ["node_id", "at_s"]].assign(reason=reason, flap=flap)


def with_flapping(node_id: str, changes: pd.DataFrame, rule: FlapRule, until_s: float) -> Iterator[StatusChange]:
    """Yield one node's changes, and between them the beginnings and ends of flapping."""
    window_s, enter, leave = rule.window_s, rule.threshold, rule.exit_below
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
