"""TTL checks in the log of a Consul agent at level debug: a line for each heartbeat.

    2023-11-14T22:13:20.123Z [DEBUG] agent: Check status updated: check=service:node-7 status=passing
    2023-11-14T22:14:20.123Z [WARN]  agent: Check missed TTL, is now critical: check=service:node-7

A service with a TTL check sends its status by `PUT /v1/agent/check/pass/CHECK_ID`; the agent logs it as
`CheckTTL.SetStatus` in `agent/checks/check.go` does, at level debug (`log_level`, or `consul monitor -log-level=debug`;
not in JSON). Each check is a node. `critical` that a service reports of itself is a sign of life too; that a TTL passed
is not.
"""

from collections.abc import Iterator

import pyarrow.compute as pc

from heartbench.analysis.imports.formats.text_lines import DATE, matches
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Rows, Stated
from heartbench.analysis.imports.sources import Source, blocks

UPDATED = rf"(?P<time>{DATE}) \[DEBUG\] +\S+: Check status updated: check=(?P<check>\"[^\"]+\"|\S+) status="


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the heartbeats of TTL checks."""
    for block in blocks(source):
        if block.is_rest:
            yield Stated(note=block.left_out())
            continue
        found = matches(block, UPDATED)
        if len(found.line):
            form = found.form()
            yield Stated(note=form.note if form else None)
            names = pc.utf8_trim(found.groups["check"], characters='"')
            yield Rows.of(names, found.times())
