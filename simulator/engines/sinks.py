"""Sinks of general use: the Parquet files of a run directory, and several sinks at once."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from heartbench.simulator.engines.contract import Block, Conditions, Sink
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import Messages, NodesWriter, TraceWriter, Truth, TruthWriter, write_transitions


@dataclass(frozen=True, slots=True)
class _Written:
    """A block whose messages are on disk: what is left to write of it."""

    index: int
    group: str
    names: dict[int, str]
    truth: Truth


class ParquetSink(Sink[_Written]):
    """Writes trace, nodes, truth and transitions of a run into its directory.

        with ParquetSink(directory) as sink:
            engine.run(scenario, sink)

    Parts of the trace are written where their blocks are made, the other tables here. If a run fails, the blocks before
    stay, and without any block nothing is left; a run that ends early without a block has empty tables.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._trace = TraceWriter(directory.trace)
        self._blocks: list[int] = []

    def __enter__(self) -> Self:
        with ExitStack() as tables:
            self._truth = tables.enter_context(TruthWriter(self._directory.truth))
            self._nodes = tables.enter_context(NodesWriter(self._directory.nodes))
            self._tables = tables.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or self._blocks:
            self._tables.close()
        else:
            self._tables.__exit__(kind, error, at)
        if error is not None:
            self._remove_parts_of_other_blocks()
        elif not self._blocks:
            self._trace.write_part(0, _no_messages())

    def begin(self, conditions: Conditions) -> None:
        """Write what happened to the hub."""
        if conditions.hub_truth is not None:
            self._truth.write(conditions.hub_truth)

    @property
    def extract(self) -> Callable[[Block], _Written]:
        """Function that writes the part of a block."""
        return partial(_write_part, self._trace)

    def add(self, kept: _Written) -> None:
        """Write truth and names of a block."""
        self._truth.write(kept.truth)
        self._nodes.write(kept.group, kept.names)
        self._blocks.append(kept.index)

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Write the hub's status changes."""
        write_transitions(self._directory.transitions, transitions)

    def _remove_parts_of_other_blocks(self) -> None:
        whole = {self._trace.path_of(index) for index in self._blocks}
        for part in set(self._directory.trace.iterdir()) - whole:
            part.unlink()


def _write_part(trace: TraceWriter, block: Block) -> _Written:
    trace.write_part(block.index, block.messages)
    return _Written(block.index, block.group, dict(block.names), block.truth)


def _no_messages() -> Messages:
    none: Any = np.zeros(0)
    return Messages(none, none, none, none, none, none, none)


class Sinks(Sink[tuple[Any, ...]]):
    """Several sinks at once; what each extracts from a block is extracted in their order."""

    def __init__(self, *sinks: Sink[Any]) -> None:
        self._sinks = sinks

    def begin(self, conditions: Conditions) -> None:
        """Prepare each."""
        for sink in self._sinks:
            sink.begin(conditions)

    @property
    def extract(self) -> Callable[[Block], tuple[Any, ...]]:
        """Function that reduces a block to what each keeps."""
        return partial(_extract_all, [sink.extract for sink in self._sinks])

    def add(self, kept: tuple[Any, ...]) -> None:
        """Add to each."""
        for sink, its in zip(self._sinks, kept, strict=True):
            sink.add(its)

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Add the hub's status changes to each."""
        for sink in self._sinks:
            sink.add_transitions(transitions)


def _extract_all(extracts: list[Callable[[Block], Any]], block: Block) -> tuple[Any, ...]:
    return tuple(extract(block) for extract in extracts)
