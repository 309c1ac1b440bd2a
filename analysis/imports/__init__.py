"""Logs of real hubs, imported as traces: which format a log has, what it shows, and what it cannot show.

record = import_log([Path("hub.log")], ImportOptions(), Path("imported"))
evidence_of(Path(record.trace))
"""

from heartbench.analysis.imports.importing import import_log
from heartbench.analysis.imports.options import ImportOptions, Moment, NodeMoment, parse_span, parse_unit
from heartbench.analysis.imports.record import Dead, ImportRecord, Suspect

__all__ = [
    "Dead",
    "ImportOptions",
    "ImportRecord",
    "Moment",
    "NodeMoment",
    "Suspect",
    "import_log",
    "parse_span",
    "parse_unit",
]
