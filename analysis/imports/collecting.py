"""All rows of a log's files, and what they state about themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.clock import Clock
from heartbench.analysis.imports.formats import LogFormat
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Floats, Rows, Stated
from heartbench.analysis.imports.sources import Source
from heartbench.analysis.imports.store import Store


@dataclass(slots=True)
class Collected:
    """Everything that the files of a log say.

    Attributes:
        format: name of their format.
        store: the rows; their `era` is an index of `shifts_s`.
        names: the nodes, in order of appearance.
        shifts_s: by how much the times of each era are to be moved, s.
        first_s, last_s: least and greatest time of arrival, as the log has them.
        has_sent: whether any row has the sender's time.
        whole_seconds: whether no time has a fraction.
        stated: what the files state.
        notes: sentences for the user, each once.
    """

    format: str
    sources: Sequence[Source]
    store: Store
    names: dict[str, int] = field(default_factory=dict)
    shifts_s: Floats = field(default_factory=lambda: np.zeros(0))
    first_s: float = np.inf
    last_s: float = -np.inf
    has_sent: bool = False
    whole_seconds: bool = True
    stated: list[Stated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _file: int | None = None
    _clock: Clock = field(default_factory=Clock)

    def add(self, rows: Rows) -> None:
        """Keep rows."""
        if not len(rows):
            return
        codes = np.array([self.names.setdefault(name, len(self.names)) for name in rows.names], np.int32)
        node = codes[rows.node]
        if rows.file != self._file:
            self.end_file()
            self._file = rows.file
        era = np.full(len(rows), len(self.shifts_s), np.int32)
        if rows.file is not None:
            era += self._clock.eras(node, rows.arrived_s)
        self.store.add(rows, node, era)
        self.first_s = min(self.first_s, float(rows.arrived_s.min()))
        self.last_s = max(self.last_s, float(rows.arrived_s.max()))
        self.has_sent |= not np.isnan(rows.sent_s).all()
        self.whole_seconds = self.whole_seconds and not np.any(rows.arrived_s % 1)

    def end_file(self) -> None:
        """Take in what the clock of the last file did."""
        shifts_s = self._clock.shifts_s()
        if shifts_s[-1] and self._file is not None:
            self.note(
                f"{self.sources[self._file].name}: the clock went back by {shifts_s[-1]:g} s; later times were moved "
                "on by as much, and the silences across the jump are not known."
            )
        self.shifts_s = np.append(self.shifts_s, shifts_s)
        self._clock = Clock()

    def note(self, text: str) -> None:
        """Add a sentence for the user."""
        if text not in self.notes:
            self.notes.append(text)


def collect(sources: Sequence[Source], form: LogFormat, options: ImportOptions, folder: Path) -> Collected:
    """Return what the files of a log hold; `folder` takes what does not fit into memory.

    Raises:
        AnalysisError: a file cannot be read, or there is no message in any.
    """
    collected = Collected(form.name, sources, Store(folder))
    for found in form.read(sources, options):
        if isinstance(found, Rows):
            collected.add(found)
        else:
            collected.stated.append(found)
            if found.note:
                collected.note(found.note)
    collected.end_file()
    if not collected.names:
        raise sources[0].error(1, f"no message of a node in it, read as {form.name}; {form.holds}")
    return collected


def moved(kept: NDArray[np.void], shifts_s: Floats, origin_s: float) -> None:
    """Make the times of rows, in place, s since `origin_s` on a clock that was not set."""
    kept["arrived_s"] = np.round(kept["arrived_s"] + shifts_s[kept["era"]] - origin_s, 6)
    kept["sent_s"] = np.round(kept["sent_s"] - origin_s, 6)


def node_named(name: str, names: dict[str, int], option: str) -> int:
    """Return the number of the node that an option names.

    Raises:
        AnalysisError: the log has no such node.
    """
    if name not in names:
        few = ", ".join(list(names)[:3])
        raise AnalysisError(f"{option}: {name!r}: no such node in the log; it has {len(names)}, such as {few}")
    return names[name]
