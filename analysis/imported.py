"""A trace that was recorded elsewhere: its gaps, block by block, and what its import says about them.

Its times may count from any moment; those of the gaps count from its first arrival. A trace that fits in one block is
read once, a longer one as often as it is judged, and never held whole.

    restarted    a gap that ends with a newer boot counts as time up for nobody, and as no mistake
    hub down     as a restart of the hub: no node is silent then
    dead         a power loss from the named time on, or from the last sign of life
    paused       a gap in which the node itself sent nothing: as restarted, if the log is known to list all messages
    silent       see `readings`
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import ALWAYS_THERE, Absences
from heartbench.analysis.coincidence import LongGaps, join_long_gaps, long_gaps
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gap_lengths import GapLengths
from heartbench.analysis.gaps import NO_LOSSES, Gaps, PowerLosses, cut_at_losses, find_gaps, join_gaps
from heartbench.analysis.imports.record import ALL_NODES, FILE, ImportRecord, Span
from heartbench.analysis.readings import PLAIN, AllSilent, Reading, SilentAtEnd
from heartbench.simulator.trace import read_blocks, read_nodes

BLOCK_GAPS = 1 << 20
"""A block is complete once it has this many gaps."""

Nodes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a trace beside its messages, in the trace's own time; nothing, if it was not imported."""

    record: ImportRecord | None = None
    dead: PowerLosses = NO_LOSSES
    suspects: PowerLosses = NO_LOSSES
    absences: Absences = ALWAYS_THERE
    absences_if_silent: Absences = ALWAYS_THERE  # if the hub was down whenever all nodes were silent

    @classmethod
    def of(cls, path: Path) -> "Known":
        """Return what an import wrote; nothing for a trace alone.

        Raises:
            AnalysisError: `import.json` is damaged, or names a node that `nodes.parquet` does not list.
        """
        if not (path / FILE).exists():
            return cls()
        record, nodes = ImportRecord.read(path), read_nodes(path)
        numbers = {} if nodes is None else dict(zip(nodes.name, nodes.node, strict=True))
        try:
            dead = losses_of([(numbers[each.node], each.at_s) for each in record.dead])
            named = {each.node for each in record.dead}
            suspects = [(numbers[each.node], each.last_s) for each in record.suspects if each.node not in named]
        except KeyError as error:
            raise AnalysisError(
                f"{path / FILE}: node {error} is not in the nodes.parquet beside it, which must list all"
            ) from error
        silent = absences_of((*record.hub_down, *record.all_silent))
        return cls(record, dead, losses_of(suspects), absences_of(record.hub_down), silent)


def absences_of(spans: Sequence[Span]) -> Absences:
    """Return the times when a hub was down, which are disjoint."""
    down = np.array(sorted(spans), float).reshape(-1, 2)
    return Absences(down[:, 0], down[:, 1], np.ones(len(down), bool))


def losses_of(found: Sequence[tuple[int, float]]) -> PowerLosses:
    """Return the power losses of nodes that did not come back, from their numbers and times."""
    node, from_s = np.array(sorted(found), float).reshape(-1, 2).T
    return PowerLosses(node.astype(np.int64), from_s, np.full(len(node), np.inf))


@dataclass(slots=True)
class Seen:
    """What one look at all blocks of a trace finds.

    Attributes:
        node: number of each node that sent something, ascending, and its usual transit time, s.
        gaps: number of gaps.
        left_out: those that ended, but count for nobody, and their length, s.
        usual_gap_s: median of the gaps that ended, s.
        silent: whether a node was ever silent while it was up: two messages of a node came apart.
        long: the long gaps, without those of suspects at the end.
        only: all gaps, if they are one block.
    """

    node: Nodes = field(default_factory=lambda: np.zeros(0, np.int64))
    transit_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    gaps: int = 0
    left_out: int = 0
    left_out_s: float = 0.0
    usual_gap_s: float = np.nan
    silent: bool = False
    long: LongGaps | None = None
    only: Gaps | None = None

    @classmethod
    def of(cls, blocks: Iterator[Gaps], suspects: PowerLosses) -> "Seen":
        """Look at all blocks."""
        seen, lengths = cls(), GapLengths()
        for gaps in blocks:
            seen.only = gaps if not seen.gaps else None
            seen.node, seen.transit_s = np.append(seen.node, gaps.node), np.append(seen.transit_s, gaps.transit_s)
            seen.gaps += len(gaps)
            ended = gaps.heard & ~gaps.away
            lengths.add(gaps.length_s[ended])
            nobodys = ended & (gaps.up_s == 0) & (gaps.length_s > 0)
            seen.left_out += int(nobodys.sum())
            seen.left_out_s += float(gaps.length_s[nobodys].sum())
            seen.silent = seen.silent or bool(np.any(ended & (gaps.up_s > 0)))
            long = long_gaps(cut(gaps, suspects))
            seen.long = long if seen.long is None else join_long_gaps(seen.long, long)
        order = np.argsort(seen.node)
        seen.node, seen.transit_s = seen.node[order], seen.transit_s[order]
        seen.usual_gap_s = lengths.median()
        return seen


