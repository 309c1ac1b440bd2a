"""The events that a running hub holds, as a log that can be imported (format `hub-events`).

A node of which the hub holds no event is in the log too: with its last sign of life, as the hub reports it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

import grpc

from heartbench.cli.errors import CommandError
from heartbench.cli.inspection import ANSWER_S, admin_at, as_dict
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

OF_THE_CALL = {"lost", "log_began"}
"""Events that the hub makes for one subscriber: they have the time of the call."""


def write_events(hub: str, credentials: Credentials | None, listen_s: float, out: Path) -> None:
    """Write the events that a hub holds, those of the next `listen_s` s, and when it heard each node, a line each.

    Raises:
        CommandError: the hub cannot be called, or holds no event.
    """
    with admin_at(hub, credentials) as admin:
        events = [as_dict(event) for event in events_of(admin, listen_s)]
        at_s = [event["at_unix_s"] for event in events if not OF_THE_CALL & event.keys()]
        if not at_s:
            raise CommandError(f"{hub}: holds no event yet; use its HUB_TRACE_DIR, or listen for longer with --for")
        heard = list(signs_of_life(admin, min(at_s), {node_of(event) for event in events}))
    with out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in (*events, *heard))


def events_of(admin: HubAdminStub, listen_s: float) -> Iterator[pb.Event]:
    """Yield the events that a hub holds, and those of the next `listen_s` s."""
    stats = admin.GetStats(pb.GetStatsRequest(), timeout=ANSWER_S)
    if not stats.events and not listen_s:
        return
    until = monotonic() + listen_s
    stream = admin.WatchEvents(
        pb.WatchEventsRequest(epoch=stats.epoch, after_seq=0), timeout=listen_s + (0 if listen_s else ANSWER_S)
    )
    try:
        for event in stream:
            yield event
            if event.seq >= stats.events and not listen_s:
                break
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or monotonic() < until:
            raise
    stream.cancel()


def signs_of_life(admin: HubAdminStub, begin_s: float, known: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the last sign of life of each node that is online; of one that is not `known` also one at the beginning.

    The hub would hold an event of a node that was not online all the time.
    """
    token = ""
    while True:
        page = admin.ListNodes(pb.ListNodesRequest(status=pb.STATUS_ONLINE, page_token=token), timeout=ANSWER_S)
        now_s = time()
        for node in page.nodes:
            last_s = max(now_s - node.silent_s, begin_s)
            if node.node_id not in known and last_s > begin_s:
                yield heard(node.node_id, begin_s)
            yield heard(node.node_id, last_s)
        token = page.next_page_token
        if not token:
            return


def heard(node: str, at_s: float) -> dict[str, Any]:
    """Return a sign of life as an event of the log."""
    return {"at_unix_s": at_s, "changed": {"node_id": node, "reason": "heard"}}


def node_of(event: dict[str, Any]) -> str:
    """Return the node of which an event shows that it was heard, or silent; empty if it shows neither."""
    from heartbench.analysis.imports.formats.hub_events import TURNS

    changed = event.get("changed", {})
    return str(changed["node_id"]) if changed.get("reason") in TURNS else ""
