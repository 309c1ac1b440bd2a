"""The status changes that follow from what a hub received: the hub's rules again, written over whole arrays.

It shares no code with `heartbench.hub.liveness.registry`, so that each can be validated against the other. A receipt
sets the deadline that the array form of the hub's policy computes (`policies`); a move sets it as recorded, and is made
only of online nodes; a forgotten node starts over. With `d` the deadline after a node's row and `b` the time of its
next row (or the end), a deadline is missed if d < b and the next row is no move. A node's rows between two missed
deadlines, a Goodbye, or its end are a *stretch*. A stretch begins online if the node was not stale before it; else it
comes online with its first receipt that ends the hold-down, if one does.

    silence   online → stale at d       the deadline at the end of a stretch that is or came online
    heard     → online at b             the receipt that ends the hold-down, or the first after a Goodbye
    goodbye   → offline at b

A flap is a change between online and stale. The entry and exit of flapping are computed too (`flap_replay`). The record
of a hub that was restarted is replayed together with those before it (`joined`): what it restored of an online node is
a move, and a stale node begins its hold-down anew. Not computed: changes of connections alone (connected,
stream_ended, replaced), and what a detector knew from before the first record. The hub's record does not contain the
heartbeat intervals and labels that nodes announce, nor which Hellos began no stream: intervals are passed in, all nodes
are judged as if without labels, and every Hello begins a stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from heartbench.analysis.flap_replay import watch_of
from heartbench.analysis.policies import Arrivals, allowed_silence
from heartbench.hub import FlapRule, HoldDown, HubSettings, PolicySpec, Reason, Status
from heartbench.mesh.kinds import KINDS
from heartbench.simulator.observer_frames import Observed

REASONS = (Reason.REGISTERED, Reason.HEARD, Reason.SILENCE, Reason.GOODBYE, Reason.FLAPS_ENTRY, Reason.FLAPS_EXIT)
"""The reasons of the changes that are computed."""

FORGOTTEN = "forgotten"
"""Marks, among the changes of a node, that nothing before it counts any more; the hub reports no change then."""

RESTORED = "restored"
"""Marks, among the rows of a node, that a hub was restarted while it was stale."""

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
    changes = status_changes(rows_of(observed, policy, interval_s), until_s, policy.hold_down)
    said = [
        each
        for node_id, own in changes.groupby("node_id", sort=True, observed=True)
        for each in with_flapping(str(node_id), own, policy.flap_rule, until_s)
    ]
    return pd.DataFrame(said, columns=list(StatusChange._fields))


def joined(runs: Sequence[Observed]) -> Observed:
    """Return the records of one hub over its restarts, each ended before the next began, on the first one's clock."""
    first = runs[0]
    parts = [_on_clock_of(first, run) for run in runs]
    columns = ("receipts", "forgotten", "deadlines", "changes", "restored")
    return Observed(
        first.header,
        **{name: pd.concat([getattr(part, name) for part in parts], ignore_index=True) for name in columns},
        until_s=parts[-1].until_s,
    )


def _on_clock_of(first: Observed, run: Observed) -> Observed:
    shift_s = (run.header.unix_s - run.header.monotonic_s) - (first.header.unix_s - first.header.monotonic_s)
    online = run.restored[run.restored.status == Status.ONLINE]
    moves = [part for part in (run.deadlines, online[["at_s", "node_id", "deadline_s"]]) if len(part)]
    run = replace(run, deadlines=pd.concat(moves) if moves else run.deadlines)

    def shifted(frame: pd.DataFrame) -> pd.DataFrame:
        times = frame.columns.intersection(["at_s", "deadline_s"])
        return frame.assign(**{name: frame[name] + shift_s for name in times})

    return replace(
        run,
        receipts=shifted(run.receipts),
        forgotten=shifted(run.forgotten),
        deadlines=shifted(run.deadlines),
        changes=shifted(run.changes),
        restored=shifted(run.restored),
        until_s=run.until_s + shift_s,
    )


def rows_of(observed: Observed, policy: PolicySpec, interval_s: Mapping[str, float]) -> pd.DataFrame:
    """Return what counts, by node and time: node_id, at_s, deadline_s, kind (of receipt, `move`, FORGOTTEN, RESTORED).

    A message that shows the hub that it was paused moves all deadlines first, at the same time: so moves come first.
    """
    moves = observed.deadlines[["node_id", "at_s", "deadline_s"]].assign(kind="move")
    receipts = observed.receipts[["node_id", "at_s", "kind", "seq"]].astype({"kind": str}).assign(deadline_s=np.nan)
    forgotten = observed.forgotten[["node_id", "at_s"]].assign(kind=FORGOTTEN, deadline_s=np.inf)
    stale = observed.restored
    if len(stale):
        stale = stale.loc[stale.status == Status.STALE, ["node_id", "at_s"]].assign(kind=RESTORED, deadline_s=-np.inf)
    parts = [part.astype({"node_id": str}) for part in (moves, stale, receipts, forgotten) if len(part)]
    rows = pd.concat(parts or [receipts], ignore_index=True)
    rows = rows.sort_values(["node_id", "at_s"], kind="stable", ignore_index=True)
    turns = rows.kind.where(rows.kind.isin(["hello", "goodbye", FORGOTTEN]))
    before = turns.groupby(rows.node_id, observed=True).ffill().groupby(rows.node_id, observed=True).shift()
    listened_to = (before != "goodbye") | rows.kind.isin(["hello", FORGOTTEN])  # a node that left is not
    return with_deadlines(rows[listened_to].reset_index(drop=True), policy, interval_s)


