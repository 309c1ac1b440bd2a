from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartbench.mesh.kinds import Kind
from heartbench.simulator import trace as module
from heartbench.simulator.engines.sinks import NodesWriter, TraceWriter, TruthWriter, write_transitions
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.trace import (
    Messages,
    Truth,
    TruthEvent,
    read_blocks,
    read_nodes,
    read_trace,
    read_transitions,
    read_truth,
    trace_parts,
)


def heartbeats(nodes: range, count: int = 5) -> Messages:
    """`count` heartbeats of each node, one a second, the third of each lost."""
    node = np.repeat(np.array(nodes, np.int32), count)
    seq = np.tile(np.arange(1, count + 1), len(nodes))
    sent = seq + node / 1000
    arrived = np.where(seq == 3, np.nan, sent + 0.04)
    ones = np.ones(len(node))
    return Messages(
        node,
        ones.astype(np.int32),
        np.zeros(len(node), np.int32),
        seq,
        np.full(len(node), Kind.HEARTBEAT, np.int8),
        sent,
        arrived,
    )


def same(one: Messages, other: Messages) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(columns(one), columns(other), strict=True)
    )


def columns(messages: Messages) -> list[np.ndarray]:
    return [getattr(messages, name) for name in Messages.__slots__]


def test_blocks_read_back_as_they_were_written(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace")
    blocks = [heartbeats(range(3)), heartbeats(range(3, 4)), heartbeats(range(0))]
    for index, block in reversed(list(enumerate(blocks))):
        writer.write_part(index, block)

    read = list(read_blocks(tmp_path))

    assert all(same(a, b) for a, b in zip(read, blocks, strict=True))
    assert [a.dtype for a in columns(read[0])] == ["i4", "i4", "i4", "i8", "i1", "f8", "f8"]
    assert pq.read_table(tmp_path / "trace", columns=["arrived_s"])["arrived_s"].null_count == 4


def test_a_part_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    parts = [TraceWriter(tmp_path / name).write_part(0, heartbeats(range(50))) for name in ("a", "b")]

    assert parts[0].read_bytes() == parts[1].read_bytes()


def test_a_whole_trace_is_one_frame(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.write_part(0, heartbeats(range(3)))
    writer.write_part(1, heartbeats(range(3, 6)))

    frame = read_trace(tmp_path)

    assert list(frame.columns) == ["node", "boot", "connection", "seq", "kind", "sent_s", "arrived_s"]
    assert frame["node"].is_monotonic_increasing
    assert len(frame) == 30


def test_a_foreign_trace_in_any_order_is_read_node_by_node(tmp_path: Path) -> None:
    messages = heartbeats(range(4))
    frame = pd.DataFrame({name: getattr(messages, name) for name in Messages.__slots__}).astype({"node": "int64"})
    shuffled = frame.sample(frac=1, random_state=1)
    shuffled.iloc[:9].assign(remark="extra").to_parquet(tmp_path / "one.parquet")
    shuffled.iloc[9:].to_parquet(tmp_path / "two.parquet")

    (block,) = read_blocks(tmp_path)

    assert same(block, messages)


@pytest.mark.parametrize("count", [5, 20])
def test_a_long_part_is_read_in_pieces_with_whole_nodes(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = heartbeats(range(10), count)
    frame = pd.DataFrame({name: getattr(rows, name) for name in Messages.__slots__})
    frame.to_parquet(tmp_path / "one.parquet")
    whole = read_trace(tmp_path / "one.parquet")
    frame[::-1].to_parquet(tmp_path / "reversed.parquet")
    monkeypatch.setattr(module, "PIECE", 7)
    pieces = list(read_blocks(tmp_path / "one.parquet"))
    assert sum(map(len, pieces)) == len(whole)
    assert all(len(piece) % count == 0 for piece in pieces)
    assert len(pieces) > 5
    for name in ("one", "reversed"):
        assert read_trace(tmp_path / f"{name}.parquet").equals(whole)


def test_one_parquet_file_is_a_trace(tmp_path: Path) -> None:
    part = TraceWriter(tmp_path).write_part(0, heartbeats(range(2)))

    assert trace_parts(part) == [part]
    assert len(read_trace(part)) == 10


def test_what_is_no_trace_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.parquet").write_bytes(bytes(range(256)))
    pd.DataFrame({"node": [1], "sent_s": [0.0]}).to_parquet(tmp_path / "other.parquet")
    pq.write_table(
        pa.table({n: ["x"] for n in ("node", "boot", "connection", "seq", "kind", "sent_s", "arrived_s")}),
        tmp_path / "text.parquet",
    )
    refused = {
        "missing": "no such file",
        "empty": "no trace in it",
        "noise.parquet": "not a Parquet file",
        "other.parquet": "it lacks boot, connection, seq, kind, arrived_s; its columns are node, sent_s",
        "text.parquet": "cannot be read as a trace",
    }
    for name, reason in refused.items():
        with pytest.raises(SimulatorError) as refusal:
            read_trace(tmp_path / name)
        assert str(refusal.value).startswith(f"{tmp_path / name}: ")
        assert reason in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (["a", "b"], "cannot be read as a trace: column node: "),
        ([[1], [2]], "cannot be read as a trace: column node: "),
        ([1, None], "column node has empty values"),
    ],
)
def test_of_parts_that_differ_in_their_types_the_wrong_one_is_named(
    node: list[object], reason: str, tmp_path: Path
) -> None:
    part = TraceWriter(tmp_path).write_part(0, heartbeats(range(1), count=2))
    table = pq.read_table(part)
    wrong = tmp_path / "part-00001.parquet"
    pq.write_table(table.set_column(0, "node", pa.array(node)), wrong)

    with pytest.raises(SimulatorError) as refusal:
        read_trace(tmp_path)
    assert str(refusal.value).startswith(f"{wrong}: {reason}")


def test_a_trace_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    part = TraceWriter(tmp_path).write_part(0, heartbeats(range(1)))
    table = pq.read_table(part)
    pq.write_table(table.append_column("seq", table["seq"]), part)

    with pytest.raises(SimulatorError, match="not a trace, column seq occurs twice"):
        read_trace(part)


def test_a_trace_with_empty_values_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({name: getattr(heartbeats(range(1)), name) for name in Messages.__slots__})
    frame["sent_s"] = frame["sent_s"].where(frame["seq"] != 2)
    frame.to_parquet(tmp_path / "holes.parquet")

    with pytest.raises(SimulatorError, match="column sent_s has empty values"):
        read_trace(tmp_path / "holes.parquet")


@pytest.mark.parametrize(
    ("column", "value", "refusal"),
    [
        ("node", -1, "column node: -1: must be 0 or more"),
        ("kind", 4, "column kind: 4: must be 0 to 3"),
        ("sent_s", np.inf, "column sent_s: inf: must be in s, within 1e+11"),
        ("sent_s", 1e300, "column sent_s: 1e+300: must be in s, within 1e+11"),
        ("arrived_s", -np.inf, "column arrived_s: -inf: must be in s, within 1e+11"),
        ("arrived_s", 1.76e12, "column arrived_s: 1.76e+12: must be in s, within 1e+11"),
    ],
)
def test_a_trace_with_impossible_values_is_refused(tmp_path: Path, column: str, value: float, refusal: str) -> None:
    frame = pd.DataFrame({name: getattr(heartbeats(range(1)), name) for name in Messages.__slots__})
    frame.loc[1, column] = value
    frame.to_parquet(tmp_path / "odd.parquet")

    with pytest.raises(SimulatorError) as refused:
        read_trace(tmp_path / "odd.parquet")
    assert str(refused.value).startswith(f"{tmp_path / 'odd.parquet'}: {refusal}")


def test_a_time_that_is_not_a_number_is_refused_where_a_message_was_sent(tmp_path: Path) -> None:
    part = TraceWriter(tmp_path).write_part(0, heartbeats(range(1)))
    table = pq.read_table(part)
    index = table.column_names.index("sent_s")
    pq.write_table(table.set_column(index, "sent_s", pa.array([0.0, np.nan, 1.0, 2.0, 3.0])), part)

    with pytest.raises(SimulatorError, match="column sent_s: nan: must be in s"):
        read_trace(part)


def test_truth_names_what_happened(tmp_path: Path) -> None:
    with TruthWriter(tmp_path / "truth.parquet") as writer:
        for node in range(2):
            events = np.array([TruthEvent.OUTAGE, TruthEvent.CRASH], np.int8)
            writer.write(Truth(np.full(2, node, np.int32), events, np.array([1.0, 2.0]), np.array([3.0, np.nan])))

    truth = read_truth(tmp_path / "truth.parquet")

    assert truth["event"].tolist() == ["outage", "crash"] * 2
    assert truth["end_s"].isna().tolist() == [False, True] * 2
    assert truth["node"].tolist() == [0, 0, 1, 1]


def test_a_truth_holds_no_name_of_an_event_that_was_added_later_and_did_not_happen(tmp_path: Path) -> None:
    one = np.array([1.0])
    with TruthWriter(tmp_path / "truth.parquet") as writer:
        writer.write(Truth(np.zeros(1, np.int32), np.array([TruthEvent.OUTAGE], np.int8), one, one))

    names = pq.read_table(tmp_path / "truth.parquet")["event"].chunk(0).dictionary.to_pylist()

    assert names == [event.name.lower() for event in TruthEvent if event <= TruthEvent.HUB_SLOW_STORE]


def test_blocks_of_a_truth_may_hold_different_events(tmp_path: Path) -> None:
    with TruthWriter(tmp_path / "truth.parquet") as writer:
        for node, event in enumerate([TruthEvent.OUTAGE, TruthEvent.HOLD_DOWN, TruthEvent.OUTAGE_UP, TruthEvent.EXIT]):
            one = np.array([1.0])
            writer.write(Truth(np.array([node], np.int32), np.array([event], np.int8), one, one))

    assert read_truth(tmp_path / "truth.parquet")["event"].tolist() == ["outage", "hold_down", "outage_up", "exit"]


TRUTH_COLUMNS: dict[str, Any] = {"node": [1], "event": ["crash"], "start_s": [1.0], "end_s": [None]}


def test_a_truth_that_was_written_elsewhere_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"more": [1], **TRUTH_COLUMNS}), tmp_path / "truth.parquet")

    truth = read_truth(tmp_path / "truth.parquet")

    assert truth["event"].tolist() == ["crash"]
    assert list(truth.dtypes.astype(str)) == ["int32", "category", "float64", "float64"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start_s": ["soon"]}, "cannot be read as a truth: column start_s: "),
        ({"node": [0.5]}, "cannot be read as a truth: column node: "),
        ({"node": [2**40]}, "cannot be read as a truth: column node: "),
        ({"end_s": [[1.0]]}, "cannot be read as a truth: column end_s: "),
        ({"start_s": [None]}, "column start_s has empty values; only arrived_s and end_s may"),
        ({"event": None}, "not a truth, it lacks event; its columns are node, start_s, end_s"),
        ({"event": None, "two\nlines": [1]}, "its columns are node, start_s, end_s, 'two\\nlines'"),
    ],
)
def test_a_truth_with_wrong_columns_is_refused_in_one_line(
    changes: dict[str, list[object] | None], reason: str, tmp_path: Path
) -> None:
    columns: dict[str, Any] = {
        name: values for name, values in {**TRUTH_COLUMNS, **changes}.items() if values is not None
    }
    path = tmp_path / "truth.parquet"
    pq.write_table(pa.table(columns), path)

    with pytest.raises(SimulatorError) as refusal:
        read_truth(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def damaged(written: bytes) -> Iterator[bytes]:
    """Cut at many places, and with one byte turned over at each of them."""
    for place in range(0, len(written), 7):
        yield written[:place]
        yield written[:place] + bytes([written[place] ^ 0xFF]) + written[place + 1 :]


@pytest.mark.parametrize("read", [read_truth, read_transitions, read_trace])
def test_a_damaged_file_is_refused_in_one_line_or_read(read: Callable[[Path], pd.DataFrame], tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    if read is read_truth:
        with TruthWriter(path) as writer:
            writer.write(Truth(np.zeros(1, np.int32), np.zeros(1, np.int8), np.zeros(1), np.ones(1)))
    elif read is read_transitions:
        said = {"node": [3], "at_s": [1.5], "status": ["stale"], "connected": [False], "flapping": [False]}
        write_transitions(path, pd.DataFrame({**said, "reason": ["silence"]}).astype({"node": "int32"}))
    else:
        TraceWriter(tmp_path).write_part(0, heartbeats(range(2))).rename(path)
    contents, refusals = list(damaged(path.read_bytes())), []
    for content in contents:
        path.write_bytes(content)
        try:
            read(path)
        except SimulatorError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > len(contents) / 2  # all that were cut, and more
    assert all(refusal.startswith(f"{path}: ") and "\n" not in refusal for refusal in refusals)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for read in (read_truth, read_transitions):
        with pytest.raises(
            SimulatorError, match=r"gone.parquet: no such file; expected a (truth|list of transitions) with"
        ):
            read(tmp_path / "gone.parquet")


def test_truth_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TruthWriter(tmp_path / "truth.parquet"):
        _ = 1 / 0

    assert list(tmp_path.iterdir()) == []


def test_transitions_read_back(tmp_path: Path) -> None:
    said = pd.DataFrame(
        {
            "node": np.array([3, 4], np.int32),
            "at_s": [1.5, 2.5],
            "status": ["stale", "online"],
            "connected": [False, True],
            "flapping": [False, False],
            "reason": ["silence", "heard"],
        }
    )
    write_transitions(tmp_path / "transitions.parquet", said.assign(more=1))

    pd.testing.assert_frame_equal(read_transitions(tmp_path / "transitions.parquet"), said)


def named(path: Path, *groups: tuple[str, range]) -> Path:
    with NodesWriter(path) as writer:
        for group, nodes in groups:
            writer.write(group, {node: f"{group}-{node:05d}" for node in nodes})
    return path


def test_the_groups_and_names_of_nodes_read_back(tmp_path: Path) -> None:
    named(tmp_path / "nodes.parquet", ("lte", range(2)), ("wired", range(2, 3)))
    TraceWriter(tmp_path / "trace").write_part(0, heartbeats(range(3)))

    nodes = read_nodes(tmp_path)

    assert nodes is not None
    assert nodes.to_dict("list") == {
        "node": [0, 1, 2],
        "group": ["lte", "lte", "wired"],
        "name": ["lte-00000", "lte-00001", "wired-00002"],
    }
    assert nodes.node.dtype == "i4"


@pytest.mark.parametrize("beside", ["run/trace/nodes.parquet", "run/nodes.parquet"])
def test_names_are_found_beside_a_bare_trace_and_are_no_part_of_it(beside: str, tmp_path: Path) -> None:
    part = TraceWriter(tmp_path / "run/trace").write_part(0, heartbeats(range(3)))
    named(tmp_path / beside, ("lte", range(3)))

    for trace in (part, part.parent):
        nodes = read_nodes(trace)
        assert nodes is not None
        assert nodes.node.tolist() == [0, 1, 2]
        assert trace_parts(trace) == [part]


def test_names_are_found_from_within_the_folder_of_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TraceWriter(tmp_path / "trace").write_part(0, heartbeats(range(1)))
    named(tmp_path / "nodes.parquet", ("lte", range(1)))
    monkeypatch.chdir(tmp_path / "trace")

    assert read_nodes(Path("part-00000.parquet")) is not None
    assert read_nodes(Path()) is not None


def test_a_trace_without_names_has_none(tmp_path: Path) -> None:
    part = TraceWriter(tmp_path / "trace").write_part(0, heartbeats(range(1)))
    own = part.rename(part.with_name("nodes.parquet"))

    assert read_nodes(tmp_path) is None
    assert read_nodes(own) is None
    assert len(read_trace(own)) == 5


def test_a_damaged_list_of_nodes_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "nodes.parquet"

    def refusal() -> str:
        with pytest.raises(SimulatorError) as refused:
            read_nodes(tmp_path)
        text = str(refused.value)
        assert text.startswith(f"{file}: ")
        assert "\n" not in text
        return text

    file.write_bytes(b"noise")
    assert "not a Parquet file; expected a list of nodes with node, group, name" in refusal()
    pd.DataFrame({"node": [1], "name": ["a"]}).to_parquet(file)
    assert "it lacks group" in refusal()
    pd.DataFrame({"node": ["x"], "group": ["g"], "name": ["a"]}).to_parquet(file)
    assert "cannot be read as a list of nodes: column node" in refusal()
    pd.DataFrame({"node": [1], "group": [None], "name": ["a"]}).astype({"group": "string"}).to_parquet(file)
    assert "column group has empty values" in refusal()
    pd.DataFrame({"node": [1, 1], "group": ["g", "g"], "name": ["a", "b"]}).to_parquet(file)
    assert "node 1 is listed twice" in refusal()
    pd.DataFrame({"node": [1, 2], "group": ["g", "g"], "name": ["a", "a"]}).to_parquet(file)
    assert "name 'a' is listed twice" in refusal()
    pd.DataFrame({"node": [-1], "group": ["g"], "name": ["a"]}).to_parquet(file)
    assert "node -1: must be at least 0" in refusal()


def test_names_that_were_not_written_to_the_end_are_absent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), NodesWriter(tmp_path / "nodes.parquet"):
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []
