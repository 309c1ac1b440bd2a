"""The record of our own hub (HUB_TRACE_DIR): every message that it received, over all of its runs.

Between two runs, in its pauses and where pieces are missing, the hub was down; see `analysis/hub_trace.py`.
"""

from collections.abc import Iterator, Sequence

from heartbench.analysis.hub_trace import NothingRecordedError, PieceError, trace_of
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Rows, Stated
from heartbench.analysis.imports.sources import Source


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the messages of the pieces, and when the hub did not run."""
    try:
        trace = trace_of(sorted((source.path for source in sources), key=lambda path: path.name))
        yield Stated(hub_down=tuple(trace.hub_down))
        for part in trace.messages():
            yield Rows(part.names, part.node, part.arrived_s, part.sent_s, part.seq, part.boot, part.kind)
    except NothingRecordedError:
        return
    except PieceError as error:
        wrong = str(error).removeprefix(f"{error.path}: ")
        raise Source(error.path).error(1, "".join(each if each.isprintable() else "?" for each in wrong)) from error
