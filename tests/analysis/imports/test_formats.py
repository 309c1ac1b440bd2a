"""What is particular to a format, beside the gaps that all have in common."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis import AnalysisError
from heartbench.analysis.imports import ImportOptions, ImportRecord, import_log
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import read_trace

T = 1_700_000_000


def imported(folder: Path, *lines: str, **told: Any) -> tuple[ImportRecord, pd.DataFrame]:
    file = folder / "hub.log"
    file.write_text("\n".join(lines) + "\n")
    record = import_log([file], ImportOptions(**told), folder / "out")
    return record, read_trace(folder / "out")


def test_mosquitto_with_dates_and_a_prefix(tmp_path: Path) -> None:
    record, trace = imported(
        tmp_path,
        "Nov 14 22:13:20 broker mosquitto[7]: 2023-11-14T22:13:20+0000: New client connected from 10.0.0.7:5 as a b "
        "(p2, c1, k60, u'x').",
        "2023-11-14T22:13:25+0000: Received PUBLISH from a b (d0, q0, r0, m0, 'state', ... (5 bytes))",
        "2023-11-14T22:13:26+0000: Sending PUBLISH to c (d0, q0, r0, m0, 'state', ... (5 bytes))",
        "2023-11-14T22:13:30+0000: Received DISCONNECT from a b",
        "2023-11-14T22:13:30+0000: Client a b disconnected.",
        "2023-11-14T22:13:31+0000: Socket error on client c, disconnecting.",
        "2023-11-14T22:13:32+0000: Client d disconnected: Protocol error.",
    )
    assert (record.nodes, record.step_s, record.origin_unix_s) == (1, 1.0, T)
    assert trace.arrived_s.tolist() == [0, 5, 10, 10]
    assert trace.kind.tolist() == [Kind.HELLO, Kind.HEARTBEAT, Kind.HEARTBEAT, Kind.GOODBYE]


def matrix(*series: tuple[dict[str, str], Sequence[tuple[float, str]]]) -> str:
    result = [{"metric": metric, "values": [[at, value] for at, value in values]} for metric, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_prometheus_up_and_times_of_the_last_heartbeat(tmp_path: Path) -> None:
    ups = [(T + at, "1" if at not in (30, 45) else "0") for at in range(0, 105, 15) if at != 75]
    last = [(T + at, str(T + at // 20 * 20 + 3.5)) for at in range(15, 105, 15)]
    boots = [(T + at, str(T - 5000 + (at > 60) * 5057.0)) for at in range(0, 105, 15)]
    up = {"__name__": "up", "instance": "a:9100"}
    record, trace = imported(
        tmp_path,
        matrix(
            (up, ups),
            ({"instance": "b:9100"}, last),
            ({**up, "__name__": "node_boot_time_seconds"}, boots),
        ),
    )
    assert (record.step_s, record.restarts) == (15, 1)
    a, b = (trace[trace.node == node] for node in (0, 1))
    assert a.arrived_s.tolist() == [0, 15, 60, 90]
    assert a.boot.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(b.arrived_s, [3.5, 23.5, 43.5, 63.5, 83.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            matrix(({"job": "x"}, [(T, "1")])),
            ":1: a series without a label for the node among 'job'; name it with --node",
        ),
        (
            matrix(({"node": "x"}, [(T, "1"), (T, "1")])),
            ':1: values: expected pairs [time, "value"] in the order of time',
        ),
        (matrix().replace("matrix", "vector"), ":1: not the answer to a range query; expected "),
        (matrix(({"node": "x"}, [(T, "1")])) * 2, ":1: more than one answer in the file; put each into its own"),
    ],
)
def test_prometheus_answers_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as refused:
        imported(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'hub.log'}{message}")


def lease(when: str) -> str:
    """Return what kubectl prints of a node's lease."""
    spec = {"holderIdentity": "n", "leaseDurationSeconds": 40, "renewTime": when}
    metadata = {
        "name": "n",
        "namespace": "kube-node-lease",
        "labels": {"site": "Zürich \n"},
        "size": -1.5e3,
        "on": True,
    }
    items = {"kind": "List", "items": [{"kind": "Lease", "spec": spec, "metadata": metadata}]}
    return json.dumps(items, indent=1, ensure_ascii=False)


def test_leases_state_their_interval_and_name_the_line_of_a_bad_one(tmp_path: Path) -> None:
    renewed = [f"2023-11-14T22:13:{second}.000000Z" for second in (20, 20, 50)]
    record, trace = imported(tmp_path, *map(lease, renewed))
    assert (record.interval_s, trace.arrived_s.tolist()) == (10, [0, 30])
    with pytest.raises(AnalysisError) as refused:
        imported(tmp_path, lease(renewed[0]), lease("yesterday"))
    line = lease(renewed[0]).count("\n") + 2
    assert str(refused.value) == f"{tmp_path / 'hub.log'}:{line}: spec.renewTime: 'yesterday': not a date in ISO 8601"


