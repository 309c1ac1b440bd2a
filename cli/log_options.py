"""What `tune` does with the log of a hub: import it for the time being, by the options that `import` has too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.import_log import positive
from heartbench.hub.events.trace_directory import pieces_of

if TYPE_CHECKING:
    from heartbench.analysis.imports.options import ImportOptions

SILENT_AT_END = typer.Option(
    help="What became of the nodes that fell silent before the end of a log. Default: judge both, the worse decides."
)
SKIP_SENDER_PAUSES = typer.Option(
    "--skip-sender-pauses",
    help="The log lists every message that was sent, with --sent: a gap in which the node itself paused counts for "
    "nobody. Without it, such a gap counts, because its messages may have been lost.",
)

PARQUET = b"PAR1"


def log_options(
    *,
    time: str | None,
    node: str | None,
    sent: str | None,
    interval: str | None,
    hub_down: Sequence[str] | None,
    dead: Sequence[str] | None,
) -> "ImportOptions":
    """Return what the shared options say.

    Raises:
        AnalysisError, SimulatorError, CommandError: one is not a time, a span or a duration.
    """
    from heartbench.analysis.imports.options import ImportOptions, NodeMoment, parse_span

    return ImportOptions(
        time=time,
        node=node,
        sent=sent,
        interval_s=positive(interval, "--interval"),
        hub_down=tuple(parse_span(each, "--hub-down") for each in hub_down or ()),
        dead=tuple(NodeMoment.parse(each, "--dead") for each in dead or ()),
    )


@contextmanager
def as_trace(path: Path, options: "ImportOptions") -> Iterator[Path]:
    """Yield a directory with the trace of a log, which is deleted afterwards; a run, an import and a trace as they are.

    Raises:
        AnalysisError: the log cannot be read.
        CommandError: the options say something about a log, and it is none.
    """
    from heartbench.analysis.imports import ImportOptions, import_log

    if is_log(path):
        with TemporaryDirectory(prefix="heartbench-") as folder:
            directory = Path(folder, "imported")
            import_log([path], options, directory)
            yield directory
        return
    if options != ImportOptions():
        raise CommandError(f"{path}: is not a log; pass what is known about a log to `heartbench import`")
    yield path


def is_log(path: Path) -> bool:
    """Return whether a path is a file other than Parquet, in which traces are kept, or a hub's HUB_TRACE_DIR."""
    if not path.is_file():
        return path.is_dir() and bool(pieces_of(path))
    with path.open("rb") as file:
        return file.read(len(PARQUET)) != PARQUET
