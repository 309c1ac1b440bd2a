"""What an import found in a log: `import.json`, beside `nodes.parquet` and the folder `trace/`.

All times are s since `origin_unix_s`, which is 0 for a log whose times count from an unknown moment.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from heartbench.analysis.errors import AnalysisError

SCHEMA = "heartbench.import/1"
FILE = "import.json"
ALL_NODES = "all nodes"
"""Name of the only group of a log, or of a trace that lists no groups."""

Span = tuple[float, float]
"""From and to, s."""


class Suspect(NamedTuple):
    """A node that was silent at the end of the log for much longer than ever before."""

    node: str
    last_s: float
    silent_s: float


class Dead(NamedTuple):
    """A node that the user says is gone; `at_s` is its last sign of life unless the user named a time."""

    node: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """What was imported, from what, and what remains open.

    Attributes:
        format: name of the log's format.
        nodes: number of nodes.
        heartbeats: number of messages in the trace, of every kind.
        hours: from the first to the last message of the log.
        restarts: how often a node began again, as the log shows or the user said.
        hub_down: when the hub was down, s; counts against no node.
        suspects: nodes that fell silent before the end.
        dead: nodes that the user named.
        all_silent: when all nodes were silent at once, outside `hub_down`, s.
        trace: path of the trace.
        origin_unix_s: Unix time of second 0; 0 if the log's times are not dates.
        interval_s: usual heartbeat interval, s: given, stated in the log, or the median gap.
        step_s: each time is known to within this, s: the scrape step, or the resolution of the log; None: exact.
        transit: whether `sent_s` are the senders' times.
        statuses_s: the log has only changes of status by a detector with this timeout, s: shorter gaps are not in it
            (the trace has one message per timeout while the node was online); None: it has the messages.
        ended_s: the log goes on until then, s; None: until the last message.
        notes: what the log cannot say and what was assumed, in sentences.
        sources: the files.
    """

    format: str
    nodes: int
    heartbeats: int
    hours: float
    restarts: int
    hub_down: tuple[Span, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    dead: tuple[Dead, ...] = ()
    all_silent: tuple[Span, ...] = ()
    trace: str
    origin_unix_s: float = 0.0
    interval_s: float
    step_s: float | None = None
    transit: bool = False
    statuses_s: float | None = None
    ended_s: float | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the content of `import.json`."""
        plain = {"schema": SCHEMA, **asdict(self)}
        return {
            **plain,
            "suspects": [each._asdict() for each in self.suspects],
            "dead": [each._asdict() for each in self.dead],
        }

    def write(self, directory: Path) -> None:
        """Write `import.json` into a directory."""
        text = json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n"
        (directory / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the record of an imported trace.

        Raises:
            AnalysisError: there is none, or it is damaged.
        """
        file = directory / FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
            raise AnalysisError(f"{file}: cannot be read: {reason}; `heartbench import` writes it") from error
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise AnalysisError(f"{file}: schema: expected {SCHEMA}")
        try:
            record = cls(**_values(found))
        except (KeyError, TypeError, ValueError) as error:
            raise AnalysisError(f"{file}: damaged ({error}); run `heartbench import` again") from error
        times = (record.hours, record.interval_s, record.origin_unix_s, record.ended_s or 0.0)
        if not all(map(math.isfinite, times)) or record.interval_s <= 0:
            raise AnalysisError(
                f"{file}: damaged: hours, interval_s, origin_unix_s, ended_s; run `heartbench import` again"
            )
        return record


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record from JSON, in their types."""
    values = {field.name: found[field.name] for field in fields(ImportRecord) if field.name in found}
    for name in ("hub_down", "all_silent"):
        values[name] = tuple((float(begin), float(end)) for begin, end in values.get(name, ()))
    values["suspects"] = tuple(Suspect(each["node"], each["last_s"], each["silent_s"]) for each in found["suspects"])
    values["dead"] = tuple(Dead(each["node"], each["at_s"]) for each in found["dead"])
    for name in ("notes", "sources"):
        values[name] = tuple(map(str, values.get(name, ())))
    for name in ("hours", "interval_s", "origin_unix_s"):
        values[name] = float(values[name])
    if values.get("ended_s") is not None:
        values["ended_s"] = float(values["ended_s"])
    return values