def test_leases_that_end_within_their_last_list_lack_that_one_alone(tmp_path: Path) -> None:
    whole = "".join(lease(f"2023-11-14T22:13:{second}.0Z") + "\n" for second in (20, 30)).encode()
    last = lease("2023-11-14T22:13:40.0Z").encode()
    file = tmp_path / "leases.json"
    line = whole.count(b"\n") + 1
    note = f"{file}:{line}: the file ends within the document that begins here: it was left out"
    for end in range(1, len(last) + 1):
        file.write_bytes(whole + last[:end])
        record = import_log([file], ImportOptions(), tmp_path / "out")
        assert (record.heartbeats, note in record.notes) == ((2, True) if end < len(last) else (3, False)), last[:end]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            lease("2023-11-14T22:13:20Z") + "\n" + lease("2023\n").replace("\\n", "\n") + "\n",
            "Invalid control character",
        ),
        (lease("2023-11-14T22:13:20Z") + "\n" + lease("now").replace("40,", "40"), "Expecting ',' delimiter"),
        (lease("2023-11-14T22:13:20Z") + "\n{} bye", "Extra data"),
        (lease("2023-11-14T22:13:20Z")[:-9], "Expecting ',' delimiter"),
        ('{"renewTime": "', "Unterminated string"),
    ],
)
def test_what_is_not_cut_but_damaged_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=rf"hub\.log:\d+: not JSON: {message}$"):
        imported(tmp_path, text)


@pytest.mark.parametrize(
    "text", ['{"items": []}', '{\n    "apiVersion": "v1",\n    "items": [],\n    "kind": "List"\n}']
)
def test_a_list_without_leases_says_so(text: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"hub\.log:1: it has no node lease; expected leases of kube-node-lease"):
        imported(tmp_path, text)


def test_a_cut_last_line_of_an_audit_log_is_left_out(tmp_path: Path) -> None:
    def event(at: int) -> str:
        lease = {"resource": "leases", "namespace": "kube-node-lease", "name": "n"}
        when = f"2023-11-14T22:13:{at}.0Z"
        event = {"apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "update", "objectRef": lease}
        return json.dumps({**event, "requestReceivedTimestamp": when})

    file = tmp_path / "audit.log"
    file.write_text("\n".join([event(20), event(30), event(40)[:-9]]))
    record = import_log([file], ImportOptions(), tmp_path / "out")
    assert record.heartbeats == 2
    assert any("the last line has no end" in note for note in record.notes)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2023-11-14T22:13:{}Z [INFO]  agent: serf: EventMemberJoin: node-77 10.0.0.7", {"marked_after_s": 5.0}),
        ("2023-11-14T22:13:{}Z: Received PINGREQ from node-77", {}),
        ("2023-11-14T22:13:{}Z [DEBUG] agent: Check status updated: check=node-77 status=passing", {}),
    ],
)
def test_a_cut_last_line_makes_no_node_with_a_cut_name(line: str, told: dict[str, Any], tmp_path: Path) -> None:
    file, last = tmp_path / "hub.log", line.format(40)
    for end in range(1, len(last) + 1):
        file.write_text("\n".join([line.format(20), line.format(30), last[:end]]))
        record = import_log([file], ImportOptions(**told), tmp_path / "out")
        assert record.nodes == 1, last[:end]
        assert any("the last line has no end" in note for note in record.notes)


def test_events_of_a_hub_that_end_within_the_last_lack_that_one_alone(tmp_path: Path) -> None:
    def event(at: int, reason: str) -> str:
        changed = {"node_id": "a", "status": "online", "reason": reason}
        return json.dumps({"seq": at, "epoch": 1, "at_unix_s": T + at, "changed": changed}) + "\n"

    file = tmp_path / "events.jsonl"
    file.write_text(event(0, "registered") + event(120, "silence") + event(180, "heard")[:-9])
    record = import_log([file], ImportOptions(marked_after_s=30.0), tmp_path / "out")
    assert f"{file}:3: the file ends within the document that begins here: it was left out" in record.notes
    assert [suspect.node for suspect in record.suspects] == ["a"]


def test_a_hubs_own_events(tmp_path: Path) -> None:
    def event(at: float, **body: object) -> str:
        return json.dumps({"seq": 1, "epoch": 1, "at_unix_s": T + at, **body})

    def changed(at: float, reason: str) -> str:
        return event(at, changed={"node_id": "a", "status": "online", "reason": reason})

    record, trace = imported(
        tmp_path,
        changed(0, "registered"),
        changed(40, "stream_ended"),
        event(60, paused={"lasted_s": 5.0}),
        changed(100, "silence"),
        changed(130, "heard"),
        event(140, lost={"count": 3}),
        changed(150, "goodbye"),
        changed(500, "heard"),
        marked_after_s=30.0,
    )
    assert trace.arrived_s.tolist() == [0, 29.999996, 59.999992, 70, 130, 150, 500]
    assert trace.kind.tolist() == [Kind.HELLO, *[Kind.HEARTBEAT] * 4, Kind.GOODBYE, Kind.HELLO]
    assert (record.statuses_s, record.hub_down, record.suspects) == (30, ((55, 60),), ())
    assert any("3 events before event 1 are lost" in note for note in record.notes)


