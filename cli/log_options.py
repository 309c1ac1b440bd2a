"""The options about the log of a hub, for every command that reads one, and the trace that is made of it.

`import` has all of them. `tune`, `explain` and `cases match` have those that most logs need, and read a log as if it
had been imported. The column of the node is `--node-column` in all of them, and `--node` too, except in `explain`, in
which that chooses a node.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from heartbench.cli.errors import CommandError
from heartbench.hub.events.trace_directory import pieces_of

if TYPE_CHECKING:
    from heartbench.analysis.imports.options import ImportOptions

PARQUET = b"PAR1"


def column(what: str) -> Any:
    """Return the option for a column of CSV and JSON Lines."""
    return typer.Option(metavar="COL", help=f"Column with {what}; for CSV and JSON Lines.", show_default=False)


def option(metavar: str, text: str, *names: str) -> Any:
    """Return any other option."""
    return typer.Option(*names, metavar=metavar, help=text, show_default=False)


NODE_TEXT = "Column (Prometheus: label) with the node; @file: the name of the file."

FORMAT = option("NAME", "Format, if the content does not show it.", "--format")
TIME = column("the time at which the hub received the message")
NODE = option("COL", NODE_TEXT, "--node", "--node-column")
NODE_COLUMN = option("COL", NODE_TEXT, "--node-column")
SENT = column("the time at which the node sent it")
SEQUENCE = column("the number of the message")
BOOT = column("anything that changes when the node restarts")
KIND = column("hello, heartbeat, chunk or goodbye")
UNIT = option("UNIT", "Unit of times that are numbers: s, ms, us or ns.")
INTERVAL = option("DURATION", "Heartbeat interval; by default what the log shows.")
MARKED_AFTER = option("DURATION", "Silence after which that hub marks a node; for logs of changes of status.")
HUB_DOWN = option("FROM..TO", "When the hub was down; may be repeated.")
DEAD = option("NAME[@TIME]", "Node that is gone for good; may be repeated.")
RESTART = option("NAME@TIME", "Restart of a node; may be repeated.")

SILENT_AT_END = typer.Option(
    help="What became of the nodes that fell silent before the end of a log. Default: `tune` judges both, and the "
    "worse decides; `explain` takes them as dead."
)
SKIP_SENDER_PAUSES = typer.Option(
    "--skip-sender-pauses",
    help="The log lists every message that was sent, with --sent: a gap in which the node itself paused counts for "
    "nobody. Without it, such a gap counts, because its messages may have been lost.",
)


def log_options(
    *,
    time_unit: str | None = None,
    interval: str | None = None,
    marked_after: str | None = None,
    hub_down: Sequence[str] | None = None,
    dead: Sequence[str] | None = None,
    restart: Sequence[str] | None = None,
    **names: str | None,
) -> "ImportOptions":
    """Return what the options say; `names` are those of the format and of columns, by field of `ImportOptions`.

    Raises:
        AnalysisError, SimulatorError, CommandError: one is not a time, a span, a unit or a duration.
    """
    from heartbench.analysis.imports import ImportOptions, NodeMoment, parse_span, parse_unit

    return ImportOptions(
        **names,
        time_unit=parse_unit(time_unit, "--time-unit"),
        interval_s=positive(interval, "--interval"),
        marked_after_s=positive(marked_after, "--marked-after"),
        hub_down=tuple(parse_span(each, "--hub-down") for each in hub_down or ()),
        dead=tuple(NodeMoment.parse(each, "--dead") for each in dead or ()),
        restarted=tuple(NodeMoment.parse(each, "--restart") for each in restart or ()),
    )


def positive(text: str | None, option: str) -> float | None:
    """Return a duration in s; raise an error for 0 and below."""
    from heartbench.simulator.units import parse_duration

    if text is None:
        return None
    seconds = 0.0 if text.startswith("-") else parse_duration(text, option)
    if seconds == 0:
        raise CommandError(f"{option}: {text}: must be longer than 0")
    return seconds


@contextmanager
def as_trace(path: Path, options: "ImportOptions") -> Iterator[Path]:
    """Yield a directory with the trace of a log, which is deleted afterwards; a run, an import and a trace as they are.

    Raises:
        AnalysisError: the log cannot be read.
        CommandError: there is nothing, or the options say something about a log and it is none.
    """
    from heartbench.analysis.imports import ImportOptions, import_log

    if not path.exists():
        raise CommandError(f"{path}: no such file or directory; expected a run, a log, an import or a trace")
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
