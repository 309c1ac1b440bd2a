"""Logs in columns: names and units of columns, and what is wrong with a log said in one line."""

import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartbench.analysis import AnalysisError
from heartbench.analysis.imports import ImportOptions, ImportRecord, Moment, NodeMoment, import_log
from heartbench.analysis.imports.options import parse_span
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import read_nodes, read_trace

T = 1_700_000_000


def imported(folder: Path, text: str, **told: Any) -> tuple[ImportRecord, Any]:
    file = folder / "hub.csv"
    file.write_text(text)
    record = import_log([file], ImportOptions(**told), folder / "out")
    return record, read_trace(folder / "out")


@pytest.mark.parametrize(
    "times",
    [
        [f"{T}.25", f"{T + 10}.5"],
        [f"{T}250", f"{T + 10}500"],
        [f"{T}250000", f"{T + 10}500000"],
        [f"{T}250000000", f"{T + 10}500000000"],
        ["2023-11-14T22:13:20.25Z", "2023-11-14T23:13:30.5+01:00"],
        ["2023-11-14 22:13:20.250", "2023-11-14 22:13:30.500"],
        ["2023-11-14 22:13:20,250", "2023-11-14 22:13:30,500"],
    ],
)
def test_times_are_told_apart(times: list[str], tmp_path: Path) -> None:
    record, trace = imported(tmp_path, "time;host\n" + "".join(f'"{time}";a\n' for time in times))
    assert record.origin_unix_s == T
    np.testing.assert_allclose(trace.arrived_s, [0.25, 10.5], atol=1e-6)
    assert any("no zone" in note for note in record.notes) == (times[0].startswith("2023-11-14 "))


def test_columns_are_named_by_options_and_names_are_kept(tmp_path: Path) -> None:
    text = f"when,who,left,no\n{T + 1},Zug №1,{T},7\n{T + 11},b,{T + 10.5},9\n"
    record, trace = imported(tmp_path, text, time="when", node="who", sent="left", sequence="no")
    nodes = read_nodes(tmp_path / "out" / "trace")
    assert nodes is not None
    assert nodes.name.tolist() == ["Zug №1", "b"]
    assert record.transit
    assert trace.sent_s.tolist() == [-1.0, 9.5]
    assert trace.seq.tolist() == [7, 9]


def test_restarts_show_in_boots_and_in_numbers_that_begin_again(tmp_path: Path) -> None:
    rows = [(0, 5), (10, 6), (20, 4), (21, 7), (30, 1), (40, 2), (50, 900), (60, 3), (70, 4)]  # 4 came late
    text = "time,node,seq\n" + "".join(f"{T + at},a,{seq}\n" for at, seq in rows)
    record, trace = imported(tmp_path, text)
    assert record.restarts == 2
    assert trace.boot.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    text = "time,node,boot\n" + "".join(
        f"{T + at},a,{boot}\n" for at, boot in [(0, "x"), (10, "y"), (11, "x"), (20, "y")]
    )
    assert imported(tmp_path, text)[1].boot.tolist() == [0, 1, 1, 1]


def test_rows_out_of_order_and_twice(tmp_path: Path) -> None:
    rows = [f"{T + at},{node}\n" for node in "ab" for at in (0, 20, 10, 30, 30)]
    record, trace = imported(tmp_path, "time,node\n" + "".join(rows))
    assert trace.arrived_s.tolist() == [0, 10, 20, 30] * 2
    assert {"Rows that were there twice, and count once: 2.", "Rows that were out of order for their node, and were "
            "sorted: 2."} <= set(record.notes)  # fmt: skip


def test_a_last_line_without_an_end_makes_no_node_of_half_a_name(tmp_path: Path) -> None:
    record, trace = imported(tmp_path, f"time,node\n{T},node-12\n{T + 10},node-12\n{T + 20},node")
    assert record.nodes == 1
    np.testing.assert_allclose(trace.arrived_s, [0, 10])
    assert any(f"the last line has no end, '{T + 20},node': it was left out" in note for note in record.notes)


