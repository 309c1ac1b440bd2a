"""The import of a log: reads it in any known format, and writes a trace and what was found, whole or not at all."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.collecting import collect
from heartbench.analysis.imports.formats import check_options, format_of
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.record import FILE, ImportRecord
from heartbench.analysis.imports.sources import sources_of
from heartbench.analysis.imports.tracing import write_trace

TRACE = "trace"


def import_log(paths: Sequence[Path], options: ImportOptions, out: Path) -> ImportRecord:
    """Import the log of one hub into the directory `out` and return what was found.

    `out` must not exist, be empty, or hold an older import, which is replaced.

    Raises:
        AnalysisError: a file cannot be read as a log, or `out` is in use; one line with file and line.
    """
    check_directory(out)
    sources = sources_of(paths)
    form = format_of(sources, options.format)
    check_options(sources[0], form, options)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    unfinished.chmod(0o755)
    try:
        collected = collect(sources, form, options, unfinished)
        record = write_trace(collected, options, unfinished, str(out / TRACE))
        record.write(unfinished)
        replace_directory(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return record


def check_directory(out: Path) -> None:
    """Raise AnalysisError if a directory holds anything but an import."""
    if out.exists() and not out.is_dir():
        raise AnalysisError(f"{out}: is a file; expected a directory for the import")
    if out.exists() and any(out.iterdir()) and not (out / FILE).is_file():
        raise AnalysisError(f"{out}: is not empty and not an import; use a new or empty directory")


def replace_directory(new: Path, out: Path) -> None:
    """Move `new` to `out`, in place of what was there."""
    if not out.exists():
        new.replace(out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
    out.replace(old)
    new.replace(out)
    shutil.rmtree(old, ignore_errors=True)
