"""The record of a run in four Parquet tables: messages (the trace), nodes, truth, and the hub's status changes.

The rule of a trace: rows are sorted by (node, sent_s), and all rows of a node are in one part, so that a reader that
goes part by part sees each node whole. Times are seconds since the start of the run. Nothing is computed here.
"""

from heartbench.simulator.trace.columns import OUTAGES, Messages, Truth, TruthEvent
from heartbench.simulator.trace.reading import (
    read_blocks,
    read_nodes,
    read_trace,
    read_transitions,
    read_truth,
    trace_parts,
)
from heartbench.simulator.trace.tables import schema_of
from heartbench.simulator.trace.writing import NodesWriter, TraceWriter, TruthWriter, write_transitions

__all__ = [
    "OUTAGES",
    "Messages",
    "NodesWriter",
    "TraceWriter",
    "Truth",
    "TruthEvent",
    "TruthWriter",
    "read_blocks",
    "read_nodes",
    "read_trace",
    "read_transitions",
    "read_truth",
    "schema_of",
    "trace_parts",
    "write_transitions",
]
