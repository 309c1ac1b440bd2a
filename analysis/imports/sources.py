"""The files of a log: plain, gzipped, or members of a zip; in blocks of whole lines, so that none is held in memory."""

import gzip
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, cast

from heartbench.analysis.errors import AnalysisError
from heartbench.hub.events.trace_directory import pieces_of

BLOCK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 64 << 20
HEAD_BYTES = 1 << 16
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
DAMAGE = (EOFError, OSError, zipfile.BadZipFile, gzip.zlib.error, RuntimeError)  # type: ignore[attr-defined]
"""What reading a damaged or encrypted archive raises."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a log.

    Attributes:
        member: its name in a zip.
        stem: its name without endings, with the folders only if another file of the log is called the same.
    """

    path: Path
    member: str | None = None
    stem: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    def open(self) -> IO[bytes]:
        """Return the file open for reading, unpacked."""
        if self.member is not None:
            return zipfile.ZipFile(self.path).open(self.member)
        packed = _begins(self.path, GZIP)
        return cast("IO[bytes]", gzip.open(self.path, "rb") if packed else self.path.open("rb"))

    def head(self) -> bytes:
        """Return its beginning.

        Raises:
            AnalysisError: it cannot be read.
        """
        try:
            with self.open() as file:
                return file.read(HEAD_BYTES)
        except DAMAGE as error:
            raise self.unreadable(1, error) from error

    def error(self, line: int, wrong: str) -> AnalysisError:
        """Return the error that a line is wrong."""
        return AnalysisError(f"{self.name}:{line}: {wrong}")

    def unreadable(self, line: int, error: Exception) -> AnalysisError:
        """Return the error that the file cannot be read from a line on."""
        reason = getattr(error, "strerror", None) or str(error).split("\n", maxsplit=1)[0] or "it ends too early"
        return self.error(line, f"cannot be read: {reason}")


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def sources_of(paths: Sequence[Path]) -> list[Source]:
    """Return the files of a log, those in a zip or in a hub's HUB_TRACE_DIR by name.

    Raises:
        AnalysisError: one does not exist, or a zip is damaged or empty.
    """
    found = []
    for path in paths:
        if path.is_dir() and (pieces := pieces_of(path)):
            found += [Source(piece) for piece in pieces]
            continue
        if path.is_dir():
            raise AnalysisError(f"{path}: a directory without the record of a hub; expected the files of a log")
        if not path.is_file():
            raise AnalysisError(f"{path}: no such file; expected the files of a log")
        if not _begins(path, ZIP):
            found.append(Source(path))
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                members = sorted(each.filename for each in archive.infolist() if not each.is_dir())
        except DAMAGE as error:
            raise Source(path).unreadable(1, error) from error
        found += [Source(path, member) for member in members]
    if not found:
        raise AnalysisError("no file to import; expected the files of a log")
    return [replace(source, stem=stem) for source, stem in zip(found, _stems(found), strict=True)]


def _stems(sources: Sequence[Source]) -> list[str]:
    """Return names that tell the files apart."""
    paths = [PurePosixPath(source.member or str(source.path)) for source in sources]
    stems = [path.name.partition(".")[0] for path in paths]
    return [
        stem if stems.count(stem) == 1 else str(path.with_name(stem)) for stem, path in zip(stems, paths, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file, each with its newline; the last line of the file has one too."""

    source: Source
    first_line: int
    text: bytes
    cut: bool = False
    """The file ends without a newline, and its last line is the last here."""

    def error(self, line: int, wrong: str) -> AnalysisError:
        """Return the error that the line with this number in the block, from 0, is wrong."""
        return self.source.error(self.first_line + line, wrong)

    @property
    def is_rest(self) -> bool:
        """Whether it is the cut last line of a longer file."""
        return self.cut and self.first_line > 1

    def left_out(self) -> str:
        """Return the sentence for the user that the last line, which is cut, was left out."""
        return f"{self.source.name}: the last line has no end, {quoted(self.text.rstrip())}: it was left out"

    def filled(self, row: int) -> int:
        """Return the number in the block of the line that holds a row; empty lines hold none."""
        filled = (number for number, line in enumerate(self.text.split(b"\n")) if line.strip())
        return next((number for place, number in enumerate(filled) if place == row), 0)


def blocks(source: Source) -> Iterator[Block]:
    """Yield the lines of a file in blocks of about BLOCK_BYTES.

    Raises:
        AnalysisError: it cannot be read, or has an endless line.
    """
    first_line, rest = 1, b""
    try:
        with source.open() as file:
            while piece := file.read(BLOCK_BYTES):
                end = piece.rfind(b"\n") + 1
                if not end:
                    rest += piece
                    if len(rest) > LONGEST_LINE_BYTES:
                        raise source.error(first_line, f"a line of more than {LONGEST_LINE_BYTES >> 20} MiB")
                    continue
                block = Block(source, first_line, rest + piece[:end])
                rest = piece[end:]
                yield block
                first_line += block.text.count(b"\n")
    except DAMAGE as error:
        raise source.unreadable(first_line, error) from error
    if rest:
        yield Block(source, first_line, rest + b"\n", cut=True)


def quoted(text: bytes | str, most: int = 40) -> str:
    """Return the start of a text for a message."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return repr(plain[:most] + ("…" if len(plain) > most else ""))