class ImportedTrace:
    """The gaps of an imported trace; see the module.

    Attributes:
        begin_s: first arrival, in the trace's own time, s; `end_s` is the last, or when the log ended.
        known: what its import says.
        seen: what it shows.
    """

    def __init__(self, path: Path, skip_pauses: bool = False) -> None:
        """Look through a trace or an imported directory.

        Args:
            path: path of either.
            skip_pauses: whether it lists all messages that were sent, so that it shows when a node itself paused.

        Raises:
            SimulatorError: it is neither.
            AnalysisError: what its import wrote is damaged.
        """
        self._path = path
        self.skip_pauses = skip_pauses
        self.known = Known.of(path)
        self.begin_s, last_s = ends_of(path)
        record = self.known.record
        self.end_s = last_s if record is None or record.ended_s is None else max(last_s, record.ended_s)
        self._suspects = self.known.suspects._replace(from_s=self.known.suspects.from_s - self.begin_s)
        self.seen = Seen.of(self._read(), self._suspects)

    @property
    def node(self) -> Nodes:
        """Number of each node that sent something, ascending."""
        return self.seen.node

    def blocks(self, reading: Reading = PLAIN) -> Iterator[Gaps]:
        """Yield the gaps block by block, each node whole."""
        held = self.seen.only
        known, is_down = self.known, reading.all_silent is AllSilent.DOWN
        absences = self._moved(known.absences_if_silent if is_down else known.absences)
        for block in self._read() if held is None else (held,):
            gaps = replace(block, absences=absences)
            yield cut(gaps, self._suspects) if reading.silent is SilentAtEnd.DEAD else gaps

    def transit_s(self, nodes: Nodes) -> float:
        """Return the usual time of a message of these nodes to the hub, s: the median node's."""
        return float(np.median(self.seen.transit_s[np.isin(self.node, nodes)]))

    def groups(self) -> dict[str, Nodes]:
        """Return the groups in the `nodes.parquet` beside the trace, without nodes that sent nothing."""
        nodes = read_nodes(self._path)
        if nodes is None:
            return {ALL_NODES: self.node}
        unknown = np.setdiff1d(self.node, nodes.node)
        if len(unknown):
            raise AnalysisError(
                f"{self._path}: node {unknown[0]} is not in the nodes.parquet beside it, which must list all"
            )
        heard = nodes[nodes.node.isin(self.node)]
        return {str(name): own.to_numpy(np.int64) for name, own in heard.groupby("group", sort=False).node}

    def _read(self) -> Iterator[Gaps]:
        """Yield the gaps in blocks of BLOCK_GAPS or more, with the suspects alive."""
        known, waiting = self.known, list[Gaps]()
        for messages in read_blocks(self._path):
            found = find_gaps(
                messages,
                known.dead,
                self.end_s,
                known.absences,
                restarts_shown=True,
                pauses_shown=self.skip_pauses,
            )
            waiting.append(found)
            if sum(map(len, waiting)) >= BLOCK_GAPS:
                yield self._joined(waiting)
                waiting = []
        if waiting:
            yield self._joined(waiting)

    def _joined(self, blocks: Sequence[Gaps]) -> Gaps:
        """Return some blocks as one, in s since the first arrival."""
        gaps = join_gaps(blocks)
        return replace(gaps, start_s=gaps.start_s - self.begin_s, absences=self._moved(self.known.absences))

    def _moved(self, absences: Absences) -> Absences:
        """Return absences in s since the first arrival."""
        return Absences(absences.from_s - self.begin_s, absences.to_s - self.begin_s, absences.is_restart)


def cut(gaps: Gaps, losses: PowerLosses) -> Gaps:
    """Return the gaps with these power losses too."""
    up_s = gaps.up_s.copy()
    cut_at_losses(gaps.node, gaps.first, gaps.start_s, gaps.start_s + gaps.length_s, up_s, losses)
    return replace(gaps, up_s=up_s)


def ends_of(path: Path) -> tuple[float, float]:
    """Return the first and the last arrival of a trace, s."""
    begin_s, end_s = np.inf, -np.inf
    for block in read_blocks(path):
        arrived = np.isfinite(block.arrived_s)
        begin_s = min(begin_s, float(np.min(block.arrived_s, initial=np.inf, where=arrived)))
        end_s = max(end_s, float(np.max(block.arrived_s, initial=-np.inf, where=arrived)))
    return begin_s, end_s
