"""The event stream of Nomad, topic Node. Edges, no heartbeats (`edges`).

    nomad operator api '/v1/event/stream?topic=Node' > nomad.log      one JSON object per line, {} in quiet times

Each event has the node as it is now (`Payload.Node`: Name, Status, StatusUpdatedAt in whole Unix seconds):
developer.hashicorp.com/nomad/api-docs/events. Heartbeats that change no status are not in the stream. `down` and
`disconnected` are marks, `ready` is a return; a node that is deregistered has left. The silence before the mark is the
TTL that a server gave the node (`min_heartbeat_ttl` and more: it grows with the fleet and is jittered) and
`heartbeat_grace`, so `--marked-after` is right only to within some seconds:
developer.hashicorp.com/nomad/docs/configuration/server.
"""

from collections.abc import Iterator, Sequence

from heartbench.analysis.imports.formats.documents import at, documents
from heartbench.analysis.imports.formats.edges import Edge, Turn, messages_of, timeout_of
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Stated
from heartbench.analysis.imports.sources import Source

TURNS = {"ready": Turn.ONLINE, "down": Turn.SILENT, "disconnected": Turn.SILENT}


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the messages that changes of nodes show."""
    timeout_s = timeout_of(sources[0], options)
    edges: list[Edge] = []
    known: dict[str, str] = {}
    notes: list[str] = []
    for source in sources:
        for document in documents(source, notes.append):
            for event in document.items(document.value, "Events"):
                if at(event, "Topic") != "Node" or at(event, "Payload.Node") is None:
                    continue
                name, status = (document.text(event, f"Payload.Node.{key}") for key in ("Name", "Status"))
                if at(event, "Type") == "NodeDeregistration":
                    status = "left"
                if status == known.get(name) or (status not in TURNS and status != "left"):
                    continue
                at_s = document.number(event, "Payload.Node.StatusUpdatedAt")
                turn = TURNS.get(status, Turn.LEFT)
                edges.append(Edge(name, at_s, turn, name not in known, source, document.line))
                known[name] = status
    yield from (Stated(note=note) for note in notes)
    yield from messages_of(edges, timeout_s, 1.0)
