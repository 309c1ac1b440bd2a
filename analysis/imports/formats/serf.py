"""Changes of members in the log of a Consul agent or of Serf: failed, joined, left. Edges, no heartbeats (`edges`).

    2021-08-23T00:27:42.163Z [INFO]  agent.server.serf.lan: serf: EventMemberFailed: client-01 10.128.0.7
    2018/01/11 11:23:38 [INFO] serf: EventMemberJoin: client-01 172.31.26.62

The lines are those of `serf/serf.go` of hashicorp/serf. They come from SWIM, which has no heartbeats at all: other
members probe a node, and `EventMemberFailed` follows some seconds after a probe that failed (Das, Gupta, Motivala,
"SWIM", DSN 2002; `suspicion_mult` in Consul's gossip settings). So `--marked-after` is only about right here.
"""

from collections.abc import Iterator, Sequence

from heartbench.analysis.imports.formats.edges import Edge, Turn, messages_of, timeout_of
from heartbench.analysis.imports.formats.text_lines import DATE, matches
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Stated
from heartbench.analysis.imports.sources import Source, blocks

EVENT = rf"(?P<time>{DATE}) .*serf: EventMember(?P<event>Join|Failed|Leave): (?P<node>\S+)"
TURNS = {"Join": Turn.ONLINE, "Failed": Turn.SILENT, "Leave": Turn.LEFT}


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the messages that changes of members show."""
    timeout_s = timeout_of(sources[0], options)
    edges: list[Edge] = []
    for source in sources:
        for block in blocks(source):
            if block.is_rest:
                yield Stated(note=block.left_out())
                continue
            found = matches(block, EVENT)
            form = found.form()
            if form and form.note:
                yield Stated(note=form.note)
            lines = (found.line + block.first_line).tolist()
            names, events = (found.texts(name) for name in ("node", "event"))
            edges += [
                Edge(name, at_s, TURNS[event], event == "Join", source, line)
                for name, at_s, event, line in zip(names, found.times().tolist(), events, lines, strict=True)
            ]
    yield from messages_of(edges, timeout_s, None)
