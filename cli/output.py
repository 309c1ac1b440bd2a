"""Output of commands: one JSON object or a table on standard output, progress on standard error.

Standard output carries only the result, so that it can be piped; the progress bar needs a terminal.
"""

import errno
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from heartbench.cli.errors import CommandError

PIPE_WIDTH = 120
"""Width of a table that is not printed to a terminal, in characters."""
MOST_OF_A_NAME = PIPE_WIDTH // 5
"""Longest word of the first column that stays whole in a table that is too wide, in characters."""
MOST_OF_A_FIGURE = 10
"""Longest figure of another column that stays whole, in characters: the halves of one on two lines look like two."""
ANY_WIDTH = 10_000


def console() -> Console:
    """Return a console on standard output, as wide as the terminal or PIPE_WIDTH.

    Markup is off: `[x]` in a user's names and notes is text.
    """
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(plain(result), allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> None:
    """Print a table; the first column is left-aligned, figures are right-aligned.

    Cells of one that is too wide wrap between words, or within long ones. Names in the first column stay whole, and
    figures too, for which the table may become wider than the terminal.
    """
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column, *cells in zip(columns[1:], *(row[1:] for row in rows), strict=True):
        figures = [word for cell in cells for word in str(cell).split() if any(map(str.isdigit, word))]
        most = min(longest_word(figures), MOST_OF_A_FIGURE)
        table.add_column(column, justify="right", overflow="fold", min_width=most)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    out = console()
    if out.measure(table, options=out.options.update(width=ANY_WIDTH)).maximum > out.width:
        table.columns[0].width = min(longest_word([columns[0], *(row[0] for row in rows)]), MOST_OF_A_NAME)
    out.print(table, crop=False)


def longest_word(cells: Iterable[object]) -> int:
    """Return the length of the longest word of some cells, in characters."""
    return max((len(word) for cell in cells for word in str(cell).split()), default=0)


def plain(value: Any) -> Any:
    """Return `value` in JSON types: mappings and sequences by their items, NumPy scalars as numbers, paths as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def check_output(path: Path, option: str = "--out") -> None:
    """Raise an error for a file that cannot be written, before the work for it is done."""
    if path.is_dir() or not path.parent.is_dir():
        raise CommandError(f"{option}: {path}: must be a file in a folder that exists")
    is_special = path.exists() and not path.is_file()
    if not os.access(path if is_special else path.parent, os.W_OK):
        raise CommandError(f"{option}: {path}: cannot be written: {os.strerror(errno.EACCES)}")


def check_distinct(outputs: Mapping[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Raise an error if an output, named by its option, is an input or another output, also by a symbolic link."""
    taken = {path.resolve(): "an input" for path in inputs}
    for option, path in outputs.items():
        place = path.resolve()
        if place in taken:
            raise CommandError(f"{option}: {path}: is {taken[place]} too; choose another name")
        taken[place] = f"the file of {option}"


def check_folder(path: Path, option: str = "--out") -> None:
    """Raise an error for a folder that cannot be created, before the work for it is done."""
    nearest = next(folder for folder in (path, *path.parents, Path()) if folder.exists())
    if not nearest.is_dir():
        raise CommandError(f"{option}: {path}: must be a folder, but {nearest} is not")


def write_whole(path: Path, text: str) -> None:
    """Write a file completely or not at all; write to a pipe or a device directly.

    Raises:
        CommandError: the file cannot be written.
    """
    write_together({path: text})


def write_together(texts: Mapping[Path, str]) -> None:
    """Write several files, each completely; if one cannot be written, none takes its place. Pipes: as `write_whole`.

    Raises:
        CommandError: one of them cannot be written.
    """
    special = [path for path in texts if path.exists() and not path.is_file()]
    unfinished = {path: path.with_name(path.name + ".unfinished") for path in texts if path not in special}
    try:
        for path, text in texts.items():
            unfinished.get(path, path).write_text(text, encoding="utf-8")
        for path, file in unfinished.items():
            file.replace(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        for file in unfinished.values():
            file.unlink(missing_ok=True)


class Advance(Protocol):
    """Moves a progress bar."""

    def __call__(self, amount: float, more: float = 0.0) -> None:
        """Add what was done since the last call, and what is to be done besides what was known."""


@contextmanager
def progress(description: str, total: float) -> Iterator[Advance]:
    """Show progress and the time left on standard error; yield `advance`, callable from any thread."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        planned = [total]

        def advance(amount: float, more: float = 0.0) -> None:
            planned[0] += more
            bar.update(task, advance=amount, total=planned[0])

        yield advance
