"""Parsing of what a sweep varies: `KEY=V1,V2,…`, `KEY=FROM..TO:STEPS`, and seeds.

A value is any text that `heartbench run --set` accepts, without a comma.
"""

import re
from dataclasses import dataclass

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.units import format_duration, parse_duration

MOST_VALUES = 10_000
MOST_SEED = 2**63 - 1
_RANGE = re.compile(r"(.*[^.])\.\.([^.].*):(\d{1,9})")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Varied:
    """A key of the scenario and the texts of its values, in the order in which they were given."""

    key: str
    values: tuple[str, ...]

    @property
    def column(self) -> str:
        """Name of its column in the table: the key, with `_s` if the values are durations with units."""
        return f"{self.key}_s" if self._are_durations else self.key

    @property
    def levels(self) -> list[int] | list[float] | list[str]:
        """The values as they stand in the table: numbers, durations in s, or else their texts."""
        if self._are_durations:
            return [parse_duration(text) for text in self.values]
        if not all(_NUMBER.fullmatch(text) for text in self.values):
            return list(self.values)
        whole = all(text.lstrip("+-").isdigit() for text in self.values)
        return [int(text) for text in self.values] if whole else [float(text) for text in self.values]

    @property
    def _are_durations(self) -> bool:
        return any(not _NUMBER.fullmatch(text) for text in self.values) and all(map(_is_duration, self.values))


def parse_vary(text: str) -> Varied:
    """Return what `KEY=V1,V2,…` or `KEY=FROM..TO:STEPS` varies; STEPS is the number of values, both ends included.

    Raises:
        AnalysisError: the text is neither, or a value comes twice.
    """
    key, equals, listed = (part.strip() for part in text.partition("="))
    where = f"--vary {text}"
    if not equals or not all(key.split(".")):
        raise AnalysisError(f"--vary: {text!r}: expected KEY=V1,V2,... or KEY=FROM..TO:STEPS")
    if key == "seed":
        raise AnalysisError(f"{where}: expected the seeds in --seeds, such as --seeds 1..5")
    found = _RANGE.fullmatch(listed)
    values = _between(found[1], found[2], int(found[3]), where) if found else tuple(map(str.strip, listed.split(",")))
    if not all(values):
        raise AnalysisError(f"{where}: a value is empty")
    repeated = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if repeated is not None:
        raise AnalysisError(f"{where}: {repeated} comes twice")
    return Varied(key, values)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds in `1..5`, `1,2,7` or `3`.

    Raises:
        AnalysisError: the text is none of these, or a seed comes twice.
    """
    found = re.fullmatch(r"(\d{1,19})\.\.(\d{1,19})", text.strip())
    if found:
        first, last = int(found[1]), int(found[2])
        if first <= last <= MOST_SEED and last - first < MOST_VALUES:
            return tuple(range(first, last + 1))
    elif re.fullmatch(r"\d{1,19}(,\d{1,19})*", text.strip()):
        seeds = tuple(map(int, text.split(",")))
        if max(seeds) <= MOST_SEED and len(set(seeds)) == len(seeds):
            return seeds
    raise AnalysisError(
        f"--seeds: {text!r}: expected different seeds from 0 to {MOST_SEED}, such as 1..5 or 1,2,7; "
        f"at most {MOST_VALUES:,}"
    )


def _between(first: str, last: str, count: int, where: str) -> tuple[str, ...]:
    """Return `count` values from `first` to `last`, at equal distances."""
    if not 2 <= count <= MOST_VALUES:
        raise AnalysisError(f"{where}: {count} values; expected 2 to {MOST_VALUES:,}")
    ends = first.strip(), last.strip()
    if all(map(_NUMBER.fullmatch, ends)):
        return tuple(f"{value:.12g}" for value in np.linspace(float(ends[0]), float(ends[1]), count))
    if all(map(_is_duration, ends)):
        from_s, to_s = map(parse_duration, ends)
        return tuple(format_duration(round(float(value), 9)) for value in np.linspace(from_s, to_s, count))
    raise AnalysisError(f"{where}: expected two numbers or two durations, such as 30s..120s:4")


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except SimulatorError:
        return False
    return True