def test_a_last_object_that_is_cut_is_left_out_and_one_without_a_newline_counts(tmp_path: Path) -> None:
    rows = [f'{{"time": {T + at}, "node": "a"}}' for at in (0, 10, 20)]
    record, trace = imported(tmp_path, "\n".join(rows)[:-3])
    np.testing.assert_allclose(trace.arrived_s, [0, 10])
    assert any("hub.csv: the last line has no end, " in note for note in record.notes)
    _, trace = imported(tmp_path, "\n".join(rows))
    np.testing.assert_allclose(trace.arrived_s, [0, 10, 20])
    with pytest.raises(AnalysisError, match=r"hub\.csv:1: not JSON: Unterminated string$"):
        imported(tmp_path, rows[0][:-2])


def test_after_a_goodbye_a_node_is_back_though_the_log_has_no_hello(tmp_path: Path) -> None:
    kinds = ["heartbeat", "Goodbye", "", "1"]
    text = "time,node,kind\n" + "".join(f"{T + at * 100},a,{kind}\n" for at, kind in enumerate(kinds))
    assert imported(tmp_path, text)[1].kind.tolist() == [Kind.HEARTBEAT, Kind.GOODBYE, Kind.HELLO, Kind.HEARTBEAT]


def test_a_clock_that_was_set_back_makes_no_gap_and_no_overlap(tmp_path: Path) -> None:
    clock = [*range(0, 600, 10), *range(300, 900, 10)]  # set back by 300 s
    rows = [f"{T + at + place},n{place}\n" for at in clock for place in range(3)]
    record, trace = imported(tmp_path, "time,node\n" + "".join(rows))
    gaps = np.diff(trace.arrived_s[trace.node == 1])
    assert len(gaps) == len(clock) - 1
    assert np.sum(gaps != 10) == 1
    assert any("went back by 292 s" in note for note in record.notes)


def test_goodbyes_explain_silence_and_one_node_per_file_says_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        for name, begin in (("x/run1.csv", 0), ("y/run1.csv", 10_000)):
            rows = "".join(f"{1e6 + begin + at},{1e6 + begin + at + 40}\n" for at in range(0, 5000, 50))
            archive.writestr(name, "sent_ms,echoed_ms\n" + rows)
    options = ImportOptions(time="echoed_ms", sent="sent_ms", node="@file")
    record = import_log([tmp_path / "runs.zip"], options, tmp_path / "out")
    trace, nodes = read_trace(tmp_path / "out"), read_nodes(tmp_path / "out" / "trace")
    assert nodes is not None
    assert nodes.name.tolist() == ["x/run1", "y/run1"]
    assert (record.suspects, record.all_silent) == ((), ())
    assert record.interval_s == pytest.approx(0.05)
    assert trace.groupby("node").kind.agg(["first", "last"]).to_numpy().tolist() == [[Kind.HELLO, Kind.GOODBYE]] * 2
    assert (trace.arrived_s - trace.sent_s).round(6).unique().tolist() == [0.04]


