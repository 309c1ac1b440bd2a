"""The log of the MQTT broker Mosquitto: connects, pings and messages of clients, and starts of the broker.

    1700000000: New client connected from 10.0.0.7:51234 as node-7 (p2, c1, k60, u'fleet').
    2023-11-14T22:14:20: Received PINGREQ from node-7
    1700000090: Client node-7 disconnected.
    1700000130: Client node-8 has exceeded timeout, disconnecting.
    1700000140: mosquitto version 2.0.18 terminating

The lines are those of `src/handle_connect.c`, `lib/handle_ping.c`, `src/loop.c` and `src/mosquitto.c` of Mosquitto 1.6
and 2.0; times are as `log_timestamp_format` in mosquitto.conf(5) says, without it in whole Unix seconds. Received
packets are logged with `log_type all` (or `debug`) only.

A connect is a hello, a clean disconnect a goodbye, every received packet a sign of life. That the broker noticed a dead
connection is not one. From `terminating` to `starting` the broker was down.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heartbench.analysis.imports.formats.text_lines import DATE, matches
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Rows, Stated
from heartbench.analysis.imports.sources import Block, Source, blocks
from heartbench.mesh.kinds import Kind

TIME = rf"(?:^|[ \]])(?P<time>\d{{9,10}}(?:\.\d+)?|{DATE}): "
MESSAGE = (
    TIME + r"(?:(?P<hello>New (?:client|bridge) connected from \S+ as (?P<new>.+?) \([pc]\d+,.*)"
    r"|(?P<packet>Received [A-Z]+ from (?P<sender>.+?)(?: \(.*)?)"
    r"|(?P<bye>Client (?P<gone>.+?)(?: \[[^\]]*\])? disconnected\.))\r?\n?$"
)
TURN = TIME + r"mosquitto version \S+ (?P<turn>starting|terminating)"
WHOLE = re.compile(r"\d+|.*:\d\d(Z|[+-]\d\d:?\d\d)?")


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the signs of life of clients, and when the broker was down."""
    stopped_s: float | None = None
    told = packets = False
    for block in blocks(source):
        if block.is_rest:
            yield Stated(note=block.left_out())
            continue
        for at_s, turn in _turns(block):
            if turn == "terminating":
                stopped_s = at_s
            elif stopped_s is not None:
                yield Stated(hub_down=((stopped_s, at_s),))
                stopped_s = None
        found = matches(block, MESSAGE)
        if not len(found.line):
            continue
        form = found.form()
        if not told:
            told = True
            whole = WHOLE.fullmatch(found.groups["time"][0].as_py())
            yield Stated(step_s=1.0 if whole else None, note=form.note if form else None)
        empty: Any = pa.scalar("")
        groups: dict[str, Any] = {
            name: pc.if_else(pc.equal(text, empty), None, text) for name, text in found.groups.items()
        }
        hello, bye = (groups[name].is_valid().to_numpy(zero_copy_only=False) for name in ("hello", "bye"))
        kind = np.select([hello, bye], [Kind.HELLO, Kind.GOODBYE], Kind.HEARTBEAT).astype(np.int8)
        packets = packets or not (hello | bye).all()
        names = pc.coalesce(groups["new"], groups["sender"], groups["gone"])
        yield Rows.of(names, found.times(), kind=kind)
    if told and not packets:
        yield Stated(note=f"{source.name} has no received packets, only connects, so gaps mean little: log_type all.")


def _turns(block: Block) -> Iterator[tuple[float, str]]:
    """Yield when the broker started and stopped."""
    if b": mosquitto version " in block.text:
        found = matches(block, TURN)
        yield from zip(found.times().tolist(), found.groups["turn"].to_pylist(), strict=True)
