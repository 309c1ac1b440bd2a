"""The answer of Prometheus to a range query: `up`, a counter of heartbeats, or the time of the last one, of each node.

    curl 'http://prometheus:9090/api/v1/query_range?query=up{job="nodes"}&start=…&end=…&step=15' > up.json

The format is that of prometheus.io/docs/prometheus/latest/querying/api (resultType matrix). What a series is its values
say: only 0 and 1 is `up`, and each 1 a sign of life; Unix times close to those of the samples are times of the last
heartbeat, and each new one is one; all else is a counter, and each rise a sign of life, each fall a restart. A series
named `…_boot_time_seconds` or `…_start_time_seconds` in the same answer tells when the nodes began again. The node is
the label that `--node` names, else NODE_LABELS.

Samples come once in a step, so each time is known to within the step only, and heartbeats between two samples are not
seen: the log is interval-censored. The step is the least time between two samples.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.imports.formats.documents import Document, at, why_not_json
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import UNKNOWN, Floats, Read, Rows, Stated
from heartbench.analysis.imports.sources import DAMAGE, Source, quoted
from heartbench.analysis.imports.times import LATEST_S

NODE_LABELS = ("node", "instance", "nodename", "host", "name")
BEGAN = re.compile(r'"__name__": "[^"]*_(boot|start)_time_seconds"')
BLANK = re.compile(r"[\s,]*")
RESULT = re.compile(r'"result"\s*:\s*\[')
YEAR_S, DATES_BEGIN_S = 366 * 86_400.0, 1e8


Samples: TypeAlias = tuple[Floats, Floats]
"""Times, s, and values."""


def read(sources: Sequence[Source], options: ImportOptions) -> Iterator[Read]:
    """Yield the signs of life in range queries; a series may go on from file to file."""
    found: dict[tuple[str, str], list[Samples]] = {}  # by node and labels
    for source in sources:
        for series in _series(source):
            node, labels = _node(series, options.node)
            found.setdefault((node, labels), []).append(_samples(series))
    joined = {key: _joined(parts) for key, parts in found.items()}
    steps_s = [float(np.diff(at_s).min()) for at_s, _ in joined.values() if len(at_s) > 1]
    if steps_s:
        step_s = min(steps_s)
        note = f"Times are known to within the {step_s:g} s between two samples: shorter silences are not in the log."
        yield Stated(step_s=step_s, note=note)
    starts: dict[str, Floats] = {}
    for (node, labels), (_, value) in joined.items():
        if BEGAN.search(labels):
            starts[node] = np.union1d(starts.get(node, np.zeros(0)), np.round(value))
    for (node, labels), (at_s, value) in joined.items():
        if not BEGAN.search(labels):
            times, boot = _signs(at_s, value)
            if node in starts:
                boot = np.searchsorted(starts[node], times, side="right")
            yield Rows.of([node] * len(times), times, boot=boot)


def _node(series: Document, label: str | None) -> tuple[str, str]:
    """Return the node of a series, and its labels as text."""
    metric = at(series.value, "metric")
    metric = metric if isinstance(metric, dict) else {}
    labels = NODE_LABELS if label is None else (label,)
    name = next((metric[each] for each in labels if isinstance(metric.get(each), str)), None)
    if not name:
        has = ", ".join(map(str, metric))
        raise series.error(f"a series without a label for the node among {quoted(has, 100)}; name it with --node")
    return name, json.dumps(metric, sort_keys=True)


def _joined(parts: Sequence[Samples]) -> Samples:
    """Return the samples of a series in the order of time, each once."""
    at_s, first = np.unique(np.concatenate([part[0] for part in parts]), return_index=True)
    return at_s, np.concatenate([part[1] for part in parts])[first]


def _signs(at_s: Floats, value: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the times of signs of life that samples show, s, and the boot of each."""
    if np.isin(value, (0, 1)).all():
        times = at_s[value == 1]
    elif np.all(np.abs(value - at_s) < YEAR_S) and np.all(value > DATES_BEGIN_S):
        times = np.unique(value)
    else:
        change = np.diff(value, prepend=value[:1])
        return at_s[change != 0], np.cumsum(change < 0)[change != 0]
    return times, np.full(len(times), UNKNOWN, np.int64)


def _samples(series: Document) -> Samples:
    """Return the times, s, and the values of a series; values that are NaN are left out."""
    values = series.items(series.value, "values")
    try:
        at_s = np.array([float(each[0]) for each in values])
        value = np.array([float(each[1]) for each in values])
        good = all(len(each) == 2 for each in values) and np.all(np.abs(at_s) < LATEST_S) and np.all(np.diff(at_s) > 0)
    except (TypeError, ValueError, LookupError, OverflowError):
        good = False
    if not good:
        raise series.error('values: expected pairs [time, "value"] in the order of time')
    known = np.isfinite(value)
    return at_s[known], value[known]


def _series(source: Source) -> Iterator[Document]:
    """Yield the series of an answer, one at a time: all of them as Python objects would need far more memory.

    Raises:
        AnalysisError: it is not the answer to a range query.
    """
    text = _text(source)
    begins = RESULT.search(text)
    if begins is None or not re.search(r'"resultType"\s*:\s*"matrix"', text):
        raise source.error(1, 'not the answer to a range query; expected "resultType":"matrix" and a result')
    decoder = json.JSONDecoder()
    place, line, counted = begins.end(), 1, 0
    while True:
        place = BLANK.match(text, place).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, place), place
        if text.startswith("]", place):
            break
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            wrong = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise source.error(wrong, why_not_json(error)) from error
        if not isinstance(value, dict):
            raise source.error(line, "expected a series, an object with metric and values")
        yield Document(source, line, value)
    if RESULT.search(text, place):
        raise source.error(line, "more than one answer in the file; put each into its own")


def _text(source: Source) -> str:
    try:
        with source.open() as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise source.error(1 + error.object[: error.start].count(b"\n"), "not UTF-8") from error
    except DAMAGE as error:
        raise source.unreadable(1, error) from error
