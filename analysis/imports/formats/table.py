"""The table of formats, and how a log is recognised: by the beginning of its first file, not by its name."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.formats import (
    columns,
    consul,
    hub_events,
    hub_trace,
    json_lines,
    kubernetes_audit,
    kubernetes_leases,
    mosquitto,
    nomad,
    observer,
    prometheus,
    serf,
)
from heartbench.analysis.imports.options import OF_SOME_FORMATS, ImportOptions
from heartbench.analysis.imports.rows import Read, Rows
from heartbench.analysis.imports.sources import Source, quoted
from heartbench.hub.events.trace_directory import is_piece

ReadFile: TypeAlias = Callable[[Source, ImportOptions], Iterator[Read]]
ReadLog: TypeAlias = Callable[[Sequence[Source], ImportOptions], Iterator[Read]]


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A format.

    Attributes:
        name: its name.
        begins: what the beginning of a file holds.
        read: its reader.
        holds: what the files should hold, in words.
        takes: which of the options OF_SOME_FORMATS it has a use for.
    """

    name: str
    begins: re.Pattern[bytes]
    read: ReadLog
    holds: str
    takes: frozenset[str]


def each(read_file: ReadFile) -> ReadLog:
    """Return the reader of a log whose files are read one by one, each in the order of its clock."""

    def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
        for file, source in enumerate(sources):
            for found in read_file(source, options):
                yield replace(found, file=file) if isinstance(found, Rows) else found

    return read


def _format(name: str, begins: bytes, read: ReadLog, holds: str, takes: Collection[str] = ()) -> LogFormat:
    return LogFormat(name, re.compile(begins, re.MULTILINE), read, f"expected {holds}", frozenset(takes))


OF_CHANGES = ("marked_after_s",)
OF_COLUMNS = tuple(field for field in OF_SOME_FORMATS if field not in OF_CHANGES)
FORMATS = (
    _format("hub-trace", rb"\AHBT1", hub_trace.read, "pieces of HUB_TRACE_DIR"),
    _format("observer", rb'\A\["header",', observer.read, "the file of HUB_OBSERVE_FILE"),
    _format(
        "hub-events",
        rb'\A\s*\{"seq": ?\d+, ?"epoch":',
        hub_events.read,
        "what heartbench events --json prints",
        OF_CHANGES,
    ),
    _format(
        "kubernetes-audit",
        rb'"apiVersion": ?"audit\.k8s\.io/',
        each(kubernetes_audit.read),
        "audit events of node leases",
    ),
    _format(
        "kubernetes-leases",
        rb'"(renewTime|bootID)"|coordination\.k8s\.io|\A\s*\{\s*("apiVersion": ?"v1",\s*)?"items": ?\[\s*\]',
        kubernetes_leases.read,
        "node leases",
    ),
    _format("prometheus", rb'"resultType"', prometheus.read, "the answer to a range query", ("node",)),
    _format("nomad", rb'"Topic": ?"|"Index": ?\d+, ?"Events"', nomad.read, "events of the topic Node", OF_CHANGES),
    _format(
        "consul",
        rb"Check status updated: check=",
        each(consul.read),
        "TTL checks in a Consul agent's log at level debug",
    ),
    _format("consul-serf", rb"serf: EventMember", serf.read, "Serf events in a Consul agent's log", OF_CHANGES),
    _format(
        "mosquitto",
        rb": (New (client connected|connection) from |Received [A-Z]+ from |mosquitto version )",
        each(mosquitto.read),
        "the log of Mosquitto",
    ),
    _format("jsonl", rb"\A\s*\{", each(json_lines.read), "one JSON object per line", OF_COLUMNS),
    _format("csv", rb"\A[^\n]*[,;\t]", each(columns.read), "columns with a header", OF_COLUMNS),
)
"""All formats, the most special first."""


def format_of(sources: Sequence[Source], name: str | None) -> LogFormat:
    """Return the format of a log: the one named, or the one that its first file begins like.

    Raises:
        AnalysisError: there is none.
    """
    known = ", ".join(form.name for form in FORMATS)
    if name is not None:
        for form in FORMATS:
            if form.name == name:
                return form
        raise AnalysisError(f"--format: {name!r} is not known; allowed: {known}")
    source = sources[0]
    if is_piece(source.path):  # Parquet says so only at its end
        return FORMATS[0]
    head = source.head().removeprefix(b"\xef\xbb\xbf")
    if not head.strip():
        raise source.error(1, "the file is empty; expected the log of a hub")
    if head.startswith(b"PAR1"):
        raise source.error(1, "a Parquet file; `heartbench tune` reads a trace in Parquet as it is")
    if b"\0" in head:
        raise source.error(1, "a binary file; expected the log of a hub as text")
    found = next((form for form in FORMATS if form.begins.search(head)), None)
    if found is None:
        raise source.error(1, f"{quoted(head.splitlines()[0])}: not a log of a known format; known: {known}")
    return found


def check_options(source: Source, form: LogFormat, options: ImportOptions) -> None:
    """Raise AnalysisError, about the first file of a log, for an option that its format has no use for."""
    for field, option in OF_SOME_FORMATS.items():
        if getattr(options, field) is not None and field not in form.takes:
            takers = ", ".join(each.name for each in FORMATS if field in each.takes)
            raise source.error(1, f"{option} is not for a log in the format {form.name}; it is for {takers}")