def changes_of_a(*reasons_at: tuple[str, float], epoch: int = 7) -> list[str]:
    """Return the events of a hub about node a, numbered from 1: reasons, and times after T."""
    rows = [
        {"seq": seq, "epoch": epoch, "at_unix_s": T + at, "changed": {"node_id": "a", "reason": reason}}
        for seq, (reason, at) in enumerate(reasons_at, start=1)
    ]
    return [json.dumps(row) for row in rows]


@pytest.mark.parametrize("second_s", [40.0, 40.0 - 2.4e-7])
def test_two_events_of_one_moment_are_in_the_order_of_their_numbers_and_no_duplicates(
    second_s: float, tmp_path: Path
) -> None:
    lines = changes_of_a(("connected", 0), ("goodbye", 25), ("heard", 40), ("connected", second_s), ("goodbye", 50))
    record, trace = imported(tmp_path, *lines, marked_after_s=30.0)
    assert trace.arrived_s.tolist() == [0, 25, 40, 50]
    assert trace.kind.tolist() == [Kind.HELLO, Kind.GOODBYE, Kind.HELLO, Kind.GOODBYE]
    assert not [note for note in record.notes if "twice" in note or "out of order" in note]


def test_an_event_of_a_second_copy_of_the_log_counts_once(tmp_path: Path) -> None:
    lives = ("registered", 0.0), ("silence", 100.0), ("heard", 130.0), ("connected", 130.0)
    first = changes_of_a(*lives)
    again = changes_of_a(*((reason, at + 2.4e-7) for reason, at in lives))
    once, trace = imported(tmp_path, *first, marked_after_s=30.0)
    twice, same = imported(tmp_path, *first, *again, marked_after_s=30.0)
    pd.testing.assert_frame_equal(trace, same)
    assert set(twice.notes) - set(once.notes) == {"Events that were there twice, and count once: 4."}


def test_an_unknown_reason_of_an_event_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = changes_of_a(("registered", 0), ("silent", 100), ("heard", 130))
    with pytest.raises(AnalysisError) as refused:
        imported(tmp_path, *lines, marked_after_s=30.0)
    assert str(refused.value) == (
        f"{tmp_path / 'hub.log'}:2: changed.reason: 'silent': expected one of registered, connected, replaced, heard, "
        "silence, goodbye, stream_ended, flaps_entry, flaps_exit"
    )


def test_a_status_log_with_one_wrong_time_is_not_made_endless(tmp_path: Path) -> None:
    lines = [
        f"{date} [INFO]  serf: EventMemberJoin: n 10.0.0.1" for date in ("2023-11-14T22:13:20Z", "1923-11-14T22:13:20Z")
    ]
    with pytest.raises(
        AnalysisError, match=r"hub\.log:[12]: with this time the log is \d+ days long: too long for 1 s"
    ):
        imported(tmp_path, *lines, marked_after_s=1.0)


def test_the_last_line_of_a_killed_hub_is_left_out(tmp_path: Path) -> None:
    header = (
        '["header",{"schema":"heartbench.observer/1","monotonic_s":5.0,"unix_s":1700000000.0,"epoch":1,"settings":{}}]'
    )
    receipt = '["receipt",%s,"a",3,1,"heartbeat",%d,1700000000.5]'
    file = tmp_path / "hub.log"
    file.write_text("\n".join([header, receipt % (6.0, 1), receipt % (16.0, 2), (receipt % (26.0, 3))[:20]]))
    record = import_log([file], ImportOptions(), tmp_path / "out")
    trace = read_trace(tmp_path / "out")
    assert (record.transit, trace.arrived_s.tolist(), trace.seq.tolist()) == (True, [0, 10], [1, 2])
    with pytest.raises(AnalysisError, match=r"hub\.log:3: .*: not a receipt; expected at_s, node_id"):
        imported(tmp_path, header, receipt % (6.0, 1), receipt % ('"x"', 2), receipt % (7.0, 2))


def test_a_column_that_begins_with_null_has_the_type_of_its_first_value(tmp_path: Path) -> None:
    before = {"at": T, "node": "a", "seq": None, "sent": None, "boot": None, "more": {"seq": "x"}}
    lines = [before, *({**before, "at": T + n, "seq": n, "sent": T + n - 0.5} for n in (7, 8))]
    record, trace = imported(tmp_path, *map(json.dumps, lines))
    assert (trace.seq.tolist(), trace.sent_s.tolist()) == ([1, 7, 8], [0.0, 6.5, 7.5])
    assert record.transit
