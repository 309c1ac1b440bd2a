"""`heartbench history`: print the newest terminal output of a node of a running hub."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated

import typer

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.inspection import ANSWER_S, AsJson, HubAddress, admin_at
from heartbench.cli.output import print_json
from heartbench.hub.printable import printable
from heartbench.mesh.credentials import load_credentials
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub


def history(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    hub: HubAddress,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest terminal output of a node; control characters are shown as escapes."""
    with admin_at(hub, load_credentials(tls_ca, cert, key, token)) as admin:
        chunks = list(chunks_of(admin, node))
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


def chunks_of(admin: HubAdminStub, node: str) -> Iterator[pb.Chunk]:
    """Yield the chunks of a node, oldest first, page by page."""
    request = pb.GetHistoryRequest(node_id=node)
    while True:
        page = admin.GetHistory(request, timeout=ANSWER_S)
        yield from page.chunks
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
