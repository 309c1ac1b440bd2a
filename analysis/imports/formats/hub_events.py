"""The event stream of our own hub, as `heartbench events --follow --json` prints it. Edges, no heartbeats (`edges`).

`silence` is the mark, by the hub's `stale_after`; `heard`, `registered` and `connected` are messages, `goodbye` is one.
When the hub says that it was paused (`paused`), it was down for so long before. Events that were lost are named.

The hub numbers its events, and a node's are taken in that order: its clock may have been set between two of them.
"""

from collections.abc import Iterator, Sequence

from heartbench.analysis.imports.formats.documents import Document, at, documents
from heartbench.analysis.imports.formats.edges import Edge, Turn, messages_of, timeout_of
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Stated
from heartbench.analysis.imports.sources import Source, quoted

TURNS = {
    "registered": Turn.ONLINE,
    "connected": Turn.ONLINE,
    "replaced": Turn.ONLINE,
    "heard": Turn.ONLINE,
    "silence": Turn.SILENT,
    "goodbye": Turn.LEFT,
}
"""What each reason for a change shows."""
SHOW_NOTHING = ("stream_ended", "flaps_entry", "flaps_exit")


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the messages that the hub's events show."""
    timeout_s = timeout_of(sources[0], options)
    edges: list[Edge] = []
    notes: list[str] = []
    for source in sources:
        for event in documents(source, notes.append):
            at_s = event.number(event.value, "at_unix_s")
            yield from _stated(event, at_s)
            if at(event.value, "changed") is None:
                continue
            node, reason = (event.text(event.value, f"changed.{key}") for key in ("node_id", "reason"))
            if reason in TURNS:
                began = reason in ("registered", "connected", "replaced")
                edges.append(Edge(node, at_s, TURNS[reason], began, source, event.line, _number(event)))
            elif reason not in SHOW_NOTHING:
                known = ", ".join((*TURNS, *SHOW_NOTHING))
                raise event.error(f"changed.reason: {quoted(reason)}: expected one of {known}")
    yield from (Stated(note=note) for note in notes)
    yield from messages_of(edges, timeout_s, None)


def _number(event: Document) -> tuple[int, int] | None:
    """Return the hub's epoch and the number of an event; None if it has none, as those that `watch` adds."""
    epoch, seq = at(event.value, "epoch"), at(event.value, "seq")
    return (epoch, seq) if isinstance(epoch, int) and isinstance(seq, int) else None


def _stated(event: Document, at_s: float) -> Iterator[Stated]:
    if at(event.value, "paused") is not None:
        lasted_s = event.number(event.value, "paused.lasted_s")
        if lasted_s > 0:
            yield Stated(hub_down=((at_s - lasted_s, at_s),))
    if at(event.value, "lost") is not None:
        count = event.number(event.value, "lost.count")
        yield Stated(note=f"{event.source.name}: {count:.0f} events before event {at(event.value, 'seq')} are lost.")
