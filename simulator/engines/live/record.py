"""What the shards did and the hub wrote down, put together: trace, names, truth and transitions of a live run.

`sent_s` is the model's schedule. `arrived_s` is when the hub received the message, by the hub's own record and clock;
of a hub that keeps none, when the node had written it. Nothing is recorded that came after the end of the run.
"""

from collections.abc import Iterator, Sequence
from math import nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.mesh.kinds import KINDS, Kind
from heartbench.simulator import trace
from heartbench.simulator.engines.live.hub import Heard
from heartbench.simulator.engines.live.shard import Result, Start, group_of_each
from heartbench.simulator.fleet import node_name, squads
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages, NodesWriter, TraceWriter, TruthEvent, TruthWriter
from heartbench.simulator.truth import truth_of, truth_of_hub

PART_ROWS = 1_000_000
KEY = ["node", "boot", "kind", "seq", "connection"]
PIECE = ["written_unix_s", "piece"]


def numbers_by_name(scenario: Scenario) -> dict[str, int]:
    """Return the number of each node by the name under which the hub knows it."""
    return {node_name(group.name, number): number for number, group in enumerate(group_of_each(scenario))}


def rows_of(results: list[Result], origin_s: float) -> pd.DataFrame:
    """Return all rows, sorted by (node, sent_s).

    `due_s` is when the model delivered the message, `begun_s` when it was really given to gRPC, `written_s` when gRPC
    had written it, s since the start.
    """
    frames = [
        pd.DataFrame(
            {
                "node": result.node,
                "boot": result.rows.boot,
                "connection": result.rows.connection,
                "seq": result.rows.seq,
                "kind": result.rows.kind,
                "sent_s": result.rows.sent_s,
                "due_s": result.rows.arrived_s,
                "begun_s": result.begun_s - origin_s,
                "written_s": result.written_s - origin_s,
            }
        )
        for result in results
    ]
    rows = pd.concat(frames, ignore_index=True)
    return rows.iloc[np.lexsort((rows.sent_s, rows.node))].reset_index(drop=True)


def arrivals(
    rows: pd.DataFrame, heard: Heard, names: dict[str, int], boot_base: int, start: Start, end_s: float
) -> NDArray[np.float64]:
    """Return when each row was received, s since the start; NaN where it was not before the end."""
    if heard.receipts is None:
        at_s = rows.written_s.to_numpy()
    else:
        received = _receipts(heard.receipts, names, boot_base)
        key = _keyed(rows, rows.sent_s + start.unix_s)
        at_s = key.merge(received, on=[*KEY, *PIECE], how="left").at_s.to_numpy() - start.origin_s
    return np.where(at_s <= end_s, at_s, np.nan)


def _keyed(rows: pd.DataFrame, sent_unix_s: "pd.Series[float]") -> pd.DataFrame:
    """What names a message: heartbeats and chunks are counted through a boot, a hello has its connection.

    A piece of a file has when the file was written, and how many pieces came before it.
    """
    key = rows[KEY].astype(np.int64)
    is_piece = (key.kind == Kind.CHUNK) & (key.seq == 0)
    key["connection"] = key.connection.where(key.kind == Kind.HELLO, 0)
    key["written_unix_s"] = sent_unix_s.where(is_piece, 0.0)
    key["piece"] = key[is_piece].groupby(["node", "boot", "written_unix_s"]).cumcount()
    return key.fillna({"piece": 0})


def _receipts(receipts: pd.DataFrame, names: dict[str, int], boot_base: int) -> pd.DataFrame:
    node = receipts.node_id.map(names).astype(float)
    ours = receipts[node.notna() & (receipts.boot_id > boot_base)]
    found = pd.DataFrame(
        {
            "node": node[ours.index].astype(np.int64),
            "boot": ours.boot_id - boot_base,
            "kind": ours.kind.map(KINDS).astype(np.int64),
            "seq": ours.seq,
            "connection": ours.connection,
        }
    )
    return _keyed(found, ours.sent_unix_s).assign(at_s=ours.at_s).drop_duplicates([*KEY, *PIECE])


def write_trace(directory: RunDirectory, rows: pd.DataFrame, arrived_s: NDArray[np.float64]) -> None:
    """Write the parts of the trace; there is one, though it be empty."""
    writer = TraceWriter(directory.trace)
    columns = {name: rows[name].to_numpy() for name in ("node", "boot", "connection", "seq", "kind", "sent_s")}
    messages = Messages(**columns, arrived_s=arrived_s)
    for index, part in enumerate(_parts(messages.node)):
        writer.write_part(index, messages.select(part))


def _parts(node: NDArray[np.int32]) -> Iterator[slice]:
    """Cut rows into parts of about PART_ROWS, each node whole."""
    begin = 0
    while True:
        end = begin + PART_ROWS
        end = len(node) if end >= len(node) else int(np.searchsorted(node, node[end]))
        if end <= begin:  # one node fills more than a part
            end = int(np.searchsorted(node, node[begin], side="right")) if len(node) else 0
        yield slice(begin, end)
        begin = end
        if begin >= len(node):
            return


def write_truth(
    directory: RunDirectory,
    scenario: Scenario,
    results: list[Result],
    to_the_hub: list[tuple[TruthEvent, float, float]],
    started_s: Sequence[float],
    end_s: float,
) -> None:
    """Write what really happened until `end_s`; what happened to the hub (what, from, to) is told of node -1.

    A hub that was down is back when it judges again (`started_s`, s since the start), not when its process was started.
    """
    closes = np.concatenate([np.zeros((0, 3)), *(result.closes for result in results)])
    with TruthWriter(directory.truth) as writer:
        spans = [(what, from_s, _back_s(what, to_s, started_s)) for what, from_s, to_s in to_the_hub]
        writer.write(truth_of_hub(spans))
        for squad in squads(scenario):
            nodes = range(squad.first, squad.first + squad.count)
            mine = closes[(closes[:, 0] >= nodes.start) & (closes[:, 0] < nodes.stop)]
            writer.write(truth_of(squad, scenario.seed, nodes, mine, end_s))


def write_nodes(directory: RunDirectory, scenario: Scenario) -> None:
    """Write the group and the name of each node."""
    with NodesWriter(directory.nodes) as writer:
        for squad in squads(scenario):
            writer.write(squad.name, squad.names(squad.first, squad.count))


def _back_s(what: TruthEvent, to_s: float, started_s: Sequence[float]) -> float:
    """Return when a fault of the hub was over: NaN if it was not."""
    if what not in (TruthEvent.HUB_KILL, TruthEvent.HUB_STOP):
        return to_s
    return min((at_s for at_s in started_s if at_s >= to_s), default=nan)


def write_transitions(
    directory: RunDirectory, changes: pd.DataFrame, names: dict[str, int], origin_s: float, end_s: float
) -> None:
    """Write what the hub said of our nodes until the end, by node and time."""
    said = changes.assign(node=changes.node_id.map(names).astype(float), at_s=changes.at_s.astype(float) - origin_s)
    said = said[said.node.notna() & (said.at_s <= end_s)]
    said = said.assign(node=said.node.astype(np.int32)).sort_values(["node", "at_s"], kind="stable")
    trace.write_transitions(directory.transitions, said)