def with_deadlines(rows: pd.DataFrame, policy: PolicySpec, interval_s: Mapping[str, float]) -> pd.DataFrame:
    """Return the rows with the deadline that each receipt sets."""
    received = ~rows.kind.isin(["move", FORGOTTEN, RESTORED])
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


def status_changes(rows: pd.DataFrame, until_s: float, hold_down: HoldDown) -> pd.DataFrame:
    """Return the changes of status, by node and time: node_id, at_s, reason (FORGOTTEN among them), flap."""
    gone, goodbye = rows.kind == FORGOTTEN, rows.kind == "goodbye"
    last = rows.node_id != rows.node_id.shift(-1)
    first = (rows.node_id != rows.node_id.shift(1)) | gone.shift(1, fill_value=False)
    until = rows.at_s.shift(-1).where(~last, until_s)
    missed = ~goodbye & ~gone & (last | (rows.kind.shift(-1) != "move")) & (rows.deadline_s < until)
    was_stale = missed.shift(1, fill_value=False) & ~first
    was_offline = goodbye.shift(1, fill_value=False) & ~first
    stretch = (first | was_stale | was_offline | goodbye | gone).cumsum()
    online = ~was_stale.groupby(stretch).transform("first")
    comes_online = ~online & lifting(rows, stretch, hold_down)
    marked = missed & (online | comes_online.groupby(stretch).transform("any"))
    parts = [
        change(rows, first & ~gone, Reason.REGISTERED, flap=False),
        change(rows, comes_online, Reason.HEARD, flap=True),
        change(rows, ~goodbye & ~gone & was_offline, Reason.HEARD, flap=False),
        change(rows, goodbye & ~was_offline, Reason.GOODBYE, flap=False),
        change(rows, gone, FORGOTTEN, flap=False),
        change(rows.assign(at_s=rows.deadline_s), marked, Reason.SILENCE, flap=True),
    ]
    return pd.concat(parts).sort_index(kind="stable")


def lifting(rows: pd.DataFrame, stretch: "pd.Series[Any]", hold_down: HoldDown) -> "pd.Series[bool]":
    """Return which receipts are the first of their stretch that end a hold-down which began with it."""
    receipt = ~rows.kind.isin(["move", "goodbye", FORGOTTEN, RESTORED])
    heard = receipt.groupby(stretch).cumsum()
    since_s = rows.at_s.where(receipt).groupby(stretch).transform("min")
    enough = receipt & (heard >= hold_down.heartbeats) & (rows.at_s - since_s >= hold_down.seconds)
    return enough & (enough.groupby(stretch).cumsum() == 1)


def change(rows: pd.DataFrame, chosen: "pd.Series[bool]", reason: str, *, flap: bool) -> pd.DataFrame:
    """Return the chosen rows as changes for one reason."""
    return rows.loc[np.asarray(chosen, bool), ["node_id", "at_s"]].assign(reason=reason, flap=flap)


def with_flapping(node_id: str, changes: pd.DataFrame, rule: FlapRule, until_s: float) -> Iterator[StatusChange]:
    """Yield one node's changes, and between them the beginnings and ends of flapping."""
    status, flaps = Status.ONLINE, watch_of(rule)
    for at_s, reason, flap in zip(changes.at_s, changes.reason, changes.flap, strict=True):
        if flaps.ends_s <= at_s:
            yield StatusChange(node_id, flaps.ends_s, status, False, Reason.FLAPS_EXIT)
            flaps.ends_s = np.inf
        if reason == FORGOTTEN:
            flaps = watch_of(rule)
            continue
        status, was_marked = STATUS[reason], flaps.ends_s < np.inf
        yield StatusChange(node_id, at_s, status, was_marked, reason)
        if flap:
            flaps.flap(at_s)
            if flaps.ends_s < np.inf and not was_marked:
                yield StatusChange(node_id, at_s, status, True, Reason.FLAPS_ENTRY)
    if flaps.ends_s < until_s:
        yield StatusChange(node_id, flaps.ends_s, status, False, Reason.FLAPS_EXIT)
