"""`heartbench events`: print the events that a running hub holds, and those to come."""

import json
from typing import Annotated

import typer

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.inspection import ANSWER_S, AsJson, HubAddress, admin_at, as_dict, moment, shown
from heartbench.mesh.credentials import load_credentials
from heartbench.mesh.v1 import mesh_pb2 as pb


def events(
    hub: HubAddress,
    node: Annotated[str, typer.Option(metavar="NAME", help="Only events about this node, or about all.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print the events that a hub still holds, oldest first, one per line."""
    with admin_at(hub, load_credentials(tls_ca, cert, key, token)) as admin:
        stats = admin.GetStats(pb.GetStatsRequest(), timeout=ANSWER_S)
        if not stats.events and not follow:
            return
        stream = admin.WatchEvents(pb.WatchEventsRequest(epoch=stats.epoch, after_seq=0))
        for event in stream:
            if not node or node_of(event) in ("", node):
                print(json.dumps(as_dict(event)) if as_json else line_of(event), flush=True)
            if event.seq >= stats.events and not follow:
                stream.cancel()
                return


def node_of(event: pb.Event) -> str:
    """Return the node that an event is about; empty if it is about all."""
    return str(getattr(getattr(event, event.WhichOneof("body") or "", None), "node_id", ""))


def line_of(event: pb.Event) -> str:
    """Return an event as a line of text."""
    kind = event.WhichOneof("body") or "unknown"
    fields = as_dict(getattr(event, kind)) if kind != "unknown" else {}
    words = " ".join(f"{name}={shown(value)}" for name, value in fields.items())
    return f"{moment(event.at_unix_s)} {event.seq} {kind} {words}"
