"""The record of a live run, put together from what the shards sent and what the hub recorded: blocks and transitions.

`sent_s` is the model's schedule. `arrived_s` is when the hub received the message, by the hub's own record and clock;
for an external hub, which keeps no record, when the node had written it. Later than the end of the run nothing counts.
"""

from collections.abc import Iterator, Sequence
from math import nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.mesh.kinds import KINDS, Kind
from heartbench.simulator.engines.contract import Block
from heartbench.simulator.engines.live.hub import HubRecord
from heartbench.simulator.engines.live.shard import Result, Start
from heartbench.simulator.fleet import group_of_each, node_name, squads
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import MESSAGES, Messages, Truth, TruthEvent
from heartbench.simulator.truth import truth_of, truth_of_hub

BLOCK_ROWS = 1_000_000
COLUMNS = ["node", "boot", "connection", "seq", "kind", "sent_s", "due_s"]  # the node, and the columns of `Rows`
KEY = ["node", "boot", "kind", "seq", "connection"]
FILE_CHUNK = ["written_unix_s", "place"]


def numbers_by_name(scenario: Scenario) -> dict[str, int]:
    """Return the number of each node by its name at the hub."""
    return {node_name(group.name, number): number for number, group in enumerate(group_of_each(scenario))}


def rows_of(results: list[Result], origin_s: float) -> pd.DataFrame:
    """Return all rows, sorted by (node, sent_s).

    `due_s` is when the model delivered the message, `begun_s` when it was passed to gRPC, `written_s` when gRPC had
    written it, s since the start; the last two are NaN if that did not happen.
    """
    frames = []
    for result in results:
        frame = pd.DataFrame(dict(zip(COLUMNS, (result.node, *result.rows[1:]), strict=True)))
        row, begun_s, written_s = np.frombuffer(result.log.written).reshape(-1, 3).T
        for name, at_s in (("begun_s", begun_s), ("written_s", written_s)):
            frame[name] = pd.Series(at_s - origin_s, row.astype(int))
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    return rows.iloc[np.lexsort((rows.sent_s, rows.node))].reset_index(drop=True)


def arrivals(
    rows: pd.DataFrame, hub_record: HubRecord, names: dict[str, int], start: Start, end_s: float
) -> NDArray[np.float64]:
    """Return when each row was received, s since the start; NaN if it was not received before the end."""
    if not hub_record.observed:
        at_s = rows.written_s.to_numpy()
    else:
        receipts = pd.concat([observed.receipts for observed in hub_record.observed], ignore_index=True)
        received = _receipts(receipts, names, start.boot_base)
        key = _keyed(rows, rows.sent_s + start.unix_s)
        at_s = key.merge(received, on=[*KEY, *FILE_CHUNK], how="left").at_s.to_numpy() - start.origin_s
    return np.where(at_s <= end_s, at_s, np.nan)


def _keyed(rows: pd.DataFrame, sent_unix_s: "pd.Series[float]") -> pd.DataFrame:
    """Return what identifies each message: heartbeats and chunks count through a boot, a hello has its connection.

    A file chunk has the time when the file was written, and its place in the file.
    """
    key = rows[KEY].astype(np.int64)
    is_file_chunk = (key.kind == Kind.CHUNK) & (key.seq == 0)
    key["connection"] = key.connection.where(key.kind == Kind.HELLO, 0)
    key["written_unix_s"] = sent_unix_s.where(is_file_chunk, 0.0)
    key["place"] = key[is_file_chunk].groupby(["node", "boot", "written_unix_s"]).cumcount()
    return key.fillna({"place": 0})


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
    return _keyed(found, ours.sent_unix_s).assign(at_s=ours.at_s).drop_duplicates([*KEY, *FILE_CHUNK])


def blocks_of(
    scenario: Scenario,
    rows: pd.DataFrame,
    arrived_s: NDArray[np.float64],
    closes: NDArray[np.float64],
    notes: NDArray[np.float64],
    end_s: float,
) -> Iterator[Block]:
    """Yield the nodes of each group in blocks of about BLOCK_ROWS messages, with the truth until `end_s`.

    `rows` are those of `rows_of`, `closes` and `notes` as for `truth_of`.
    """
    sent = rows.assign(arrived_s=arrived_s)
    columns = [sent[field.name].to_numpy(field.type.to_pandas_dtype()) for field in MESSAGES]
    node = columns[0]
    index = 0
    for squad in squads(scenario):
        for first, stop in _cut(node, squad.first, squad.first + squad.count):
            of_block = slice(*np.searchsorted(node, (first, stop)))
            ended = closes[(closes[:, 0] >= first) & (closes[:, 0] < stop)]
            noted = notes[(notes[:, 0] >= first) & (notes[:, 0] < stop)]
            truth = truth_of(squad, scenario.seed, range(first, stop), ended, end_s, noted)
            messages = Messages(*(column[of_block] for column in columns))
            yield Block(index, squad.name, first, stop - first, messages, truth)
            index += 1


def _cut(node: NDArray[np.int32], first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut the nodes from `first` to `stop` into ranges of about BLOCK_ROWS messages; `node` is that of each, sorted."""
    while first < stop:
        last_row = int(np.searchsorted(node, first)) + BLOCK_ROWS
        end = stop if last_row >= len(node) else min(max(int(node[last_row]), first + 1), stop)
        yield first, end
        first = end


def hub_truth(spans: Sequence[tuple[TruthEvent, float, float]], started_s: Sequence[float]) -> Truth:
    """Return what happened to the hub, from spans of (event, from, to) in s.

    A hub that was down is back when it judges again (`started_s`, s since the start), not when its process was started.
    """
    return truth_of_hub([(event, from_s, _back_s(event, to_s, started_s)) for event, from_s, to_s in spans])


def _back_s(event: TruthEvent, to_s: float, started_s: Sequence[float]) -> float:
    """Return when a fault of the hub was over, NaN if it was not."""
    if event not in (TruthEvent.HUB_KILL, TruthEvent.HUB_STOP):
        return to_s
    return min((at_s for at_s in started_s if at_s >= to_s), default=nan)


def transitions_of(changes: pd.DataFrame, names: dict[str, int], origin_s: float, end_s: float) -> pd.DataFrame:
    """Return the hub's status changes of our nodes until the end, sorted by (node, at_s)."""
    ours = changes.assign(node=changes.node_id.map(names).astype(float), at_s=changes.at_s.astype(float) - origin_s)
    ours = ours[ours.node.notna() & (ours.at_s <= end_s)]
    return ours.assign(node=ours.node.astype(np.int32)).sort_values(["node", "at_s"], kind="stable")
