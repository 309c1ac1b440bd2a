"""The import of a log: reads it in any known format, and writes a trace and what was found."""

from collections.abc import Sequence
from pathlib import Path

from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.record import ImportRecord


def import_log(paths: Sequence[Path], options: ImportOptions, out: Path) -> ImportRecord:
    """Import the log of one hub into the directory `out` and return what was found.

    Raises:
        AnalysisError: a file cannot be read as a log, or `out` is in use; one line with file and line.
    """
    raise NotImplementedError
