"""How the hub logs: one line per entry on standard error, as key=value pairs or as JSON.

Heartbeats are counted, never logged. A line is written by a thread (`log_writer.py`), so the log can neither block the
event loop nor end the process. What libraries log through `logging` takes the same way. Every character that is not
printable is escaped: node names and labels are whatever a client sends.
"""

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from heartbench.hub.log_writer import LineWriter
from heartbench.hub.printable import printable

ORDER = ["timestamp", "level", "event"]

RENDERERS: dict[str, Processor] = {
    "text": structlog.processors.LogfmtRenderer(key_order=ORDER),
    "json": structlog.processors.JSONRenderer(),
}
"""The forms of a line, by their name in HUB_LOG_FORMAT."""

writers: list[LineWriter] = []
"""The writer of the last `configure`, if any."""


class LineLogger:
    """A logger for structlog that passes on finished lines."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


class StructlogHandler(logging.Handler):
    """Passes entries of Python's `logging` on to structlog: those of asyncio and of gRPC."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log an entry in the form that all have."""
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure(level: str, form: str = "text") -> None:
    """Log entries that are at least as severe as `level`, in a `form` of RENDERERS."""
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        RENDERERS[form],
        only_printable,
    ]

    def lost_lines(count: int, reason: str) -> str:
        entry: EventDict = {"event": "log lines were lost", "count": count, "reason": reason}
        for processor in processors:
            entry = processor(None, "warning", entry)  # type: ignore[assignment]
        return str(entry)

    writer = LineWriter(descriptor_of_stderr(), lost_lines)
    writers[:] = [writer]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: LineLogger(writer),
    )
    logging.basicConfig(handlers=[StructlogHandler()], level=logging.WARNING)


def set_level(level: str) -> None:
    """Log entries that are at least as severe as `level` from now on, in the same way as before."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())))


def lost() -> int:
    """Return how many lines could not be written since the start."""
    return sum(writer.lost for writer in writers)


def flush(within_s: float) -> bool:
    """Wait until all lines are written or dropped; return False if that takes longer than `within_s`."""
    return all(writer.flush(within_s) for writer in writers)


def only_printable(_: WrappedLogger, __: str, line: EventDict | str) -> str:
    """Return a finished line without characters that are not printable."""
    return printable(str(line))


def descriptor_of_stderr() -> int:
    """Return the descriptor of standard error; if it was closed at the start, one that discards everything."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
