"""The events of a running hub as a log, if the hub no longer holds the oldest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heartbench.cli import event_log
from heartbench.cli.event_log import node_of, write_events
from heartbench.mesh.v1 import mesh_pb2 as pb

NOW_S = 1_790_000_000.0


class Stream(list[pb.Event]):
    """The answer to WatchEvents."""

    def cancel(self) -> None:
        pass


def changed(seq: int, hours_ago: float, reason: "pb.Reason.ValueType") -> pb.Event:
    change = pb.NodeChanged(node_id="flapped", status=pb.STATUS_ONLINE, reason=reason)
    return pb.Event(seq=seq, epoch=1, at_unix_s=NOW_S - hours_ago * 3600, changed=change)


@contextmanager
def admin_at(*_: object) -> Iterator[Any]:
    """Yield a hub that holds two of 500 events, of which the older is 5 h old."""
    lost = pb.Event(seq=498, epoch=1, at_unix_s=NOW_S, lost=pb.EventsLost(count=498))
    events = [lost, changed(499, 5, pb.REASON_STREAM_ENDED), changed(500, 3, pb.REASON_FLAPS_EXIT)]
    silent_s = {"quiet": 2.0, "flapped": 2.0, "slow": 6 * 3600.0}
    nodes = [pb.NodeInfo(node_id=name, silent_s=each_s) for name, each_s in silent_s.items()]
    answers = {
        "GetStats": pb.HubStats(epoch=1, events=500),
        "WatchEvents": Stream(events),
        "ListNodes": pb.ListNodesResponse(nodes=nodes),
    }
    yield SimpleNamespace(**{name: lambda *_, answer=answer, **__: answer for name, answer in answers.items()})


def test_nodes_of_which_no_event_is_held_were_online_since_the_oldest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "admin_at", admin_at)
    monkeypatch.setattr(event_log, "time", lambda: NOW_S)
    write_events("hub:1", None, 0.0, tmp_path / "events.jsonl")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    heard = [(node_of(event), event["at_unix_s"]) for event in events if node_of(event)]
    since_s = NOW_S - 5 * 3600
    too_old = [("slow", since_s)]  # heard for the last time before the oldest event
    assert heard == [("quiet", since_s), ("quiet", NOW_S - 2), ("flapped", since_s), ("flapped", NOW_S - 2), *too_old]
