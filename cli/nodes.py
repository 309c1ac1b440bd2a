"""`heartbench nodes`: list the nodes that a running hub knows."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.inspection import ANSWER_S, AsJson, HubAddress, admin_at, as_dict, moment, word
from heartbench.cli.output import print_json, print_table
from heartbench.hub.printable import printable
from heartbench.mesh.credentials import load_credentials
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

PAGE = 1000


class Status(StrEnum):
    """A status to list."""

    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"


def nodes(
    hub: HubAddress,
    status: Annotated[Status | None, typer.Option(help="Only nodes with this status.")] = None,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List the nodes that a hub knows, with their status."""
    with admin_at(hub, load_credentials(tls_ca, cert, key, token)) as admin:
        found = list(all_nodes(admin, status))
    if as_json:
        print_json({"schema": "heartbench.nodes/1", "nodes": [as_dict(node) for node in found]})
        return
    rows = [
        (
            printable(node.node_id),
            word(pb.Status.Name(node.status)),
            "yes" if node.connected else "no",
            "yes" if node.flapping else "no",
            node.flaps,
            f"{node.silent_s:.1f}",
            f"{node.heartbeat_interval_s:g}" if node.heartbeat_interval_s else "",
            node.heartbeats,
            moment(node.changed_unix_s),
            word(pb.Reason.Name(node.reason)),
        )
        for node in found
    ]
    columns = (
        "node",
        "status",
        "connected",
        "flapping",
        "flaps",
        "silent s",
        "interval s",
        "heartbeats",
        "since",
        "why",
    )
    print_table(f"{len(rows)} nodes", columns, rows)


def all_nodes(admin: HubAdminStub, status: Status | None) -> Iterator[pb.NodeInfo]:
    """Yield the nodes of one status, or all, page by page."""
    request = pb.ListNodesRequest(page_size=PAGE)
    if status:
        request.status = pb.Status.Value(f"STATUS_{status.name}")
    while True:
        page = admin.ListNodes(request, timeout=ANSWER_S)
        yield from page.nodes
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