def test_what_the_user_says_of_hub_and_nodes(tmp_path: Path) -> None:
    text = "time,node\n" + "".join(
        f"{T + at},{node}\n" for at in range(0, 600, 10) for node in "ab" if at < 300 or node == "a"
    )
    told = {
        "hub_down": ((Moment(100, False), Moment(150, False)),),
        "dead": (NodeMoment("b", Moment(310, False)),),
        "restarted": (NodeMoment("a", Moment(T + 205, True)),),
        "interval_s": 12.0,
    }
    record, trace = imported(tmp_path, text, **told)
    assert (list(record.hub_down), [tuple(each) for each in record.dead]) == ([(100, 150)], [("b", 310)])
    assert not record.suspects
    assert record.interval_s == 12
    assert trace[(trace.node == 0) & (trace.boot == 1)].arrived_s.min() == 210
    with pytest.raises(AnalysisError, match=r"--dead: 'c': no such node in the log; it has 2, such as a, b"):
        imported(tmp_path, text, dead=(NodeMoment("c", None),))
    with pytest.raises(AnalysisError, match=r"--hub-down: 900\.\.950: the log holds"):
        imported(tmp_path, text, hub_down=((Moment(900, False), Moment(950, False)),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the file is empty; expected the log of a hub"),
        ("hello\n", ":1: 'hello': not a log of a known format; known: hub-trace, observer, "),
        ("a,b\n1,2\n", ":1: no column for the time among 'a, b'; name it with --time"),
        (
            "time,b\n1,2\n",
            ":1: no column for the node among 'time, b'; name it with --node-column, or use --node-column @file",
        ),
        (f"time,node\n{T},a\n\n{T},\n", ":4: node: '': the node has no name"),
        (f"time,node\n{T},a\nnan,a\n", ":3: time: 'nan': not a time in s, as those before it"),
        (f"time,node\n{T},a\n{T}\n", f":3: '{T}': expected 2 fields"),
        (f"time,node,seq\n{T},a,1\n{T},a,-2\n", ":3: seq: '-2': not a whole number of 0 or more"),
        ("PAR1" + "\0" * 20, ":1: a Parquet file; `heartbench tune` reads a trace in Parquet as it is"),
        (f"time,node,kind\n{T},a,ping\n", ":2: kind: 'ping': not a kind; allowed: hello, heartbeat, chunk, goodbye"),
        (f'{{"time": {T}, "node": "a"}}\n{{"time": {T}, "node": 7}}\n', ':2: \'{"time": 1700000000, "node": 7}\': '),
        (f'{{"time": {T}, "node": "a"}}\n[]\n', ":2: '[]': "),
        ("time,node\n", ":1: no message of a node in it, read as csv; expected columns with a header"),
    ],
)
def test_a_bad_log_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as refused:
        imported(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'hub.csv'}{message}")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hub.csv"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"time": "sent", "sent": "sent"}, "{log}:1: --sent: the column 'sent' is named twice; each holds one thing"),
        ({"node": "who"}, "{log}:1: --node-column: no column 'who'; it has 'sent, node'"),
        (
            {"marked_after_s": 40.0},
            "{log}:1: --marked-after is not for a log in the format csv; it is for hub-events, nomad, ",
        ),
    ],
)
def test_an_option_that_does_not_fit_the_log_is_named(said: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as refused:
        imported(tmp_path, f"sent,node\n{T},a\n", **said)
    assert str(refused.value).startswith(message.format(log=tmp_path / "hub.csv"))


def test_a_column_that_is_named_for_one_thing_is_not_taken_for_another(tmp_path: Path) -> None:
    record, trace = imported(tmp_path, f"sent,node\n{T},a\n{T + 5},a\n", time="sent")
    assert (record.transit, record.interval_s, len(trace)) == (False, 5, 2)


def test_a_directory_in_use_is_kept_and_an_older_import_replaced(tmp_path: Path) -> None:
    text = f"time,node\n{T},a\n{T + 5},a\n"
    assert imported(tmp_path, text)[0].interval_s == 5
    (tmp_path / "log.gz").write_bytes(gzip.compress(text.replace("5,a", "9,a").encode()))
    record = import_log([tmp_path / "log.gz"], ImportOptions(), tmp_path / "out")
    assert ImportRecord.read(tmp_path / "out") == record
    assert record.interval_s == 9
    (tmp_path / "out" / "import.json").unlink()
    with pytest.raises(AnalysisError, match="is not empty and not an import; use a new or empty directory"):
        import_log([tmp_path / "log.gz"], ImportOptions(), tmp_path / "out")


def test_a_log_that_does_not_fit_into_memory_gives_the_same_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "time,node\n" + "".join(f"{T + at},n{place}\n" for at in range(0, 300, 10) for place in range(70))
    _, whole = imported(tmp_path, text)
    monkeypatch.setattr("heartbench.analysis.imports.store.MOST_HELD", 100)
    monkeypatch.setattr("heartbench.analysis.imports.sources.BLOCK_BYTES", 1000)
    record, trace = imported(tmp_path, text)
    assert record.heartbeats == len(whole) == 2100
    assert (np.diff(trace.node) >= 0).all()
    assert sorted(trace.arrived_s) == sorted(whole.arrived_s)
    assert len(list((tmp_path / "out" / "trace").iterdir())) == 64


def test_a_time_without_a_zone_is_taken_for_utc_in_options_as_in_the_log(tmp_path: Path) -> None:
    text = "time,node\n" + "".join(f"2023-11-14 22:{m}:20.5,a\n" for m in range(13, 20))
    spans = [parse_span(f"2023-11-14T22:14:00{zone}..2023-11-14T22:15:30{zone}", "--hub-down") for zone in ("", "Z")]
    records = [imported(tmp_path, text, hub_down=(span,))[0] for span in spans]
    assert records[0].hub_down == records[1].hub_down == ((40.0, 130.0),)
    notes = [note for note in records[0].notes if note not in records[1].notes]
    assert notes == ["The times in options that have no zone were taken for UTC."]
