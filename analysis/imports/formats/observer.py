"""The file of our own hub's observer (HUB_OBSERVE_FILE): every message that the hub received.

Times are on the hub's monotonic clock; the header ties it to Unix time. Each start of a hub writes a new file, so
several files are several lives of one hub: between the last record of one and the header of the next it was down. A
last line without its end, as a killed hub leaves it, is left out. Deadlines and changes of status are not imported: the
trace is to be judged anew.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Rows, Stated
from heartbench.analysis.imports.sources import Block, Source, blocks, quoted
from heartbench.analysis.imports.times import LATEST_S
from heartbench.hub.events.observer_file import SCHEMA, WIDTHS, Receipt
from heartbench.mesh.kinds import KINDS, WORDS


class _Life(NamedTuple):
    """What the header of one life of the hub says."""

    source: Source
    unix_at_zero_s: float
    began_s: float


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the messages of one or more lives of a hub."""
    ended_s: float | None = None
    for life in sorted((_life(source) for source in sources), key=lambda life: life.began_s):
        if ended_s is not None and life.began_s > ended_s:
            yield Stated(hub_down=((ended_s, life.began_s),))
        ended_s = max(life.began_s, ended_s or life.began_s)
        for block in blocks(life.source):
            records = _records(block)
            if len(records) > (block.first_line == 1):
                ended_s = max(ended_s, life.unix_at_zero_s + _last_s(block, records))
                yield _rows(block, records, life.unix_at_zero_s)


def _life(source: Source) -> _Life:
    """Return what the header of a file says.

    Raises:
        AnalysisError: the first line is not a header.
    """
    first = source.head().partition(b"\n")[0]
    try:
        name, values = json.loads(first)
        unix_s, monotonic_s = float(values["unix_s"]), float(values["monotonic_s"])
        if name == "header" and values["schema"] == SCHEMA and 0 <= unix_s < LATEST_S and abs(monotonic_s) < LATEST_S:
            return _Life(source, unix_s - monotonic_s, unix_s)
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        pass
    raise source.error(1, f"not an observer file; its first line must be a header of {SCHEMA}")


def _records(block: Block) -> list[list[Any]]:
    """Return the records of a block, the header among them; a last line without its end is left out."""
    lines = block.text.decode("utf-8", "replace").split("\n")[: -2 if block.cut else -1]
    try:  # one call for many lines is twice as fast
        records = json.loads("[" + ",".join(lines) + "]")
        ok = len(records) == len(lines)
    except (ValueError, RecursionError):
        ok = False
    records = records if ok else [_record(block, number, line) for number, line in enumerate(lines)]
    for number, record in enumerate(records):
        name = record[0] if isinstance(record, list) and record else None
        is_header = block.first_line + number == 1
        if not is_header and (not isinstance(name, str) or len(record) != WIDTHS.get(name)):
            raise block.error(number, f"{quoted(lines[number])}: not a record of {SCHEMA}")
    return records


def _record(block: Block, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise block.error(number, f"{quoted(line)}: not JSON") from error


def _last_s(block: Block, records: list[list[Any]]) -> float:
    """Return the time of the last record."""
    at_s = records[-1][1]
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not abs(at_s) < LATEST_S:
        raise block.error(len(records) - 1, f"at_s: {quoted(str(at_s))}: expected a time in s")
    return float(at_s)


def _rows(block: Block, records: list[list[Any]], unix_at_zero_s: float) -> Rows:
    """Return the messages among records."""
    receipts = [(number, record) for number, record in enumerate(records) if record[0] == "receipt"]
    for number, record in receipts:
        values = Receipt._make(record[1:])
        times = (values.at_s, values.sent_unix_s)
        counts = (values.boot_id, values.seq)
        good = all(type(each) in (int, float) and abs(each) < LATEST_S for each in times)
        good &= all(type(each) is int and 0 <= each < 2**63 for each in counts)
        if not good or not isinstance(values.node_id, str) or values.kind not in WORDS:
            raise block.error(
                number, f"{quoted(str(record), 100)}: not a receipt; expected {', '.join(Receipt._fields)}"
            )
    at_s, node, boot, _, kind, seq, sent_s = (
        zip(*(record[1:] for _, record in receipts), strict=True) if receipts else [()] * 7
    )
    sent = np.array(sent_s, np.float64)
    return Rows.of(
        list(node),
        np.array(at_s, np.float64) + unix_at_zero_s,
        sent_s=np.where(sent > 0, sent, np.nan),
        seq=np.array(seq, np.int64),
        boot=np.array(boot, np.int64),
        kind=np.array([KINDS[word] for word in kind], np.int8),
    )
