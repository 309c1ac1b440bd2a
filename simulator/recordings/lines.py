"""Lines of a large text file as arrays: split, searched and read as numbers without a loop over lines.

A day of one probe a second is 90,000 lines, but ten million are read in seconds. So files come in blocks of whole
lines, and what a reader wants to know of each line (where a marker stands, which number follows) is computed for a
block at once.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError

BLOCK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 64 << 20
"""`fping -C` prints a run in one line: ten million probes."""
NEWLINE, POINT, ZERO = 10, 46, np.uint8(48)
TENS = 10.0 ** np.arange(19)
GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"
"""Of UTF-8 at the beginning of a file, as editors and PowerShell write it."""
LONGEST_NUMBER = 18
"""More digits do not fit into 64 bits; a date in microseconds has 16."""

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Whole lines of a file. The last line of a file ends here too, with or without a newline."""

    path: Path
    first_line: int
    text: bytes
    cut: bool
    """The file ends without a newline."""
    found: dict[int, tuple[Positions, Positions]] = field(default_factory=dict, repr=False)
    """What `places` found before."""

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """The text, with a newline behind each line."""
        return np.frombuffer(self.text, np.uint8)

    @cached_property
    def windows(self) -> NDArray[np.uint8]:
        """The characters from each place on, as many as a number or a date may have."""
        padding = np.zeros(LONGEST_NUMBER, np.uint8)
        return np.lib.stride_tricks.sliding_window_view(np.append(self.codes, padding), LONGEST_NUMBER + 1)

    @cached_property
    def ends(self) -> Positions:
        """Where the newline of each line stands."""
        return np.flatnonzero(self.codes == NEWLINE)

    @cached_property
    def starts(self) -> Positions:
        """Where each line begins."""
        return np.concatenate(([0], self.ends[:-1] + 1))

    def line(self, index: int) -> bytes:
        """Return one line without its end."""
        return self.text[self.starts[index] : self.ends[index]].rstrip(b"\r")

    def places(self, character: int) -> tuple[Positions, Positions]:
        """Return where a character stands, and in which lines."""
        if character not in self.found:
            at = np.flatnonzero(self.codes == character)
            before = np.searchsorted(at, self.ends)  # fewer to find than the line of each would be
            self.found[character] = at, np.repeat(np.arange(len(self.ends)), np.diff(before, prepend=0))
        return self.found[character]

    def after(self, marker: bytes) -> Positions:
        """Return where in each line the text after the first `marker` begins; -1 where it is missing."""
        last, lines = self.places(marker[-1])
        for back in range(1, len(marker)):
            # Before the beginning stands, by its negative index, the newline of the end.
            here = self.codes[last - back] == marker[-1 - back]
            last, lines = last[here], lines[here]
        found = np.full(len(self.ends), -1)
        found[lines[::-1]] = last[::-1] + 1  # backwards, so that the first of a line stays
        return found

    def numbers(self, at: Positions) -> tuple[NDArray[np.float64], Positions]:
        """Return the decimal numbers that begin `at` these places, NaN where none does, and where each ends."""
        digits, point_at = np.zeros(len(at), np.int64), np.full(len(at), -1, np.int8)
        length, going = np.zeros(len(at), np.int8), at >= 0
        for place, character in enumerate(np.ascontiguousarray(self.windows[at].T)):
            value = character - ZERO  # unsigned: what stands before 0 is large
            digit = going & (value < 10)
            if digit.all():  # most often: lines of one log are alike
                digits *= 10
                digits += value
                length += 1
                continue
            point = going & (character == POINT) & (point_at < 0)
            digits = np.where(digit, digits * 10 + value, digits)
            point_at[point] = place
            going = digit | point
            length += going
            if not going.any():
                break
        decimals = np.where(point_at < 0, 0, length - point_at - 1)
        return np.where(length > (point_at >= 0), digits / TENS[decimals], np.nan), at + length

    def reads(self, at: Positions, text: bytes) -> NDArray[np.bool_]:
        """Return whether `text` stands at these places."""
        found = at >= 0
        for offset, character in enumerate(text):
            found &= self.codes[np.minimum(at + offset, len(self.codes) - 1)] == character
        return found

    def error(self, index: int, wrong: str) -> SimulatorError:
        """Return the error that a line of this block is wrong."""
        return bad_line(self.path, self.first_line + index, wrong)


def bad_line(path: Path, line: int, wrong: str) -> SimulatorError:
    """Return the error that a line of a file is wrong."""
    return SimulatorError(f"{path}:{line}: {wrong}")


def not_a_line(block: Block, index: int, tool: str) -> SimulatorError:
    """Return the error that a line is none of what a tool prints."""
    line = block.line(index)
    if block.cut and index == len(block.ends) - 1:
        return block.error(index, f"{quoted(line)}: the last line is cut; delete it, or copy the log again")
    return block.error(index, f"{quoted(line)}: no line of {tool}")


def quoted(line: bytes, most: int = 40) -> str:
    """Return the start of a line for a message."""
    text = line[:most].decode("utf-8", "replace")
    return repr(text + ("…" if len(line) > most else ""))


def open_log(path: Path) -> IO[bytes]:
    """Return a file open for reading; a gzipped one as what is packed in it."""
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    return cast("IO[bytes]", gzip.open(path, "rb") if packed else path.open("rb"))


def blocks(path: Path, size_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the lines of a file in blocks of about `size_bytes`."""
    first_line, rest = 1, b""
    with open_log(path) as file:
        if file.read(len(MARK)) != MARK:
            file.seek(0)
        while piece := file.read(size_bytes):
            if len(rest) > LONGEST_LINE_BYTES:
                raise bad_line(path, first_line, f"a line of more than {LONGEST_LINE_BYTES >> 20} MiB")
            cut_at = piece.rfind(b"\n") + 1
            if not cut_at:
                rest += piece
                continue
            block = Block(path, first_line, rest + piece[:cut_at], cut=False)
            rest = piece[cut_at:]
            yield block
            first_line += len(block.ends)
    if rest:
        yield Block(path, first_line, rest + b"\n", cut=True)
