"""Lines of a program's log that match a pattern, as arrays, without a loop over lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heartbench.analysis.imports.sources import Block, quoted
from heartbench.analysis.imports.times import TimeForm, form_of, seconds

DATE = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
"""A date as programs print it."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The lines of a block that match: their numbers in the block, from 0, and the named groups as text."""

    block: Block
    line: NDArray[np.int64]
    groups: Mapping[str, "pa.Array[Any]"]

    def times(self) -> NDArray[np.float64]:
        """Return the group `time` in s.

        Raises:
            AnalysisError: one is no time.
        """
        texts = pc.replace_substring(self.groups["time"], "/", "-")
        form = self.form()
        times = seconds(texts, form) if form else np.full(len(texts), np.nan)
        wrong = np.isnan(times)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise self.block.error(int(self.line[at]), f"{quoted(texts[at].as_py())}: not a time as in the line before")
        return times

    def texts(self, name: str) -> list[str]:
        """Return a group that every match has."""
        return [str(text) for text in self.groups[name].to_pylist()]

    def form(self) -> TimeForm | None:
        """Return how the times are written; None: there are none."""
        texts = self.groups["time"]
        return form_of(texts[0].as_py().replace("/", "-")) if len(texts) else None


def matches(block: Block, pattern: str) -> Matches:
    """Return the lines of a block that match a pattern, which is one of RE2; other bytes than UTF-8 become `?`."""
    text = block.text if _is_utf8(block.text) else block.text.decode("utf-8", "replace").encode()
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes == ord("\n")).astype(np.int32)
    offsets = np.append(np.int32(0), ends + 1)
    buffers: Any = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text)]
    lines: Any = pa.Array.from_buffers(pa.string(), len(ends), buffers)
    found: Any = pc.extract_regex(lines, pattern=pattern)
    line = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    chosen = found.take(pa.array(line))
    groups = {field.name: chosen.field(place) for place, field in enumerate(found.type)}
    return Matches(block, line, groups)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
