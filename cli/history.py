"""`heartbench history`: print the newest terminal output of a node of a running hub."""

from base64 import b64encode
from typing import Annotated

import typer

from heartbench.cli.inspection import ANSWER_S, DEFAULT_HUB, AsJson, HubAddress, admin_at
from heartbench.cli.output import print_json
from heartbench.hub.printable import printable
from heartbench.mesh.v1 import mesh_pb2 as pb


def history(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    hub: HubAddress = DEFAULT_HUB,
    as_json: AsJson = False,
) -> None:
    """Print the newest terminal output of a node; control characters are shown as escapes."""
    with admin_at(hub) as admin:
        chunks = admin.GetHistory(pb.GetHistoryRequest(node_id=node), timeout=ANSWER_S).chunks
    if as_json:
        kept = [
            {"boot_id": chunk.boot_id, "seq": chunk.seq, "sent_unix_s": chunk.sent_unix_s,
             "data_base64": b64encode(chunk.data).decode()}
            for chunk in chunks
        ]  # fmt: skip
        print_json({"schema": "heartbench.history/1", "node": node, "chunks": kept})
        return
    text = b"".join(chunk.data for chunk in chunks).decode("utf-8", "backslashreplace")
    print("\n".join(printable(line) for line in text.split("\n")))
